/** The tour of the record store, with the committed schema: what `npm run bench records-show` shows, expected. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { showRecords } from '../../bench/records/show.ts';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../packages/records/fixtures/${name}`, import.meta.url));

test(
  'served, renamed under writers, refused, killed in a bulk write: the audit finds nothing',
  { timeout: 240_000 },
  async () => {
    const shown = await showRecords({
      schemaFiles: [fixture('library.api-schema.json'), fixture('library-archive.api-schema.json')],
      writers: 10,
      seconds: 2,
      bulkLines: 6_000,
      report: () => undefined,
    });
    expect(shown.serve.documents).toBe(shown.serve.resources);

    const { changed, levels, othersChanged } = shown.rename;
    expect(levels).toBe(5);
    const chain = ['Author', 'Work', 'Copy', 'Loan', 'Renewal'].map((name, level) => ({
      resource: `Library.${name}`,
      level,
      etag: '2',
    }));
    expect(changed).toEqual(expect.arrayContaining(chain));
    expect(changed.map((entry) => entry.etag)).toEqual(changed.map(() => '2'));
    expect(changed.map((entry) => entry.resource)).toContain('Library.ReadingList');
    expect(othersChanged).toBe(0);

    expect(shown.contention.renames).toBeGreaterThan(0);
    const unexpected = Object.keys(shown.contention.outcomes).filter(
      (outcome) => !/^(written 20[01]|delete (204|404|409|503)|rename (204|503)|409 .*|503 .*)$/.test(outcome),
    );
    expect(unexpected).toEqual([]);
    expect(shown.contention.audit.damages).toBe(0);

    expect(shown.refusedDelete).toMatchObject({ status: 409 });
    expect(shown.refusedDelete.types).toContain('is referred to by Library.Work');

    const { killed } = shown;
    expect(killed.acknowledged).toBe(false);
    expect(killed.kept % 2_000).toBe(0);
    expect(killed.audit.damages).toBe(0);
    expect(killed.again).toMatchObject({ created: killed.sent - killed.kept, unchanged: killed.kept, failed: 0 });
  },
);
