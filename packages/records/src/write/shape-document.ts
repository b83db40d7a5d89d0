/**
 * Brings a document to the shape of its resource before it is validated: members that the schema does not declare are dropped,
 * null members are dropped, strings that spell booleans or numbers are coerced where the schema lists the path.
 *
 * - What has the wrong type is left as it is: the validator says so with its path.
 * - An array that is empty after this, or an object of which nothing is left, is dropped: neither is stored.
 */
import type { Member, ReferenceElement, Resource, Table } from '../derive/model.ts';
import type { JsonValue } from './parse-json.ts';

/** What is coerced: scalar members, members of references, and collections of scalars by their table. */
export interface Coercions {
  readonly booleans: ReadonlySet<Member | ReferenceElement | Table>;
  readonly numbers: ReadonlySet<Member | ReferenceElement | Table>;
}

/** Finds once what the paths of a resource's schema name, so that no document builds paths. */
export const coercionsOf = (resource: Resource): Coercions => {
  const booleans = new Set<Member | ReferenceElement | Table>();
  const numbers = new Set<Member | ReferenceElement | Table>();
  const { booleanJsonPaths, numericJsonPaths } = resource.source;
  const note = (what: Member | ReferenceElement | Table, path: string): void => {
    if (booleanJsonPaths.includes(path)) booleans.add(what);
    if (numericJsonPaths.includes(path)) numbers.add(what);
  };
  const walk = (members: readonly Member[], path: string): void => {
    for (const member of members) {
      const at = `${path}.${member.name}`;
      if (member.kind === 'scalar') note(member, at);
      else if (member.kind === 'object') walk(member.members, at);
      else if (member.kind === 'extension') walk(member.table.members, at);
      else if (member.kind === 'reference') {
        for (const element of member.binding.elements) note(element, `${at}.${element.member}`);
      } else if (member.kind === 'collection') {
        if (member.scalarItems) note(member.table, member.table.path);
        else walk(member.table.members, member.table.path);
      }
    }
  };
  walk(resource.root.members, '$');
  return { booleans, numbers };
};

const numberForm = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

const coerce = (value: JsonValue, what: Member | ReferenceElement | Table, coercions: Coercions): JsonValue => {
  if (typeof value !== 'string') return value;
  if (coercions.booleans.has(what)) {
    const lower = value.trim().toLowerCase();
    return lower === 'true' ? true : lower === 'false' ? false : value;
  }
  if (coercions.numbers.has(what)) {
    const trimmed = value.trim();
    const number = numberForm.test(trimmed) && trimmed.length < 30 ? Number(trimmed) : Number.NaN;
    return Number.isFinite(number) ? number : value;
  }
  return value;
};

const isObject = (value: JsonValue | undefined): value is { [key: string]: JsonValue } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const shapeItems = (items: JsonValue[], member: Member & { kind: 'collection' }, coercions: Coercions): JsonValue[] => {
  const { table } = member;
  if (member.scalarItems) return items.map((item) => coerce(item, table, coercions));
  return items.map((item) => (isObject(item) ? shapeMembers(item, table.members, coercions) : item));
};

const shapeMember = (value: JsonValue, member: Member, coercions: Coercions): JsonValue | undefined => {
  switch (member.kind) {
    case 'scalar':
      return coerce(value, member, coercions);
    case 'descriptor':
      return value;
    case 'reference': {
      if (!isObject(value)) return value;
      const kept: { [key: string]: JsonValue } = {};
      let isEmpty = true;
      for (const element of member.binding.elements) {
        const inner = value[element.member];
        if (inner === undefined || inner === null) continue;
        kept[element.member] = coerce(inner, element, coercions);
        isEmpty = false;
      }
      return isEmpty ? undefined : kept;
    }
    case 'object':
    case 'extension': {
      if (!isObject(value)) return value;
      const members = member.kind === 'object' ? member.members : member.table.members;
      const shaped = shapeMembers(value, members, coercions);
      return Object.keys(shaped).length === 0 ? undefined : shaped;
    }
    case 'collection':
      if (!Array.isArray(value)) return value;
      return value.length === 0 ? undefined : shapeItems(value, member, coercions);
  }
};

const shapeMembers = (
  value: { [key: string]: JsonValue },
  members: readonly Member[],
  coercions: Coercions,
): { [key: string]: JsonValue } => {
  const shaped: { [key: string]: JsonValue } = {};
  // By index, as in `flattenDocument`.
  for (let at = 0; at < members.length; at += 1) {
    const member = members[at];
    const own = member !== undefined && Object.hasOwn(value, member.name) ? value[member.name] : undefined;
    if (member === undefined || own === undefined || own === null) continue;
    const kept = shapeMember(own, member, coercions);
    if (kept !== undefined) shaped[member.name] = kept;
  }
  return shaped;
};

/** The document with only what the store keeps; not yet validated. */
export const shapeDocument = (
  document: { [key: string]: JsonValue },
  resource: Resource,
  coercions: Coercions,
): { [key: string]: JsonValue } => shapeMembers(document, resource.root.members, coercions);
