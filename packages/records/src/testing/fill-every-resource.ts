/**
 * One full document of every resource of any model, written in an order in which references can be resolved: for tests that must
 * see each resource of a large schema at work.
 *
 * - A member that can be given is given: nested collections have one item, references lead to what was written before.
 * - Values depend on the JSON type alone, so members that must be equal are; a subclass has a superclass identity of its own.
 */
import { displayName, type Member, type Model, type Resource, resourceId, type ResourceName } from '../derive/model.ts';
import { descriptorUri } from '../write/flatten-document.ts';
import type { JsonSchema } from '../schema/api-schema.ts';
import type { JsonValue } from '../write/parse-json.ts';

type JsonObject = { [key: string]: JsonValue };

export interface WrittenDocument {
  readonly resource: Resource;
  readonly document: JsonObject;
}

const asObject = (value: unknown): JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonSchema) : {};

const propertyOf = (schema: JsonSchema, name: string): JsonSchema => asObject(asObject(schema['properties'])[name]);

const numberOf = (schema: JsonSchema, own: number | null): number => {
  const [low, high] = [schema['minimum'], schema['maximum']];
  if (own !== null) return own;
  if (typeof low === 'number' && low > 1) return Math.max(low, 2020);
  return typeof high === 'number' && high < 1 ? high : 1;
};

const scalarOf = (member: Member & { kind: 'scalar' }, schema: JsonSchema, own: number | null): JsonValue => {
  switch (member.column.type.kind) {
    case 'text': {
      const [shortest, longest] = [schema['minLength'], schema['maxLength']];
      const text = 'x'.repeat(typeof shortest === 'number' ? Math.max(1, shortest) : 1);
      const choices = schema['enum'];
      if (Array.isArray(choices) && typeof choices[0] === 'string') return choices[0];
      return typeof longest === 'number' ? text.slice(0, longest) : text;
    }
    case 'bigint':
      return numberOf(schema, own);
    case 'numeric':
      return numberOf(schema, null);
    case 'boolean':
      return true;
    case 'date':
      return own === null ? '2020-02-29' : new Date(Date.UTC(2020, 1, own)).toISOString().slice(0, 10);
    case 'time':
      return '10:30:00';
    case 'timestamp':
      return '2020-02-29T10:30:00Z';
    case 'json':
      return { kept: [1, null] };
  }
};

/** Thrown inside while a required reference has no target yet. */
class NotYet extends Error {}

class Filler {
  readonly written = new Map<string, WrittenDocument>();
  private readonly model: Model;

  constructor(model: Model) {
    this.model = model;
  }

  /** The written document that a reference can lead to; for an abstract resource one of any subclass. */
  private targetOf(name: ResourceName): WrittenDocument | null {
    const concrete = this.written.get(resourceId(name));
    if (concrete !== undefined) return concrete;
    const view = this.model.abstracts.get(resourceId(name));
    for (const subclass of view?.subclasses ?? []) {
      const found = this.written.get(resourceId(subclass.name));
      if (found !== undefined) return found;
    }
    return null;
  }

  private valueAt(document: JsonObject, path: string): JsonValue {
    let value: JsonValue = document;
    for (const name of path.slice(2).split('.')) value = (value as JsonObject)[name] ?? null;
    return value;
  }

  private referenceOf(member: Member & { kind: 'reference' }): JsonObject | null {
    const { binding } = member;
    const target = this.targetOf(binding.target);
    if (target === null) return null;
    const alias = target.resource.alias;
    const isSuperclass = alias !== null && resourceId(alias.target) === resourceId(binding.target);
    return Object.fromEntries(
      binding.elements.map((element, index) => {
        const own = isSuperclass
          ? target.resource.source.identityJsonPaths[alias.elements[index]?.ownIndex ?? -1]
          : element.identityPath;
        return [element.member, this.valueAt(target.document, own ?? element.identityPath)];
      }),
    );
  }

  private descriptorOf(name: ResourceName): string | null {
    const document = this.written.get(resourceId(name))?.document;
    return document === undefined ? null : descriptorUri(document);
  }

  members(members: readonly Member[], schema: JsonSchema, own: number | null, depth = 0): JsonObject {
    const required = new Set(Array.isArray(schema['required']) ? schema['required'].map(String) : []);
    const result: JsonObject = {};
    for (const member of members) {
      const inner = propertyOf(schema, member.name);
      const value = this.member(member, inner, depth === 0 ? own : null, depth);
      if (value !== null) result[member.name] = value;
      else if (required.has(member.name)) throw new NotYet(member.name);
    }
    return result;
  }

  private member(member: Member, schema: JsonSchema, own: number | null, depth: number): JsonValue {
    switch (member.kind) {
      case 'scalar':
        return scalarOf(member, schema, own);
      case 'descriptor':
        return member.column.descriptor === null ? null : this.descriptorOf(member.column.descriptor);
      case 'reference':
        return this.referenceOf(member);
      case 'object':
        return this.members(member.members, schema, null, depth + 1);
      case 'extension':
        return this.members(member.table.members, schema, null, depth + 1);
      case 'collection': {
        const items = asObject(schema['items']);
        const [only] = member.table.members;
        try {
          const item = member.scalarItems
            ? only === undefined
              ? null
              : this.member(only, items, null, depth + 1)
            : this.members(member.table.members, items, null, depth + 1);
          return item === null ? null : [item];
        } catch (error) {
          if (error instanceof NotYet) return null;
          throw error;
        }
      }
    }
  }

  /** The document of one resource, or null while something that it needs is missing. */
  try(resource: Resource, own: number | null): WrittenDocument | null {
    try {
      const document = resource.isDescriptor
        ? {
            namespace: `uri://sample.example/${resource.name.resourceName}`,
            codeValue: 'Sample',
            shortDescription: 'Sample',
          }
        : this.members(resource.root.members, resource.jsonSchema, own);
      return { resource, document };
    } catch (error) {
      if (error instanceof NotYet) return null;
      throw error;
    }
  }
}

/** Writes by `write` one document of each resource of the model. Throws naming the resources that no order could satisfy. */
export const fillEveryResource = async (
  model: Model,
  write: (written: WrittenDocument) => Promise<unknown>,
): Promise<readonly WrittenDocument[]> => {
  const filler = new Filler(model);
  const all = [...model.resources.values()];
  let waiting = [
    ...all.filter((resource) => resource.isDescriptor),
    ...all.filter((resource) => !resource.isDescriptor),
  ];
  const order: WrittenDocument[] = [];
  let next = 100;
  while (waiting.length > 0) {
    const left: Resource[] = [];
    for (const resource of waiting) {
      // Subclasses share the identities of their superclass, so each gets numbers and dates of its own.
      const year = resource.source.isSchoolYearEnumeration ? 2020 : null;
      const own = resource.alias === null ? year : (next += 1);
      const made = filler.try(resource, own);
      if (made === null) left.push(resource);
      else {
        await write(made);
        filler.written.set(resourceId(resource.name), made);
        order.push(made);
      }
    }
    if (left.length === waiting.length)
      throw new Error(`nothing leads to ${left.map((resource) => displayName(resource.name)).join(', ')}`);
    waiting = left;
  }
  return order;
};
