/**
 * JSON Schema 2020-12 of the zod schemas. A schema with `.meta({ id })` becomes a component that is stated once and referred to.
 *
 * - What a server sends may get new members, so output objects stay open; input objects are closed, as `z.strictObject` is.
 * - A component is one shape: an id whose input differs from its output is stated twice, the input as `<id>Input`.
 */
import { z } from 'zod';

export type JsonSchema = z.core.JSONSchema.BaseSchema;
type Direction = 'input' | 'output';

/** The schema as zod states it, with the patterns left out that only repeat a `format`. Throws for what JSON cannot say. */
export const jsonSchemaOf = (schema: z.core.$ZodType, io: Direction): JsonSchema =>
  z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    override: ({ zodSchema, jsonSchema }) => {
      const definition = zodSchema._zod.def;
      if (definition.type === 'object' && definition.catchall === undefined) delete jsonSchema.additionalProperties;
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
    },
  });

const localReference = '#/$defs/';

/** A deep copy in which references to `$defs` are replaced. */
const withReferences = (value: unknown, rename: (id: string) => string): unknown => {
  if (Array.isArray(value)) return value.map((item) => withReferences(item, rename));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) =>
      key === '$ref' && typeof member === 'string' && member.startsWith(localReference)
        ? [key, `#/components/schemas/${rename(member.slice(localReference.length))}`]
        : [key, withReferences(member, rename)],
    ),
  );
};

export interface SchemaCollector {
  /** The schema, with references to components for all that has an id. */
  add(schema: z.ZodType, io: Direction): unknown;
  /** All components so far, by name. */
  components(): Record<string, unknown>;
}

export const createSchemaCollector = (): SchemaCollector => {
  const components = new Map<string, unknown>();
  return {
    add(schema, io) {
      const { $schema: _dialect, $defs: definitions = {}, ...root } = jsonSchemaOf(schema, io);
      const names = new Map<string, string>();
      const rename = (id: string): string => names.get(id) ?? id;
      for (const [id, definition] of Object.entries(definitions)) {
        const known = components.get(id);
        const same =
          known === undefined || JSON.stringify(known) === JSON.stringify(withReferences(definition, rename));
        names.set(id, same ? id : `${id}${io === 'input' ? 'Input' : 'Output'}`);
      }
      for (const [id, definition] of Object.entries(definitions)) {
        components.set(rename(id), withReferences(definition, rename));
      }
      return withReferences(root, rename);
    },
    components: () => Object.fromEntries([...components].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
};
