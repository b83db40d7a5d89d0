/**
 * Flattens a valid document into the rows of its tables, and finds its references once.
 *
 * - Reference and descriptor columns hold the referential id of what they name; they become document ids when the statements are
 *   bound. Foreign keys and edges are therefore made from one and the same value.
 * - Row order within a table is document order; ordinals count from 0 within the parent.
 * - Rows go into a sink: those of one document (`DocumentRows`), or the columns of many (`bulk/row-block.ts`).
 */
import type { FieldError } from '@casebound/contract';
import type { Column, ReferenceBinding, Resource, Table } from '../derive/model.ts';
import { canonicalText } from '../identity/referential-id.ts';
import type { FlatIdentity, FlatMember, FlatMembers, FlatPlan, FlatTable } from './flat-plan.ts';
import { normaliseScalar } from './normalise-value.ts';
import type { JsonValue } from './parse-json.ts';
import { ReferentialIds } from './referential-ids.ts';

export type Cell = string | number | boolean | null;

export interface FlatRow {
  readonly ordinals: readonly number[];
  /** One cell per column of the table. */
  readonly cells: readonly Cell[];
}

export interface FlatReference {
  readonly referentialId: string;
  readonly column: Column;
  /** Those of the row that holds it. */
  readonly ordinals: readonly number[];
}

export interface FlatDocument {
  readonly resource: Resource;
  readonly referentialId: string;
  readonly aliasId: string | null;
  readonly rows: ReadonlyMap<Table, readonly FlatRow[]>;
  readonly references: readonly FlatReference[];
}

export type FlattenResult =
  | { readonly ok: true; readonly flat: FlatDocument }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** Takes the rows of a document as they are found. What is put into a table belongs to the row of it that was begun last. */
export interface RowSink {
  begin(table: FlatTable, ordinals: readonly number[]): void;
  put(table: FlatTable, column: number, cell: Cell): void;
  /** A reference or a descriptor, as a slot of the ids that the document is flattened with. */
  refer(table: FlatTable, column: number, slot: number): void;
  /** Takes the row back that was begun last, into which nothing was put. */
  takeBack(table: FlatTable): void;
}

/** The identity of a flattened document, as slots. */
export interface IdentitySlots {
  readonly own: number;
  readonly alias: number | null;
}

type JsonObject = { [key: string]: JsonValue };

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A template of a path with the ordinals of a row: `$.addresses[*].city` -> `$.addresses[2].city`. */
export const concretePath = (template: string, ordinals: readonly number[]): string => {
  let at = 0;
  return template.replaceAll('[*]', () => {
    at += 1;
    return `[${ordinals[at - 1] ?? 0}]`;
  });
};

class Flattener {
  readonly errors: FieldError[] = [];
  /** Of the row that is being read. */
  private readonly ordinals: number[] = [];
  private readonly sink: RowSink;
  private readonly ids: ReferentialIds;

  constructor(sink: RowSink, ids: ReferentialIds) {
    this.sink = sink;
    this.ids = ids;
  }

  /** Returns whether anything went into the row or into rows below it. */
  table(table: FlatTable, value: JsonValue): boolean {
    this.sink.begin(table, this.ordinals);
    const holds = isObject(value) ? this.members(table, table.members, value) : this.item(table, value);
    if (!holds && table.table.kind === 'extension') this.sink.takeBack(table);
    return holds;
  }

  /** An item that is a value by itself is its table's one member. */
  private item(table: FlatTable, value: JsonValue): boolean {
    const [first] = table.members.values();
    return first !== undefined && value !== null && this.member(table, first, value, table.table.path);
  }

  private members(table: FlatTable, members: FlatMembers, value: JsonObject): boolean {
    let holds = false;
    const names = Object.keys(value);
    // By index, and by what the document has: this is the inner loop of every write, and most members of a wide resource are absent.
    for (let at = 0; at < names.length; at += 1) {
      const name = names[at] ?? '';
      const member = members.get(name);
      const own = value[name];
      if (member === undefined || own === undefined || own === null) continue;
      if (member.kind === 'scalar' && member.type.kind === 'text' && typeof own === 'string') {
        // Most members are texts, which have one form only.
        this.sink.put(table, member.at, own);
        holds = true;
      } else holds = this.member(table, member, own, member.path) || holds;
    }
    return holds;
  }

  private member(table: FlatTable, member: FlatMember, value: JsonValue, path: string): boolean {
    switch (member.kind) {
      case 'scalar': {
        const result = normaliseScalar(value, member.type);
        if (!result.ok) return this.fail(path, result.message);
        this.sink.put(table, member.at, result.value);
        return true;
      }
      case 'descriptor':
        if (typeof value !== 'string' || member.target === null)
          return this.fail(path, 'must be the uri of a descriptor, namespace#codeValue');
        this.sink.refer(table, member.at, this.ids.descriptor(member.target, value));
        return true;
      case 'reference':
        return this.reference(table, member, value, path);
      case 'object':
        return isObject(value) && this.members(table, member.members, value);
      case 'extension':
        return this.table(member.table, value);
      case 'collection':
        return Array.isArray(value) && this.collection(member.table, value);
    }
  }

  private collection(table: FlatTable, items: readonly JsonValue[]): boolean {
    const { ordinals } = this;
    const depth = ordinals.length;
    for (let at = 0; at < items.length; at += 1) {
      ordinals[depth] = at;
      this.table(table, items[at] ?? null);
    }
    ordinals.length = depth;
    return items.length > 0;
  }

