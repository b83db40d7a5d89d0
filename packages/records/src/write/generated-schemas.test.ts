/** Laws over generated schemas and documents: what is written comes back, bulk is the same, a copy of a store is the store. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { openStore } from '../open-store.ts';
import { listDocuments } from '../read/read-documents.ts';
import { loadSchema } from '../schema/load-schema.ts';
import type { StoreContext } from '../store-context.ts';
import { buildSchema, type Members, type MemberSpec, type ProjectSpec } from '../testing/build-schema.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../testing/open-database.ts';
import { resourceAt } from '../testing/open-library.ts';
import type { JsonValue } from './parse-json.ts';
import { upsertDocument } from './write-document.ts';

let created: TestDatabase;
let database: TestRecordDatabase;
beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  database = openRecordDatabase(created.target, { max: 4, prepare: false });
});
afterAll(async () => {
  await database.close();
  await created.drop();
});

const names = fc.constantFrom(
  'a',
  'b',
  'fieldOne',
  'CTEValue',
  'order',
  'select',
  'user',
  "o'clock",
  'x y',
  'a".b'.replace('.', ''),
  'überlang',
  '$cash',
  'long'.repeat(20),
  'type',
  'group',
);
const leaf: fc.Arbitrary<MemberSpec> = fc.constantFrom<MemberSpec>(
  { kind: 'string' },
  { kind: 'integer' },
  { kind: 'boolean' },
  { kind: 'date' },
  { kind: 'time' },
  { kind: 'timestamp' },
  { kind: 'json' },
  { kind: 'number' },
  { kind: 'number', totalDigits: 8, decimalPlaces: 3 },
  { kind: 'descriptor', target: 'ToneDescriptor' },
);

const membersOf = (depth: number, targets: readonly string[]): fc.Arbitrary<Members> => {
  const reference: fc.Arbitrary<MemberSpec> =
    targets.length === 0 ? leaf : fc.constantFrom(...targets).map((target) => ({ kind: 'reference', target }));
  const nested: fc.Arbitrary<MemberSpec> =
    depth <= 0
      ? leaf
      : fc.oneof(
          membersOf(depth - 1, targets).map((members): MemberSpec => ({ kind: 'list', members })),
          membersOf(depth - 1, targets).map((members): MemberSpec => ({ kind: 'object', members })),
          leaf.filter((spec) => spec.kind !== 'json').map((item): MemberSpec => ({ kind: 'values', item })),
        );
  return fc.dictionary(
    names,
    fc.oneof({ weight: 4, arbitrary: leaf }, { weight: 2, arbitrary: reference }, { weight: 3, arbitrary: nested }),
    { minKeys: 1, maxKeys: 5 },
  );
};

const resourceNames = ['Alpha', 'Beta', 'Gamma'] as const;
const project: fc.Arbitrary<ProjectSpec> = fc
  .tuple(membersOf(2, []), membersOf(3, ['Alpha']), membersOf(2, ['Alpha', 'Beta']))
  .map((all) => ({
    name: 'Generated',
    endpoint: 'g',
    descriptors: ['ToneDescriptor'],
    resources: Object.fromEntries(
      resourceNames.map((name, index) => {
        const parent = resourceNames[index - 1];
        const parentPaths = [...resourceNames]
          .slice(0, index)
          .map((_, at, list) => `$.parentReference.key${list.length - 1 - at === 0 ? list.length - 1 : at}`);
        return [
          name,
          {
            endpoint: name.toLowerCase(),
            identity: [`$.key${index}`, ...parentPaths.filter((path, at, list) => list.indexOf(path) === at)],
            allowIdentityUpdates: true,
            members: {
              ...all[index],
              [`key${index}`]: { kind: 'string', required: true },
              ...(parent === undefined
                ? {}
                : { parentReference: { kind: 'reference', target: parent, required: true } }),
            },
          },
        ];
      }),
    ),
  }));

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((value) => !value.includes('\u0000') && value.isWellFormed());
const tones = ['uri://g/Tone#Low', 'uri://g/Tone#High'];
const date = fc
  .date({ min: new Date('0002-01-01'), max: new Date('9998-01-01'), noInvalidDate: true })
  .map((value) => value.toISOString());

const valueOf = (spec: MemberSpec): fc.Arbitrary<JsonValue | undefined> => {
  switch (spec.kind) {
    case 'string':
      return text;
    case 'integer':
      return fc.maxSafeInteger();
    case 'boolean':
      return fc.boolean();
    case 'number':
      return spec.totalDigits === undefined
        ? fc
            .double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 })
            .map((value) => (Object.is(value, -0) || Math.abs(value) < 1e-200 ? 0 : value))
        : fc.integer({ min: -99_999_999, max: 99_999_999 }).map((value) => value / 1000);
    case 'date':
      return date.map((value) => value.slice(0, 10));
    case 'time':
      return date.map((value) => value.slice(11, 19));
    case 'timestamp':
      return date.map((value) => `${value.slice(0, 19)}Z`);
    case 'json':
      return fc
        .jsonValue({ maxDepth: 2 })
        .map((value) => JSON.parse(JSON.stringify(value)) as JsonValue)
        .filter(
          (value) =>
            value !== null &&
            !JSON.stringify(value).includes('\\u0000') &&
            JSON.stringify(value).isWellFormed() &&
            !/e[+-]|\\ud|-0\b/i.test(JSON.stringify(value)),
        );
    case 'descriptor':
      return fc.constantFrom(...tones);
    case 'reference':
      return fc.constant({ $reference: spec.target });
    case 'object':
      return documentOf(spec.members);
    case 'list':
      return fc.array(documentOf(spec.members), { maxLength: 3 });
    case 'values':
      return fc.array(
        valueOf(spec.item).filter((value) => value !== undefined),
        { maxLength: 3 },
      );
  }
};

const documentOf = (members: Members): fc.Arbitrary<{ [key: string]: JsonValue }> =>
  fc.record(Object.fromEntries(Object.entries(members).map(([name, spec]) => [name, valueOf(spec)])), {
    requiredKeys: [],
  }) as fc.Arbitrary<{ [key: string]: JsonValue }>;

const identityMembers: Readonly<Record<string, readonly string[]>> = {
  Alpha: ['key0'],
  Beta: ['key1', 'key0'],
  Gamma: ['key2', 'key1', 'key0'],
};

/** Puts real identities where the generator left marks. */
const bind = (value: JsonValue, n: number): JsonValue => {
  if (Array.isArray(value)) return value.map((item) => bind(item, n));
  if (typeof value !== 'object' || value === null) return value;
  const target = value['$reference'];
  if (typeof target === 'string')
    return Object.fromEntries((identityMembers[target] ?? []).map((member) => [member, `${member}-${n}`]));
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, bind(member, n)]));
};

