/**
 * Brings a document to the shape of its resource before it is validated: members that the schema does not declare are dropped,
 * null members are dropped, strings that spell booleans or numbers are coerced where the schema lists the path.
 *
 * - What has the wrong type is left as it is: the validator says so with its path.
 * - An array that is empty after this, or an object of which nothing is left, is dropped: neither is stored.
 * - What is in its shape already is not copied, and nothing that was given is changed.
 */
import type { Member, ReferenceElement, Resource, Table } from '../derive/model.ts';
import type { JsonValue } from './parse-json.ts';

type JsonObject = { [key: string]: JsonValue };

/** What a value is coerced to. */
type Coercion = 'boolean' | 'number' | null;

type Shape =
  | { readonly kind: 'value'; readonly coercion: Coercion }
  | { readonly kind: 'object'; readonly members: ObjectShape }
  | { readonly kind: 'array'; readonly item: Shape };

/** The shapes of an object's members, by name. */
export type ObjectShape = ReadonlyMap<string, Shape>;

/** Finds once what the paths of a resource's schema name, so that no document builds paths. */
export const shapeOf = (resource: Resource): ObjectShape => {
  const { booleanJsonPaths, numericJsonPaths } = resource.source;
  const valueAt = (path: string): Shape => {
    const coercion = booleanJsonPaths.includes(path) ? 'boolean' : numericJsonPaths.includes(path) ? 'number' : null;
    return { kind: 'value', coercion };
  };
  const elementsOf = (elements: readonly ReferenceElement[], path: string): ObjectShape =>
    new Map(elements.map(({ member }) => [member, valueAt(`${path}.${member}`)]));
  const itemsOf = (table: Table, areScalars: boolean): Shape =>
    areScalars ? valueAt(table.path) : { kind: 'object', members: membersOf(table.members, table.path) };
  const memberOf = (member: Member, path: string): Shape => {
    switch (member.kind) {
      case 'scalar':
        return valueAt(path);
      case 'descriptor':
        return { kind: 'value', coercion: null };
      case 'reference':
        return { kind: 'object', members: elementsOf(member.binding.elements, path) };
      case 'object':
        return { kind: 'object', members: membersOf(member.members, path) };
      case 'extension':
        return { kind: 'object', members: membersOf(member.table.members, path) };
      case 'collection':
        return { kind: 'array', item: itemsOf(member.table, member.scalarItems) };
    }
  };
  const membersOf = (members: readonly Member[], path: string): ObjectShape =>
    new Map(members.map((member) => [member.name, memberOf(member, `${path}.${member.name}`)]));
  return membersOf(resource.root.members, '$');
};

const numberForm = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

const coerce = (value: JsonValue, coercion: Coercion): JsonValue => {
  if (coercion === null || typeof value !== 'string') return value;
  if (coercion === 'boolean') {
    const lower = value.trim().toLowerCase();
    return lower === 'true' ? true : lower === 'false' ? false : value;
  }
  const trimmed = value.trim();
  const number = numberForm.test(trimmed) && trimmed.length < 30 ? Number(trimmed) : Number.NaN;
  return Number.isFinite(number) ? number : value;
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isEmpty = (value: JsonObject): boolean => Object.keys(value).length === 0;

/** An item stays where it is, whatever is left of it. */
const shapeItems = (items: JsonValue[], shape: Shape): JsonValue[] => {
  let copy: JsonValue[] | null = null;
  for (let at = 0; at < items.length; at += 1) {
    const item = items[at] ?? null;
    const kept =
      shape.kind === 'value'
        ? coerce(item, shape.coercion)
        : shape.kind === 'object' && isObject(item)
          ? shapeMembers(item, shape.members)
          : item;
    if (kept === item) continue;
    copy ??= [...items];
    copy[at] = kept;
  }
  return copy ?? items;
};

const shapeValue = (value: JsonValue, shape: Shape): JsonValue | undefined => {
  switch (shape.kind) {
    case 'value':
      return coerce(value, shape.coercion);
    case 'object': {
      if (!isObject(value)) return value;
      const kept = shapeMembers(value, shape.members);
      return isEmpty(kept) ? undefined : kept;
    }
    case 'array':
      if (!Array.isArray(value)) return value;
      return value.length === 0 ? undefined : shapeItems(value, shape.item);
  }
};

const shapeMembers = (value: JsonObject, shape: ObjectShape): JsonObject => {
  const names = Object.keys(value);
  let copy: JsonObject | null = null;
  // By index: this is the inner loop of every write.
  for (let at = 0; at < names.length; at += 1) {
    const name = names[at] ?? '';
    const member = shape.get(name);
    const own = value[name];
    const kept = member === undefined || own === undefined || own === null ? undefined : shapeValue(own, member);
    if (copy === null && (kept === undefined || kept !== own)) copy = firstOf(value, names, at);
    if (copy !== null && kept !== undefined) copy[name] = kept;
  }
  return copy ?? value;
};

const firstOf = (value: JsonObject, names: readonly string[], count: number): JsonObject => {
  const copy: JsonObject = {};
  for (let at = 0; at < count; at += 1) {
    const name = names[at] ?? '';
    copy[name] = value[name] ?? null;
  }
  return copy;
};

/** The document with only what the store keeps; not yet validated. */
export const shapeDocument = (document: JsonObject, shape: ObjectShape): JsonObject => shapeMembers(document, shape);
