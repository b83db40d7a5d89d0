/**
 * Brings a document to the shape of its resource before it is validated: members that the schema does not declare are dropped,
 * null members are dropped, strings that spell booleans or numbers are coerced where the schema lists the path.
 *
 * - What has the wrong type is left as it is: the validator says so with its path.
 * - An array that is empty after this, or an object of which nothing is left, is dropped: neither is stored.
 */
import type { Member, Resource } from '../derive/model.ts';
import type { JsonValue } from './parse-json.ts';

export interface Coercions {
  readonly booleans: ReadonlySet<string>;
  readonly numbers: ReadonlySet<string>;
}

export const coercionsOf = (resource: Resource): Coercions => ({
  booleans: new Set(resource.source.booleanJsonPaths),
  numbers: new Set(resource.source.numericJsonPaths),
});

const numberForm = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

const coerce = (value: JsonValue, path: string, coercions: Coercions): JsonValue => {
  if (typeof value !== 'string') return value;
  if (coercions.booleans.has(path)) {
    const lower = value.trim().toLowerCase();
    return lower === 'true' ? true : lower === 'false' ? false : value;
  }
  if (coercions.numbers.has(path)) {
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
  if (member.scalarItems) return items.map((item) => coerce(item, table.path, coercions));
  return items.map((item) => (isObject(item) ? shapeMembers(item, table.members, table.path, coercions) : item));
};

const shapeMember = (value: JsonValue, member: Member, path: string, coercions: Coercions): JsonValue | undefined => {
  switch (member.kind) {
    case 'scalar':
      return coerce(value, path, coercions);
    case 'descriptor':
      return value;
    case 'reference': {
      if (!isObject(value)) return value;
      const kept: { [key: string]: JsonValue } = {};
      for (const { member: name } of member.binding.elements) {
        const inner = value[name];
        if (inner !== undefined && inner !== null) kept[name] = coerce(inner, `${path}.${name}`, coercions);
      }
      return Object.keys(kept).length === 0 ? undefined : kept;
    }
    case 'object':
    case 'extension': {
      if (!isObject(value)) return value;
      const members = member.kind === 'object' ? member.members : member.table.members;
      const shaped = shapeMembers(value, members, path, coercions);
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
  path: string,
  coercions: Coercions,
): { [key: string]: JsonValue } => {
  const shaped: { [key: string]: JsonValue } = {};
  for (const member of members) {
    const own = Object.hasOwn(value, member.name) ? value[member.name] : undefined;
    if (own === undefined || own === null) continue;
    const kept = shapeMember(own, member, `${path}.${member.name}`, coercions);
    if (kept !== undefined) shaped[member.name] = kept;
  }
  return shaped;
};

/** The document with only what the store keeps; not yet validated. */
export const shapeDocument = (
  document: { [key: string]: JsonValue },
  resource: Resource,
  coercions: Coercions,
): { [key: string]: JsonValue } => shapeMembers(document, resource.root.members, '$', coercions);
