/** The role that copies may read the source and write the destination, and owns neither. */
import { expect, test } from 'vitest';
import { createTestDatabase } from '@casebound/test-kit';
import pg from 'pg';
import { auditStore } from '../audit/audit-store.ts';
import { provisionStore } from '../ddl/provision.ts';
import { openStore } from '../open-store.ts';
import { openRecordDatabase } from '../testing/open-database.ts';
import { fillLibrary, fullWork, libraryModel, resourceAt } from '../testing/open-library.ts';
import { startCopy } from '../testing/start-copy.ts';
import { storeContents } from '../testing/store-contents.ts';
import { upsertDocument } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';
import { mapRecords } from './map-records.ts';
import { forgetCopy, removeCopied } from './remove-copied.ts';
import { copyRecords } from './run-copy.ts';

test('a copy needs to own nothing: it maps, writes, compares, takes back and forgets', async () => {
  const created = await createTestDatabase({ template: 'records empty' });
  const role = `${created.target.database}_guest`;
  const owner = openRecordDatabase(created.target, { max: 2 });
  const guest = openRecordDatabase({ ...created.target, user: role, password: 'guest' }, { max: 4 });
  const superuser = new pg.Client(created.superuserTarget);
  await superuser.connect();
  try {
    const model = libraryModel();
    for (const schema of ['source', 'destination']) await provisionStore(owner, model, schema);
    const filled = await openStore({ model, database: owner, schema: 'source' });
    const post = async (endpoint: string, document: Parameters<typeof upsertDocument>[2]) =>
      upsertDocument(filled, resourceAt(model, endpoint), document);
    await fillLibrary(post);
    await post('works', fullWork());
    await superuser.query(`CREATE ROLE "${role}" LOGIN PASSWORD 'guest'`);
    await owner.pool.query(`
      GRANT USAGE ON SCHEMA source, destination TO "${role}";
      GRANT SELECT ON ALL TABLES IN SCHEMA source, destination TO "${role}";
      GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA destination TO "${role}";
      GRANT USAGE ON ALL SEQUENCES IN SCHEMA destination TO "${role}"`);
    const [source, destination] = [
      await openStore({ model, database: guest, schema: 'source' }),
      await openStore({ model, database: guest, schema: 'destination' }),
    ];
    const copy = await startCopy({ source, destination });
    await mapRecords(copy);
    await copyRecords(copy);
    expect(await storeContents(destination)).toEqual(await storeContents(filled));
    expect(await auditStore(destination)).toMatchObject({ damages: 0 });
    expect(await compareCopied(copy)).toMatchObject({ differences: 0 });
    expect(await removeCopied(copy)).toMatchObject({ kept: 0 });
    await forgetCopy(copy);
    const { rows } = await owner.pool.query(
      'SELECT (SELECT count(*)::int FROM destination.document) + (SELECT count(*)::int FROM destination.record_copy_map) + (SELECT count(*)::int FROM destination.record_copy_provenance) AS n',
    );
    expect(rows[0]?.n).toBe(0);
  } finally {
    await superuser.query(`DROP OWNED BY "${role}"`).catch(() => undefined);
    await superuser.end();
    await guest.close();
    await owner.close();
    await created.drop();
  }
});
