/**
 * Flattens a valid document into the rows of its tables, and finds its references once, each with its concrete place.
 *
 * - Reference and descriptor columns hold the referential id of what they name; they become document ids when the statements are
 *   bound. Foreign keys and edges are therefore made from one and the same value.
 * - Row order within a table is document order; ordinals count from 0 within the parent.
 */
import type { FieldError } from '@casebound/contract';
import type { IdentityElement, Member, ReferenceBinding, Resource, Table } from '../derive/model.ts';
import { canonicalText, descriptorReferentialId, referentialId } from '../identity/referential-id.ts';
import { normaliseScalar } from './normalise-value.ts';
import type { JsonValue } from './parse-json.ts';

export type Cell = string | number | boolean | null;

export interface FlatRow {
  readonly ordinals: readonly number[];
  /** One cell per column of the table. */
  readonly cells: readonly Cell[];
}

export interface FlatReference {
  readonly referentialId: string;
  /** Concrete path of the reference object or descriptor member. */
  readonly path: string;
  readonly kind: 'reference' | 'descriptor';
  readonly isIdentity: boolean;
  readonly isMutable: boolean;
  readonly targetName: string;
}

export interface FlatDocument {
  readonly resource: Resource;
  readonly referentialId: string;
  readonly aliasId: string | null;
  /** By table, in the order of `flatTables`. */
  readonly rows: ReadonlyMap<Table, readonly FlatRow[]>;
  readonly references: readonly FlatReference[];
}

export type FlattenResult =
  | { readonly ok: true; readonly flat: FlatDocument }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

type JsonObject = { [key: string]: JsonValue };

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Tables that hold a document of the resource, parents before children; for a descriptor the shared table. */
export const flatTables = (resource: Resource): readonly Table[] =>
  resource.isDescriptor ? [resource.root] : resource.tables;

/** Ids that a reference remembers. */
const maxRemembered = 2_000;

/**
 * Referential ids of what documents refer to by one value, remembered while many are prepared: custodians and batches come again from
 * document to document, and a hash costs several times what finding it does.
 */
export class ReferentialIds {
  private readonly known = new Map<ReferenceBinding, Map<string, string>>();

  of(binding: ReferenceBinding, [path, text]: readonly [string, string]): string {
    let ids = this.known.get(binding);
    if (ids === undefined) {
      ids = new Map();
      this.known.set(binding, ids);
    }
    const found = ids.get(text);
    if (found !== undefined) return found;
    const id = referentialId(binding.target, [[path, text]]);
    if (ids.size >= maxRemembered) ids.clear();
    ids.set(text, id);
    return id;
  }
}

class Flattener {
  readonly errors: FieldError[] = [];
  readonly references: FlatReference[] = [];
  readonly rows = new Map<Table, FlatRow[]>();
  private readonly resource: Resource;
  private readonly ids: ReferentialIds;

  constructor(resource: Resource, ids: ReferentialIds) {
    this.resource = resource;
    this.ids = ids;
  }

  table(table: Table, value: JsonValue, path: string, ordinals: readonly number[]): boolean {
    const cells: Cell[] = table.columns.map(() => null);
    const rowList = this.rows.get(table) ?? [];
    this.rows.set(table, rowList);
    const before = rowList.length;
    const row: FlatRow = { ordinals, cells };
    rowList.push(row);
    const put = (column: Table['columns'][number], cell: Cell): void => {
      cells[table.columns.indexOf(column)] = cell;
    };
    const hasChildren = isObject(value)
      ? this.members(table.members, value, path, ordinals, put)
      : this.members(table.members, { [table.members[0]?.name ?? 'value']: value }, path, ordinals, put, true);
    const holds = hasChildren || cells.some((cell) => cell !== null);
    if (!holds && table.kind === 'extension') rowList.length = before;
    return holds;
  }

  /** Returns whether anything below went into a table of its own. */
  private members(
    members: readonly Member[],
    value: JsonObject,
    path: string,
    ordinals: readonly number[],
    put: (column: Table['columns'][number], cell: Cell) => void,
    isScalarItem = false,
  ): boolean {
    let nested = false;
    // By index: walking members is the inner loop of every write, and an iterator over them was a tenth of a document's cost.
    for (let at = 0; at < members.length; at += 1) {
      const member = members[at];
      const own = member === undefined ? null : value[member.name];
      if (member === undefined || own === undefined || own === null) continue;
      if (member.kind === 'scalar') {
        // Most members are scalars, and their path is needed only when they are wrong.
        const result = normaliseScalar(own, member.column.type);
        if (result.ok) put(member.column, result.value);
        else this.errors.push({ path: isScalarItem ? path : `${path}.${member.name}`, message: result.message });
        continue;
      }
      const place = isScalarItem ? path : `${path}.${member.name}`;
      switch (member.kind) {
        case 'descriptor':
          put(member.column, this.descriptor(own, member, place));
          break;
        case 'reference':
          put(member.column, this.reference(own, member.binding, place));
          break;
        case 'object':
          if (isObject(own)) nested = this.members(member.members, own, place, ordinals, put) || nested;
          break;
        case 'extension':
          nested = this.table(member.table, own, place, ordinals) || nested;
          break;
        case 'collection':
          if (!Array.isArray(own)) break;
          own.forEach((item, index) => this.table(member.table, item, `${place}[${index}]`, [...ordinals, index]));
          nested = nested || own.length > 0;
          break;
      }
    }
    return nested;
  }