/** What the schema keeps: no empty objects, no empty arrays (but items of arrays stay). */
const kept = (value: JsonValue, spec: MemberSpec): JsonValue | undefined => {
  if (spec.kind === 'object') {
    const members = keptMembers(value as { [key: string]: JsonValue }, spec.members);
    return Object.keys(members).length === 0 ? undefined : members;
  }
  if (spec.kind === 'list') {
    const items = (value as { [key: string]: JsonValue }[]).map((item) => keptMembers(item, spec.members));
    return items.length === 0 ? undefined : items;
  }
  return spec.kind === 'values' && (value as JsonValue[]).length === 0 ? undefined : value;
};

const keptMembers = (value: { [key: string]: JsonValue }, members: Members): { [key: string]: JsonValue } =>
  Object.fromEntries(
    Object.entries(members).flatMap(([name, spec]) => {
      const own = value[name];
      const result = own === undefined ? undefined : kept(own, spec);
      return result === undefined ? [] : [[name, result]];
    }),
  );

const stored = async (store: StoreContext, endpoint: string): Promise<{ [key: string]: JsonValue }[]> => {
  const page = await listDocuments(store, resourceAt(store.model, endpoint), { limit: 500 });
  return page.bodies.map((body) => {
    const { id: _id, _etag: _e, _lastModifiedDate: _m, ...members } = JSON.parse(body) as { [key: string]: JsonValue };
    return members;
  });
};

test('write then read gives back what the schema keeps; written again nothing changes; a copy of the store is the store', async () => {
  let run = 0;
  const input = project.chain((spec) =>
    fc.tuple(
      fc.constant(spec),
      ...resourceNames.map((name) =>
        fc.array(documentOf(spec.resources[name]?.members ?? {}), { minLength: 2, maxLength: 3 }),
      ),
    ),
  );
  await fc.assert(
    fc.asyncProperty(input, async ([spec, ...documents]) => {
      run += 1;
      const model = deriveModel(loadSchema([buildSchema(spec)]));
      const open = async (schema: string): Promise<StoreContext> => {
        await provisionStore(database, model, schema);
        const store = await openStore({ model, database, schema });
        for (const tone of tones)
          await upsertDocument(store, resourceAt(model, 'toneDescriptors'), {
            namespace: 'uri://g/Tone',
            codeValue: tone.split('#')[1] ?? '',
            shortDescription: 't',
          });
        return store;
      };
      const store = await open(`one_${run}`);
      const expected: { endpoint: string; document: { [key: string]: JsonValue } }[] = [];
      for (const [index, name] of resourceNames.entries()) {
        for (const [n, generated] of (documents[index] ?? []).entries()) {
          const marks = index === 0 ? {} : { parentReference: { $reference: resourceNames[index - 1] ?? '' } };
          const document = bind({ ...generated, ...marks, [`key${index}`]: `key${index}-${n}` }, n === 2 ? 0 : n) as {
            [key: string]: JsonValue;
          };
          const unique = { ...document, [`key${index}`]: `key${index}-${n}` };
          expected.push({ endpoint: name.toLowerCase(), document: unique });
          const resource = resourceAt(model, name.toLowerCase());
          expect((await upsertDocument(store, resource, unique)).outcome).toBe('created');
          expect((await upsertDocument(store, resource, unique)).outcome).toBe('unchanged');
        }
      }
      for (const name of resourceNames) {
        const endpoint = name.toLowerCase();
        const wanted = expected
          .filter((entry) => entry.endpoint === endpoint)
          .map((entry) => keptMembers(entry.document, spec.resources[name]?.members ?? {}));
        expect(await stored(store, endpoint)).toEqual(wanted);
      }
      const copy = await open(`two_${run}`);
      for (const name of resourceNames) {
        const rows = (await stored(store, name.toLowerCase())).map((document) => ({
          resource: resourceAt(model, name.toLowerCase()),
          document,
        }));
        expect(await bulkWrite(copy, rows)).toMatchObject({ created: rows.length, failed: 0 });
        expect(await stored(copy, name.toLowerCase())).toEqual(await stored(store, name.toLowerCase()));
      }
      expect(await auditStore(copy)).toMatchObject({ damages: 0 });
      await database.pool.query(`DROP SCHEMA one_${run} CASCADE; DROP SCHEMA two_${run} CASCADE`);
    }),
    { numRuns: 8 },
  );
}, 120_000);
