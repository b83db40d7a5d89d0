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
import { buildSchema } from '../testing/build-schema.ts';
import { bind, documentOf, keptMembers, project, resourceNames, tones } from '../testing/generate-documents.ts';
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
      // Each record takes over the members of its neighbour: one by one in one store, in bulk in the other.
      const changed = expected.map(({ endpoint, document }) => {
        const same = expected.filter((other) => other.endpoint === endpoint);
        const next = same[(same.findIndex((other) => other.document === document) + 1) % same.length]?.document ?? {};
        const own = Object.entries(document).filter(([name]) => /^(key\d|parentReference)$/.test(name));
        return { endpoint, document: { ...next, ...Object.fromEntries(own) } };
      });
      for (const { endpoint, document } of changed)
        expect((await upsertDocument(store, resourceAt(model, endpoint), document)).outcome).not.toBe('created');
      const rows = changed.map(({ endpoint, document }) => ({ resource: resourceAt(model, endpoint), document }));
      expect(await bulkWrite(copy, rows)).toMatchObject({ created: 0, failed: 0 });
      for (const name of resourceNames) {
        const endpoint = name.toLowerCase();
        const wanted = changed
          .filter((entry) => entry.endpoint === endpoint)
          .map((entry) => keptMembers(entry.document, spec.resources[name]?.members ?? {}));
        expect(await stored(store, endpoint)).toEqual(wanted);
        expect(await stored(copy, endpoint)).toEqual(wanted);
      }
      for (const each of [store, copy]) expect(await auditStore(each)).toMatchObject({ damages: 0 });
      await database.pool.query(`DROP SCHEMA one_${run} CASCADE; DROP SCHEMA two_${run} CASCADE`);
    }),
    { numRuns: 8 },
  );
}, 300_000);