  private descriptor(value: JsonValue, member: Member & { kind: 'descriptor' }, path: string): Cell {
    const target = member.column.descriptor;
    if (typeof value !== 'string' || target === null) {
      this.errors.push({ path, message: 'must be the uri of a descriptor, namespace#codeValue' });
      return null;
    }
    const id = descriptorReferentialId(target, value);
    this.references.push({
      referentialId: id,
      path,
      kind: 'descriptor',
      isIdentity: this.resource.identity.some((element) => element.source.column === member.column),
      isMutable: false,
      targetName: target.resourceName,
    });
    return id;
  }

  private reference(value: JsonValue, binding: ReferenceBinding, path: string): Cell {
    if (!isObject(value)) {
      this.errors.push({ path, message: 'must be an object' });
      return null;
    }
    const elements: [string, string][] = [];
    for (const element of binding.elements) {
      const text = this.elementText(value[element.member], element, `${path}.${element.member}`, binding);
      if (text !== null) elements.push([element.identityPath, text]);
    }
    if (elements.length !== binding.elements.length) return null;
    const id = this.targetId(binding, elements);
    const { isIdentity, isMutable } = binding;
    this.references.push({
      referentialId: id,
      path,
      kind: 'reference',
      isIdentity,
      isMutable,
      targetName: binding.target.resourceName,
    });
    return id;
  }

  private targetId(binding: ReferenceBinding, elements: readonly [string, string][]): string {
    const [only] = elements;
    if (only === undefined || elements.length > 1) return referentialId(binding.target, elements);
    return this.ids.of(binding, only);
  }

  private elementText(
    value: JsonValue | undefined,
    element: ReferenceBinding['elements'][number],
    path: string,
    binding: ReferenceBinding,
  ): string | null {
    if (value === undefined || value === null) {
      this.errors.push({ path, message: `is required to name a ${binding.target.resourceName}` });
      return null;
    }
    const result = normaliseScalar(value, element.type);
    if (!result.ok) {
      this.errors.push({ path, message: result.message });
      return null;
    }
    return canonicalText(result.value, element.isDescriptor);
  }

  identityText(element: IdentityElement, document: JsonObject): string | null {
    let value: JsonValue | undefined = document;
    for (const name of element.path.slice(2).split('.')) value = isObject(value) ? value[name] : undefined;
    const { source } = element;
    if (source.kind === 'reference') {
      const target = source.binding.elements[source.elementIndex];
      if (value === undefined || value === null)
        this.errors.push({ path: element.path, message: 'is required: it is part of the identity' });
      if (value === undefined || value === null || target === undefined) return null;
      const result = normaliseScalar(value, target.type);
      return result.ok ? canonicalText(result.value, target.isDescriptor) : null;
    }
    if (value === undefined || value === null) {
      this.errors.push({ path: element.path, message: 'is required: it is part of the identity' });
      return null;
    }
    const result = normaliseScalar(value, source.kind === 'descriptor' ? { kind: 'text' } : source.column.type);
    return result.ok ? canonicalText(result.value, source.kind === 'descriptor') : null;
  }
}

const textOf = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');

/** The uri of a descriptor document. */
export const descriptorUri = (document: JsonObject): string =>
  `${textOf(document['namespace'])}#${textOf(document['codeValue'])}`;

const ownIdentity = (
  flattener: Flattener,
  resource: Resource,
  document: JsonObject,
): { id: string; aliasId: string | null } => {
  if (resource.isDescriptor)
    return { id: descriptorReferentialId(resource.name, descriptorUri(document)), aliasId: null };
  const texts = resource.identity.map((element) => flattener.identityText(element, document) ?? '');
  const id = referentialId(
    resource.name,
    resource.identity.map((element, index) => [element.path, texts[index] ?? '']),
  );
  const { alias } = resource;
  if (alias === null) return { id, aliasId: null };
  const aliasId = referentialId(
    alias.target,
    alias.elements.map((element) => [element.path, texts[element.ownIndex] ?? '']),
  );
  return { id, aliasId };
};

/** Flattens one shaped and validated document. Who flattens many gives the same `ids` with each. */
export const flattenDocument = (
  resource: Resource,
  document: JsonObject,
  ids: ReferentialIds = new ReferentialIds(),
): FlattenResult => {
  const flattener = new Flattener(resource, ids);
  flattener.table(resource.root, document, '$', []);
  const { id, aliasId } = ownIdentity(flattener, resource, document);
  if (flattener.errors.length > 0) {
    const unique = new Map(flattener.errors.map((error) => [`${error.path} ${error.message}`, error]));
    return { ok: false, errors: [...unique.values()] };
  }
  return {
    ok: true,
    flat: { resource, referentialId: id, aliasId, rows: flattener.rows, references: flattener.references },
  };
};
