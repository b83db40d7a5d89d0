/**
 * JSON Schema 2020-12 of the zod schemas. A schema with `.meta({ id })` becomes a component that is stated once and referred to.
 *
 * - What a server sends may get new members, so output objects stay open; input objects are closed, as `z.strictObject` is.
 * - A component is one shape: an id whose input differs from its output is stated twice, the input as `<id>Input`.
 */
import { z } from 'zod';
import { CaseboundError } from '../casebound-error.ts';

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

/** Whether the member of an object must be sent: neither optional nor with a default. */
export const isRequired = (schema: z.core.$ZodType): boolean => schema._zod.optin === undefined;

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
  /**
   * The schema, with references to components for all that has an id. Outputs are to be added before inputs, so that an id
   * means what is sent. Throws `registry_invalid` when two shapes have one id.
   */
  add(schema: z.ZodType, io: Direction): unknown;
  /** All components so far, by name. */
  components(): Record<string, unknown>;
}

/** Ids whose input is not what is sent under them: by their own shape, or by that of one they refer to. */
const differingIds = (texts: ReadonlyMap<string, string>, sent: ReadonlyMap<string, string>): ReadonlySet<string> => {
  const differing = new Set([...texts].filter(([id, text]) => (sent.get(id) ?? text) !== text).map(([id]) => id));
  for (let before = -1; before !== differing.size;) {
    before = differing.size;
    for (const [id, text] of texts) {
      if ([...differing].some((other) => text.includes(`"${localReference}${other}"`))) differing.add(id);
    }
  }
  return differing;
};

export const createSchemaCollector = (): SchemaCollector => {
  /** By id, as JSON text with references by id. */
  const sent = new Map<string, string>();
  const components = new Map<string, unknown>();

  const state = (name: string, component: unknown): void => {
    const known = components.get(name);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(component)) {
      throw new CaseboundError('registry_invalid', `Two schemas that differ have the id ${name}.`);
    }
    components.set(name, component);
  };

  return {
    add(schema, io) {
      const { $schema: _dialect, $defs: definitions = {}, ...root } = jsonSchemaOf(schema, io);
      const texts = new Map(Object.entries(definitions).map(([id, definition]) => [id, JSON.stringify(definition)]));
      if (io === 'output') for (const [id, text] of texts) sent.set(id, text);
      const differing = differingIds(texts, sent);
      const rename = (id: string): string => (differing.has(id) ? `${id}Input` : id);
      for (const [id, definition] of Object.entries(definitions)) state(rename(id), withReferences(definition, rename));
      return withReferences(root, rename);
    },
    components: () => Object.fromEntries([...components].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
};