  private fail(template: string, message: string): false {
    this.errors.push({ path: concretePath(template, this.ordinals), message });
    return false;
  }

  private reference(
    table: FlatTable,
    { at: column, binding, target }: FlatMember & { kind: 'reference' },
    value: JsonValue,
    path: string,
  ): boolean {
    if (!isObject(value)) return this.fail(path, 'must be an object');
    const { elements } = binding;
    const [only] = elements;
    if (only !== undefined && elements.length === 1) {
      const text = this.elementText(value[only.member], only, path, binding);
      if (text === null) return false;
      this.sink.refer(table, column, this.ids.slotOfOne(target, only, text));
      return true;
    }
    const texts: string[] = [];
    for (const element of elements) {
      const text = this.elementText(value[element.member], element, path, binding);
      if (text !== null) texts.push(text);
    }
    if (texts.length !== elements.length) return false;
    this.sink.refer(table, column, this.ids.slotOf(target, elements, texts));
    return true;
  }

  private elementText(
    value: JsonValue | undefined,
    element: ReferenceBinding['elements'][number],
    path: string,
    binding: ReferenceBinding,
  ): string | null {
    if (typeof value === 'string' && element.type.kind === 'text')
      return element.isDescriptor ? value.toLowerCase() : value;
    if (value === undefined || value === null) {
      this.fail(`${path}.${element.member}`, `is required to name a ${binding.target.resourceName}`);
      return null;
    }
    const result = normaliseScalar(value, element.type);
    if (result.ok) return canonicalText(result.value, element.isDescriptor);
    this.fail(`${path}.${element.member}`, result.message);
    return null;
  }

  private identityText({ names, path, type, isDescriptor }: FlatIdentity, document: JsonObject): string {
    let value: JsonValue | undefined = document;
    for (const name of names) value = isObject(value) ? value[name] : undefined;
    if (value === undefined || value === null) {
      this.fail(path, 'is required: it is part of the identity');
      return '';
    }
    // What is wrong with a value has been told where it stands.
    const result = normaliseScalar(value, type);
    return result.ok ? canonicalText(result.value, isDescriptor) : '';
  }

  identity({ resource, identity, name, aliasName }: FlatPlan, document: JsonObject): IdentitySlots {
    if (resource.isDescriptor) return { own: this.ids.descriptor(name, descriptorUri(document)), alias: null };
    const texts = identity.map((element) => this.identityText(element, document));
    const own = this.ids.slotOf(name, identity, texts);
    if (aliasName === null) return { own, alias: null };
    const elements = resource.alias?.elements ?? [];
    const aliasTexts = elements.map((element) => texts[element.ownIndex] ?? '');
    return { own, alias: this.ids.slotOf(aliasName, elements, aliasTexts) };
  }
}

const textOf = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');

/** The uri of a descriptor document. */
export const descriptorUri = (document: JsonObject): string =>
  `${textOf(document['namespace'])}#${textOf(document['codeValue'])}`;

/** Flattens a shaped and validated document into a sink. After errors the sink holds part of it. */
export const flattenInto = (
  plan: FlatPlan,
  document: JsonObject,
  sink: RowSink,
  ids: ReferentialIds,
):
  | { readonly ok: true; readonly slots: IdentitySlots }
  | { readonly ok: false; readonly errors: readonly FieldError[] } => {
  const flattener = new Flattener(sink, ids);
  flattener.table(plan.root, document);
  const slots = flattener.identity(plan, document);
  if (flattener.errors.length === 0) return { ok: true, slots };
  const unique = new Map(flattener.errors.map((error) => [`${error.path} ${error.message}`, error]));
  return { ok: false, errors: [...unique.values()] };
};

/** The rows of one document, row by row. */
class DocumentRows implements RowSink {
  readonly rows = new Map<Table, { readonly ordinals: readonly number[]; readonly cells: Cell[] }[]>();
  readonly references: FlatReference[] = [];
  private readonly ids: ReferentialIds;

  constructor(ids: ReferentialIds) {
    this.ids = ids;
  }

  begin({ table }: FlatTable, ordinals: readonly number[]): void {
    const row = { ordinals: ordinals.slice(), cells: table.columns.map((): Cell => null) };
    const rows = this.rows.get(table);
    if (rows === undefined) this.rows.set(table, [row]);
    else rows.push(row);
  }

  put({ table }: FlatTable, column: number, cell: Cell): void {
    const row = this.rows.get(table)?.at(-1);
    if (row !== undefined) row.cells[column] = cell;
  }

  refer(flat: FlatTable, at: number, slot: number): void {
    const referentialId = this.ids.idOf(slot);
    const column = flat.table.columns[at];
    if (column === undefined) return;
    this.put(flat, at, referentialId);
    this.references.push({ referentialId, column, ordinals: this.rows.get(flat.table)?.at(-1)?.ordinals ?? [] });
  }

  takeBack({ table }: FlatTable): void {
    this.rows.get(table)?.pop();
  }
}

/** Flattens one shaped and validated document. */
export const flattenDocument = (plan: FlatPlan, document: JsonObject): FlattenResult => {
  const ids = new ReferentialIds();
  const sink = new DocumentRows(ids);
  const result = flattenInto(plan, document, sink, ids);
  if (!result.ok) return result;
  const { own, alias } = result.slots;
  const [referentialId, aliasId] = [ids.idOf(own), alias === null ? null : ids.idOf(alias)];
  const { rows, references } = sink;
  return { ok: true, flat: { resource: plan.resource, referentialId, aliasId, rows, references } };
};
