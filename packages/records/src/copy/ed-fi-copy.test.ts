/** The large real schema, copied: a full record of each of its 340 resources, with everything that it may hold. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTestDatabase } from '@casebound/test-kit';
import { expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { openStore } from '../open-store.ts';
import { loadSchema } from '../schema/load-schema.ts';
import type { StoreContext } from '../store-context.ts';
import { fillEveryResource } from '../testing/fill-every-resource.ts';
import { openRecordDatabase } from '../testing/open-database.ts';
import { resourceAt } from '../testing/open-library.ts';
import { startCopy } from '../testing/start-copy.ts';
import { storeContents } from '../testing/store-contents.ts';
import { storeRows } from '../testing/store-rows.ts';
import { upsertDocument } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';
import { mapRecords } from './map-records.ts';
import { removeCopied } from './remove-copied.ts';
import { copyRecords } from './run-copy.ts';

const file = fileURLToPath(new URL('../../../../../shared/data/apischema/ed-fi-5.1.json', import.meta.url));

test.skipIf(!existsSync(file))(
  'a record of each of 340 resources is copied whole, renamed through all that contains it, compared, and taken back',
  async () => {
    const created = await createTestDatabase({ template: 'records empty' });
    const database = openRecordDatabase(created.target, { max: 4, prepare: false });
    try {
      const model = deriveModel(loadSchema([JSON.parse(readFileSync(file, 'utf8'))]));
      const open = async (schema: string): Promise<StoreContext> => {
        await provisionStore(database, model, schema);
        return openStore({ model, database, schema });
      };
      const [source, destination] = [await open('source'), await open('destination')];
      await fillEveryResource(model, async ({ resource, document }) => upsertDocument(source, resource, document));
      const before = await storeRows(database, 'destination');
      const whole = await startCopy({ source, destination, chunkSize: 1_000 });
      await mapRecords(whole);
      await copyRecords(whole);
      expect(await storeContents(destination)).toEqual(await storeContents(source));
      expect(await auditStore(destination)).toMatchObject({ damages: 0 });
      expect(await compareCopied(whole)).toMatchObject({ differences: 0 });
      const renaming = {
        resources: {
          'Ed-Fi.School': { columns: { '$.schoolId': (scope: { value: string }) => `${scope.value} + 1000000` } },
        },
      };
      const renamed = await startCopy({
        source,
        destination,
        key: 'renamed',
        policy: renaming,
        select: 'SELECT document_id FROM source.section',
      });
      const summary = await mapRecords(renamed);
      for (const name of ['School', 'Session', 'CourseOffering', 'Section'])
        expect([name, summary.resources[`Ed-Fi.${name}`]?.inserted]).toEqual([name, 1]);
      await copyRecords(renamed);
      expect(await auditStore(destination)).toMatchObject({ damages: 0 });
      expect(await compareCopied(renamed)).toMatchObject({ differences: 0 });
      expect(resourceAt(model, 'sections').name.resourceName).toBe('Section');
      expect(await removeCopied(renamed)).toMatchObject({ kept: 0 });
      expect(await removeCopied(whole)).toMatchObject({ kept: 0 });
      expect(await storeRows(database, 'destination')).toEqual(before);
    } finally {
      await database.close();
      await created.drop();
    }
  },
  240_000,
);
