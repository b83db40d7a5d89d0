/** The law of copies over generated schemas and documents: a copy of a store is the store, and what was copied can be taken back. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { openStore } from '../open-store.ts';
import { loadSchema } from '../schema/load-schema.ts';
import type { StoreContext } from '../store-context.ts';
import { buildSchema } from '../testing/build-schema.ts';
import { bind, documentOf, project, resourceNames, tones } from '../testing/generate-documents.ts';
import { openRecordDatabase, type TestRecordDatabase } from '../testing/open-database.ts';
import { resourceAt } from '../testing/open-library.ts';
import { startCopy } from '../testing/start-copy.ts';
import { storeContents } from '../testing/store-contents.ts';
import { storeRows } from '../testing/store-rows.ts';
import { openStreamingDatabase } from '../testing/streaming-database.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { compareCopied } from './compare-copied.ts';
import { mapRecords } from './map-records.ts';
import type { CopyAcross } from './open-copy.ts';
import { prefixValue } from './policy.ts';
import { removeCopied } from './remove-copied.ts';
import { copyRecords } from './run-copy.ts';

let created: readonly TestDatabase[];
let database: TestRecordDatabase;
let far: TestRecordDatabase;
let across: {
  source: CopyAcross['source'] & { close(): Promise<void> };
  destination: CopyAcross['destination'] & { close(): Promise<void> };
};
beforeAll(async () => {
  const [near, other] = [
    await createTestDatabase({ template: 'records empty' }),
    await createTestDatabase({ template: 'records empty' }),
  ];
  created = [near, other];
  database = openRecordDatabase(near.target, { max: 4, prepare: false });
  far = openRecordDatabase(other.target, { max: 4, prepare: false });
  across = {
    source: openStreamingDatabase(near.target, 'REPEATABLE READ'),
    destination: openStreamingDatabase(other.target, 'READ COMMITTED'),
  };
});
afterAll(async () => {
  await across.source.close();
  await across.destination.close();
  await database.close();
  await far.close();
  for (const one of created) await one.drop();
});

test('a copy of a store is the store, within a database and across two; removed, the destination is what it was', async () => {
  let run = 0;
  const input = project.chain((spec) =>
    fc.tuple(
      fc.constant(spec),
      fc.boolean(),
      fc.constantFrom(1, 3, 1_000),
      ...resourceNames.map((name) =>
        fc.array(documentOf(spec.resources[name]?.members ?? {}), { minLength: 2, maxLength: 5 }),
      ),
    ),
  );
  await fc.assert(
    fc.asyncProperty(input, async ([spec, isFar, chunkSize, ...documents]) => {
      run += 1;
      const model = deriveModel(loadSchema([buildSchema(spec)]));
      const open = async (on: TestRecordDatabase, schema: string): Promise<StoreContext> => {
        await provisionStore(on, model, schema);
        return openStore({ model, database: on, schema });
      };
      const source = await open(database, `source_${run}`);
      const rows: { endpoint: string; document: { [key: string]: JsonValue } }[] = tones.map((tone) => ({
        endpoint: 'toneDescriptors',
        document: { namespace: 'uri://g/Tone', codeValue: tone.split('#')[1] ?? '', shortDescription: 't' },
      }));
      for (const [index, name] of resourceNames.entries()) {
        for (const [n, generated] of (documents[index] ?? []).entries()) {
          const marks = index === 0 ? {} : { parentReference: { $reference: resourceNames[index - 1] ?? '' } };
          const document = bind({ ...generated, ...marks }, n > 1 ? 0 : n) as { [key: string]: JsonValue };
          rows.push({ endpoint: name.toLowerCase(), document: { ...document, [`key${index}`]: `key${index}-${n}` } });
        }
      }
      const written = await bulkWrite(
        source,
        rows.map(({ endpoint, document }) => ({ resource: resourceAt(model, endpoint), document })),
      );
      expect(written.failed).toBe(0);
      const destination = await open(isFar ? far : database, `copy_${run}`);
      const before = await storeRows(isFar ? far : database, `copy_${run}`);
      const options = { source, destination, chunkSize, ...(isFar ? { across } : {}) };
      const copy = await startCopy(options);
      await mapRecords(copy);
      await copyRecords(copy);
      expect(await storeContents(destination)).toEqual(await storeContents(source));
      expect(await auditStore(destination)).toMatchObject({ damages: 0 });
      expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
      // Renamed at the root, everything is new, however far its identity contains the root's.
      const policy = {
        resources: { 'Generated.Alpha': { columns: { '$.key0': prefixValue('p') } } },
        parameters: { p: 'r ' },
      };
      const renamed = await startCopy({ ...options, policy, key: 'renamed' });
      expect((await mapRecords(renamed)).resources['Generated.Gamma']).toMatchObject({
        matched: 0,
        inserted: documents[2]?.length,
      });
      await copyRecords(renamed);
      expect(await auditStore(destination)).toMatchObject({ damages: 0 });
      expect(await compareCopied(renamed)).toMatchObject({ differences: 0 });
      expect(await removeCopied(renamed)).toMatchObject({ kept: 0 });
      expect(await removeCopied(copy)).toMatchObject({ kept: 0 });
      expect(await storeRows(isFar ? far : database, `copy_${run}`)).toEqual(before);
      await database.pool.query(`DROP SCHEMA source_${run} CASCADE; DROP SCHEMA IF EXISTS copy_${run} CASCADE`);
      if (isFar) await far.pool.query(`DROP SCHEMA copy_${run} CASCADE`);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 8) },
  );
}, 240_000);
