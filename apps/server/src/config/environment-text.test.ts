import { CaseboundError } from '@casebound/contract';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decodeText, encodeText } from './environment-text.ts';
import { variableOf } from './environment-name.ts';
import { loadConfig } from './load-config.ts';
import { configSchema } from './schema.ts';
import { readSchema, schemaLeaves, type LeafNode, type SchemaLeaf } from './schema-tree.ts';

type JsonSchema = z.core.JSONSchema.JSONSchema;

const arbitraryOf = (schema: JsonSchema | boolean): fc.Arbitrary<unknown> => {
  if (typeof schema === 'boolean') return fc.string();
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return fc.oneof(...options.map(arbitraryOf));
  switch (schema.type) {
    case 'integer': {
      const min =
        schema.minimum ?? (typeof schema.exclusiveMinimum === 'number' ? schema.exclusiveMinimum + 1 : undefined);
      return fc.maxSafeInteger().map((n) => {
        const low = Math.max(min ?? Number.MIN_SAFE_INTEGER, -1e9);
        const high = Math.min(schema.maximum ?? Number.MAX_SAFE_INTEGER, 1e12);
        return low + (Math.abs(n) % (high - low + 1));
      });
    }
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(arbitraryOf(Array.isArray(schema.items) ? true : (schema.items ?? true)), {
        minLength: schema.minItems ?? 0,
        maxLength: 4,
      });
    case 'object': {
      const required = new Set(schema.required ?? []);
      const members = Object.entries(schema.properties ?? {});
      const record = fc.record(Object.fromEntries(members.map(([key, member]) => [key, arbitraryOf(member)])), {
        requiredKeys: members.map(([key]) => key).filter((key) => required.has(key)),
      });
      const { propertyNames, additionalProperties } = schema;
      if (typeof propertyNames !== 'object' || typeof additionalProperties !== 'object') return record;
      return fc
        .array(fc.tuple(arbitraryOf(propertyNames), arbitraryOf(additionalProperties)), { maxLength: 4 })
        .map((entries) => Object.fromEntries(entries.map(([key, value]) => [String(key), value])));
    }
    case 'string':
      if (schema.format === 'uri') return fc.webUrl();
      if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern));
      return fc.oneof(
        fc.string({ unit: 'binary', minLength: schema.minLength ?? 0, maxLength: schema.maxLength ?? 40 }),
        fc
          .constantFrom('true', 'null', '12', '1e3', '"x"', '[1]', '{}', 'a,b', ' a ', '""')
          .filter((text) => text.length >= (schema.minLength ?? 0)),
      );
    default:
      return fc.string();
  }
};

const leafArbitrary = (leaf: LeafNode): fc.Arbitrary<unknown> =>
  arbitraryOf(z.toJSONSchema(leaf.inner, { io: 'input', unrepresentable: 'any' }));

const leaves = schemaLeaves(readSchema(configSchema));
/** What a kind cannot do without. */
const neighboursOf = (kinds: readonly string[]): Readonly<Record<string, string>> => ({
  ...(kinds.includes('s3') ? { CASEBOUND_OBJECT_STORE_BUCKET: 'some-bucket' } : {}),
  ...(kinds.includes('url') ? { CASEBOUND_DATABASE_URL: 'secret://db-url' } : {}),
  ...(kinds.includes('nutrient')
    ? {
        CASEBOUND_DOCUMENT_ENGINE_URL: 'https://engine.example.com',
        CASEBOUND_DOCUMENT_ENGINE_API_TOKEN: 'secret://engine-token',
      }
    : {}),
  ...(kinds.includes('chain') ? { CASEBOUND_SECRETS_STORE_STORES: '[{"kind":"environment"}]' } : {}),
});

const title = ({ path, when }: SchemaLeaf): string => `${path.join('.')} ${[...when.values()].join(' ')}`;

describe('a setting as text', () => {
  it.each(leaves.map((leaf) => [title(leaf), leaf] as const))(
    '%s: any value comes back from its text',
    (_title, { node }) => {
      fc.assert(
        fc.property(leafArbitrary(node), (value) => {
          // A variable that is set to nothing is not set, whatever the leaf; a secret is never empty.
          fc.pre(!(node.secret && value === ''));
          const text = encodeText(node, value);
          expect(text).not.toBe('');
          expect(decodeText(node, text)).toEqual(value);
        }),
        { numRuns: 60 },
      );
    },
  );

  it.each(leaves.filter(({ node }) => !node.secret).map((leaf) => [title(leaf), leaf] as const))(
    '%s: the loader gives from the environment what the schema gives',
    async (_title, { path, node, when }) => {
      await fc.assert(
        fc.asyncProperty(leafArbitrary(node), async (value) => {
          const expected = node.schema.safeParse(value);
          fc.pre(expected.success);
          const environment = {
            ...Object.fromEntries([...when].map(([kindPath, kind]) => [variableOf(kindPath.split('.')), kind])),
            ...neighboursOf([...when.values()]),
            [variableOf(path)]: encodeText(node, value),
          };
          const seen = await loadConfig(configSchema, { environment, workingFolder: '/nonexistent' }).then(
            (effective) => effective.leaves.find((leaf) => leaf.path === path.join('.')),
            (error: unknown) => {
              // A bound that depends on another key is no concern here.
              if (error instanceof CaseboundError && error.code === 'config_invalid') return undefined;
              throw error;
            },
          );
          fc.pre(seen !== undefined);
          expect(seen).toMatchObject({
            value: expected.data,
            origin: { kind: 'environment', variable: variableOf(path) },
          });
        }),
        { numRuns: 4, maxSkipsPerRun: 20 },
      );
    },
  );
});

const decode = (schema: z.ZodType, text: string): unknown => {
  const node = readSchema(schema);
  if (node.type !== 'leaf') throw new Error('no leaf');
  return decodeText(node, text);
};

describe('decodeText', () => {
  it.each([
    [z.number(), '8080', 8080],
    [z.number(), ' -1.5e3 ', -1500],
    [z.number(), '0x10', '0x10'],
    [z.number(), 'Infinity', 'Infinity'],
    [z.boolean(), 'YES', true],
    [z.boolean(), 'off', false],
    [z.boolean(), '1', true],
    [z.boolean(), '2', '2'],
    [z.string(), '8080', '8080'],
    [z.string(), '""', ''],
    [z.string(), '"a"b"', '"a"b"'],
    [z.string().nullable(), 'null', null],
    [z.union([z.int(), z.literal('off')]), 'off', 'off'],
    [z.union([z.int(), z.literal('off')]), '3', 3],
    [z.union([z.boolean(), z.int()]), '1', 1],
    [z.union([z.boolean(), z.string()]), 'yes', 'yes'],
    [z.array(z.int()), '1, 2,3', [1, 2, 3]],
    [z.array(z.string()), '["a,b"]', ['a,b']],
    [z.array(z.string()).default([]), 'a', ['a']],
    [z.record(z.string(), z.int()), '{"a":1}', { a: 1 }],
    [z.record(z.string(), z.int()), '{"a":', '{"a":'],
  ])('reads %# %s', (schema, text, value) => {
    expect(decode(schema, text)).toEqual(value);
  });
});
