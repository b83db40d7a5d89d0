/**
 * Matches the rows of an overlay with exhibits of the case, in sets.
 *
 * - A row that matches none, or several, is rejected and told; so is a second row for one exhibit.
 * - Values of custom fields lie outside the database: all exhibits' values are read once, a thousand at a time.
 */
import { CaseboundError } from '@casebound/contract';
import type { Transaction } from '../../../database/index.ts';
import type { Fields } from '../../fields/index.ts';
import { copyText, writeAll } from './copy-rows.ts';
import { judge } from './judge-rows.ts';

/** Core fields that rows can be matched by, as columns of `exhibit` e and `source_document` d. */
const keyColumns: Readonly<Record<string, string>> = {
  controlNumber: 'e.control_number',
  md5Hash: 'd.md5_hash',
  sha1Hash: 'd.sha1_hash',
  sha256Hash: 'd.sha256_hash',
  messageId: 'd.message_id',
  messageIdHash: 'd.message_id_hash',
  fileName: 'd.file_name',
  originalPath: 'd.source_path',
};

/** Errors: `validation_failed` for a core field that nothing can be matched by. */
export const checkOverlayKey = (key: string, isCore: boolean): void => {
  if (!isCore || Object.hasOwn(keyColumns, key)) return;
  throw new CaseboundError(
    'validation_failed',
    `Rows cannot be matched by ${key}; choose one of ${Object.keys(keyColumns).join(', ')}, or a custom field.`,
  );
};

const exhibitsPerRead = 1_000;

async function* valueLines(
  tx: Transaction,
  jobId: string,
  fields: Fields,
  title: string,
): AsyncGenerator<readonly string[]> {
  for (let after = 0; ;) {
    const { rows } = await tx.query<{ exhibit_id: string }>(
      'SELECT exhibit_id FROM custom_field_pointer WHERE exhibit_id > $1 ORDER BY exhibit_id LIMIT $2',
      [after, exhibitsPerRead],
    );
    const ids = rows.map((row) => Number(row.exhibit_id));
    const last = ids.at(-1);
    if (last === undefined) return;
    const values = await fields.readWithin(tx, ids);
    yield [...values].flatMap(([exhibitId, stored]) => {
      const value = Object.hasOwn(stored.values, title) ? stored.values[title] : undefined;
      return value === undefined ? [] : [`${[jobId, exhibitId, String(value)].map(copyText).join('\t')}\n`];
    });
    after = last;
  }
}

const stageValues = async (tx: Transaction, jobId: string, fields: Fields, title: string): Promise<void> => {
  await tx.query('DELETE FROM import_match WHERE job_id = $1', [jobId]);
  // COPY holds the connection, so the reading is done before each stretch of it.
  for await (const lines of valueLines(tx, jobId, fields, title)) {
    await writeAll(
      tx,
      'COPY import_match (job_id, exhibit_id, value) FROM STDIN',
      (async function* () {
        yield await Promise.resolve(lines);
      })(),
    );
  }
};

/** @returns how many rows are rejected */
export const matchRows = async (tx: Transaction, jobId: string, key: string, fields: Fields): Promise<number> => {
  let rejected = 0;
  const column = Object.hasOwn(keyColumns, key) ? keyColumns[key] : undefined;
  if (column === undefined) await stageValues(tx, jobId, fields, key);
  const found =
    column === undefined
      ? 'SELECT m.exhibit_id AS document_id, m.value AS key FROM import_match AS m WHERE m.job_id = $1'
      : `SELECT e.document_id, ${column} AS key FROM exhibit AS e JOIN source_document AS d ON d.document_id = e.document_document_id`;
  const about = { field: key, value: `coalesce(row.match_key, '')`, reject: true, severity: 'error' } as const;
  rejected += await judge(tx, jobId, {
    ...about,
    where: 'row.match_key IS NULL',
    code: 'overlay_key_missing',
    reason: `'The row has no value to be matched by.'`,
  });
  rejected += await judge(tx, jobId, {
    ...about,
    where: `row.row_no IN (SELECT row_no FROM (SELECT row_no, row_number() OVER (PARTITION BY match_key ORDER BY row_no) AS nth
            FROM import_row WHERE job_id = $1 AND fate = 'pending') AS numbered WHERE nth > 1)`,
    code: 'overlay_key_twice',
    reason: `'An earlier row of the file has the same value; the earlier row is taken.'`,
  });
  await tx.query(
    `UPDATE import_row AS row SET match_exhibit = CASE WHEN found.several THEN 0 ELSE found.document_id END
     FROM (SELECT key, min(document_id) AS document_id, count(*) > 1 AS several FROM (${found}) AS candidate
           WHERE key IN (SELECT match_key FROM import_row WHERE job_id = $1 AND fate = 'pending') GROUP BY key) AS found
     WHERE row.job_id = $1 AND row.fate = 'pending' AND row.match_key = found.key`,
    [jobId],
  );
  rejected += await judge(tx, jobId, {
    ...about,
    where: 'row.match_exhibit IS NULL',
    code: 'overlay_unmatched',
    reason: `'No exhibit of the case has this value.'`,
  });
  rejected += await judge(tx, jobId, {
    ...about,
    where: 'row.match_exhibit = 0',
    code: 'overlay_ambiguous',
    reason: `'Several exhibits of the case have this value.'`,
  });
  if (column === undefined) await tx.query('DELETE FROM import_match WHERE job_id = $1', [jobId]);
  return rejected;
};
