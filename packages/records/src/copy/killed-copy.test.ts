import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawnScript } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditStore } from '../audit/audit-store.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { fillLibrary, fullWork, openLibrary, type OpenedLibrary, resourceAt } from '../testing/open-library.ts';
import { startCopy } from '../testing/start-copy.ts';
import { storeContents } from '../testing/store-contents.ts';
import { upsertDocument } from '../write/write-document.ts';
import { compareCopied } from './compare-copied.ts';

const script = fileURLToPath(new URL('../testing/copy-process.ts', import.meta.url));

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
});
afterAll(async () => library.close());

test('a process that is killed again and again at any moment copies everything once', async () => {
  const suffix = randomBytes(4).toString('hex');
  const [from, to] = [`source_${suffix}`, `destination_${suffix}`];
  const [source, destination] = [await library.openAnother(from), await library.openAnother(to)];
  await fillLibrary(async (endpoint, document) => upsertDocument(source, resourceAt(source.model, endpoint), document));
  await bulkWrite(
    source,
    Array.from({ length: 1_000 }, (_, n) => ({
      resource: library.resource('works'),
      document: { ...fullWork(), title: `Work ${n}` },
    })),
  );
  const args = [JSON.stringify(library.target), from, to];
  let kills = 0;
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const run = spawnScript(script, { args });
    await run.waitForLine(/copying/);
    // Early at first, so that some are killed on a machine that copies all of it in a blink.
    await sleep(5 + Math.random() * (attempt < 3 ? 80 : 400));
    await run.kill();
    if ((await run.ended).signal === 'SIGKILL') kills += 1;
    else break;
  }
  expect(kills).toBeGreaterThan(1);
  const last = await spawnScript(script, { args }).ended;
  expect([last.exitCode, last.stderr]).toEqual([0, '']);
  expect(await storeContents(destination)).toEqual(await storeContents(source));
  expect(await auditStore(destination)).toMatchObject({ damages: 0 });
  const copy = await startCopy({ source, destination });
  expect(await compareCopied(copy)).toMatchObject({ differences: 0, changedInDestination: 0 });
  const { rows } = await library.database.pool.query(
    `SELECT (SELECT count(*)::int FROM ${from}.document) - (SELECT count(*)::int FROM ${to}.document) AS difference, (SELECT count(*)::int FROM ${to}.record_copy_provenance) - (SELECT count(*)::int FROM ${to}.document) AS journal`,
  );
  expect(rows).toEqual([{ difference: 0, journal: 0 }]);
}, 120_000);
