/**
 * Stages what rows say of the whole: one COPY for keys, one for page images, then sets.
 *
 * - The stage is made in one transaction with its problems: it is there whole or not at all, and can be made again.
 * - Order of judgement: control numbers, families, duplicates. A family stands and falls with its root where duplicates are
 *   concerned; a rejected parent leaves its children as roots, with a problem.
 */
import type { ImportRequest } from '@casebound/contract';
import type { Transaction } from '../../../database/index.ts';
import type { Fields } from '../../fields/index.ts';
import type { RowSource } from '../source-row.ts';
import { copyText, writeAll } from './copy-rows.ts';
import { judge } from './judge-rows.ts';
import { matchRows } from './match-rows.ts';
import { stagePages } from './stage-pages.ts';
import { StageProblems } from './stage-problems.ts';

export interface StageCounts {
  readonly rows: number;
  readonly rejected: number;
  readonly duplicates: number;
}

const keyOf = (text: string | null): string | null => (text === null ? null : text.trim());

export interface StageOptions {
  readonly jobId: string;
  readonly source: RowSource;
  /** Decides about duplicates and overlays. */
  readonly request: Pick<ImportRequest, 'deduplicate' | 'overlay'>;
  readonly onProgress: (rows: number) => void;
  /** Rows up to this one are in the case already, from before the stage was lost; they do not clash with themselves. */
  readonly imported: number;
  readonly fields: Fields;
}

/** Stages a source in the caller's transaction. */
export const stageRows = async (
  tx: Transaction,
  { jobId, source, request, onProgress, imported, fields }: StageOptions,
): Promise<StageCounts> => {
  await tx.query('DELETE FROM import_row WHERE job_id = $1', [jobId]);
  await tx.query('DELETE FROM import_page WHERE job_id = $1', [jobId]);
  await tx.query(`DELETE FROM import_problem WHERE job_id = $1 AND stage = 'staging'`, [jobId]);
  const problems = new StageProblems(tx, jobId);
  let rows = 0;
  const lines = async function* (): AsyncIterable<readonly string[]> {
    for await (const batch of source.keys((found) => problems.add(found))) {
      rows += batch.length;
      onProgress(rows);
      yield batch.map(
        (it) =>
          `${[jobId, it.row, it.line, it.path, keyOf(it.controlNumber), keyOf(it.parentKey), keyOf(it.familyKey), it.hashes.md5, it.hashes.sha1, it.hashes.sha256, it.custodian, keyOf(it.matchKey), it.mark ?? null, it.rejected ? 'rejected' : 'pending'].map(copyText).join('\t')}\n`,
      );
    }
  };
  await writeAll(
    tx,
    'COPY import_row (job_id, row_no, line, path, control_number, parent_key, family_key, md5, sha1, sha256, custodian, match_key, source_mark, fate) FROM STDIN',
    lines(),
    problems,
  );
  // The tables were never analysed, and joining them row by row would take for ever.
  await tx.query('SET LOCAL enable_nestloop = off');
  await stagePages(tx, jobId, source, problems);
  if (request.overlay === undefined) {
    rows += await addImageDocuments(tx, jobId, rows, source.imageList);
    for await (const found of source.unreferenced()) {
      problems.add(found);
      if (problems.isDue) await problems.write();
    }
  }
  await problems.write();
  if (request.overlay === undefined) {
    await settleControlNumbers(tx, jobId, imported);
    await settleFamilies(tx, jobId);
    if (request.deduplicate !== 'none') await settleDuplicates(tx, jobId, request.deduplicate, imported);
  } else await matchRows(tx, jobId, request.overlay.key, fields);
  const { rows: counted } = await tx.query<{ rejected: string; duplicates: string }>(
    `SELECT count(*) FILTER (WHERE fate = 'rejected') AS rejected, count(*) FILTER (WHERE fate = 'duplicate') AS duplicates
     FROM import_row WHERE job_id = $1`,
    [jobId],
  );
  return { rows, rejected: Number(counted[0]?.rejected ?? 0), duplicates: Number(counted[0]?.duplicates ?? 0) };
};

/** Documents of the image list that no row names become rows after those of the load file. @returns how many */
const addImageDocuments = async (
  tx: Transaction,
  jobId: string,
  rows: number,
  imageList: string | null,
): Promise<number> => {
  if (imageList === null) return 0;
  const { rowCount } = await tx.query(
    `WITH added AS (
       INSERT INTO import_row (job_id, row_no, line, control_number, origin)
       SELECT $1, $2 + row_number() OVER (ORDER BY line), line, doc_key, 'image' FROM (
         SELECT DISTINCT ON (doc_key) doc_key, line FROM import_page WHERE job_id = $1 ORDER BY doc_key, position) AS document
       WHERE NOT EXISTS (SELECT FROM import_row AS row WHERE row.job_id = $1 AND row.control_number = doc_key)
       RETURNING job_id, row_no, line, control_number)
     INSERT INTO import_problem (job_id, stage, severity, code, row_no, line, path, field, value, reason, rejected)
     SELECT job_id, 'staging', 'note', 'image_document', row_no, line, $3, 'controlNumber', control_number,
            'Only the image list names the document; it becomes an exhibit of its images.', false FROM added ORDER BY row_no`,
    [jobId, rows, imageList],
  );
  return rowCount;
};

const settleControlNumbers = async (tx: Transaction, jobId: string, imported: number): Promise<void> => {
  const found = {
    field: 'controlNumber',
    value: `coalesce(row.control_number, '')`,
    reject: true,
    severity: 'error',
  } as const;
  await judge(tx, jobId, {
    ...found,
    where: 'row.control_number IS NULL',
    code: 'control_number_missing',
    reason: `'The row has no control number.'`,
  });
  await judge(tx, jobId, {
    ...found,
    where: 'length(row.control_number) > 255',
    code: 'control_number_invalid',
    reason: `'The control number is longer than 255 characters.'`,
  });
  await judge(tx, jobId, {
    ...found,
    where: `row.row_no IN (SELECT row_no FROM (SELECT row_no, row_number() OVER (PARTITION BY control_number ORDER BY row_no) AS nth
            FROM import_row WHERE job_id = $1 AND fate = 'pending') AS numbered WHERE nth > 1)`,
    code: 'duplicate_control_number',
    reason: `'The control number stands in an earlier row of the file; the earlier row is taken.'`,
  });
  await judge(tx, jobId, {
    ...found,
    where: `row.row_no > ${imported} AND EXISTS (SELECT FROM exhibit WHERE exhibit.control_number = row.control_number)`,
    code: 'control_number_exists',
    reason: `'An exhibit of the case has this control number; import it as an overlay, or number it anew.'`,
  });
};

const settleFamilies = async (tx: Transaction, jobId: string): Promise<void> => {
  await tx.query(
    `UPDATE import_row AS child SET parent_row = parent.row_no
     FROM import_row AS parent
     WHERE child.job_id = $1 AND child.fate = 'pending' AND child.parent_key IS NOT NULL AND child.parent_key <> child.control_number
       AND parent.job_id = $1 AND parent.fate = 'pending' AND parent.control_number = child.parent_key AND parent.row_no <> child.row_no`,
    [jobId],
  );
  await tx.query(
    `UPDATE import_row AS child SET parent_row = family.first_row
     FROM (SELECT family_key, min(row_no) AS first_row FROM import_row WHERE job_id = $1 AND fate = 'pending' AND family_key IS NOT NULL GROUP BY family_key) AS family
     WHERE child.job_id = $1 AND child.fate = 'pending' AND child.parent_row IS NULL AND child.parent_key IS NULL
       AND child.family_key = family.family_key AND child.row_no <> family.first_row`,
    [jobId],
  );
  await judge(tx, jobId, {
    where: `row.parent_key IS NOT NULL AND row.parent_key <> coalesce(row.control_number, '') AND row.parent_row IS NULL`,
    code: 'parent_missing',
    reason: `'The parent that the row names is not among the rows that are imported; the document is taken as a root.'`,
    field: 'parentId',
    value: 'row.parent_key',
    reject: false,
    severity: 'warning',
  });
  const { rows } = await tx.query<{ left: string }>(
    `WITH RECURSIVE tree AS (
       SELECT row_no, row_no AS root_row, 0 AS depth FROM import_row WHERE job_id = $1 AND fate = 'pending' AND parent_row IS NULL
       UNION ALL
       SELECT child.row_no, tree.root_row, tree.depth + 1 FROM tree JOIN import_row AS child ON child.job_id = $1 AND child.parent_row = tree.row_no
       WHERE tree.depth < 100
     ), settled AS (
       UPDATE import_row AS row SET root_row = tree.root_row FROM tree WHERE row.job_id = $1 AND row.row_no = tree.row_no AND tree.depth > 0 RETURNING 1
     )
     SELECT (SELECT count(*) FROM import_row WHERE job_id = $1 AND fate = 'pending') - (SELECT count(*) FROM tree) AS left`,
    [jobId],
  );
  if (Number(rows[0]?.left ?? 0) > 0) {
    const cyclic = `row.parent_row IS NOT NULL AND row.root_row IS NULL`;
    await judge(tx, jobId, {
      where: cyclic,
      code: 'parent_cycle',
      reason: `'The parents of the row lead back to itself; it is taken as a root.'`,
      field: 'parentId',
      value: 'row.parent_key',
      reject: false,
      severity: 'warning',
    });
    await tx.query(`UPDATE import_row AS row SET parent_row = NULL WHERE job_id = $1 AND ${cyclic}`, [jobId]);
  }
};

/** Roots whose hash an earlier root or an exhibit of the case has, with their families. A document without an exhibit is none of the case's. */
const settleDuplicates = async (
  tx: Transaction,
  jobId: string,
  scope: 'custodian' | 'case',
  imported: number,
): Promise<void> => {
  const sameCustodian = scope === 'custodian';
  await tx.query(
    `WITH root AS (
       SELECT row_no, custodian, coalesce(sha256, sha1, md5) AS hash FROM import_row
       WHERE job_id = $1 AND fate = 'pending' AND parent_row IS NULL AND coalesce(sha256, sha1, md5) IS NOT NULL
     ), first AS (
       SELECT row_no, min(row_no) OVER (PARTITION BY hash ${sameCustodian ? ', custodian' : ''}) AS first_row FROM root
     )
     UPDATE import_row AS row SET fate = 'duplicate', same_as_row = first.first_row
     FROM first WHERE row.job_id = $1 AND row.row_no = first.row_no AND first.first_row < first.row_no`,
    [jobId],
  );
  const custodianMatches = sameCustodian
    ? `AND EXISTS (SELECT FROM exhibit JOIN exhibit__custodians AS held ON held.root_document_id = exhibit.document_id
         JOIN custodian ON custodian.document_id = held.custodian_document_id
         WHERE exhibit.document_document_id = known.document_id AND custodian.name = row.custodian)`
    : '';
  for (const hash of ['sha256', 'sha1', 'md5'] as const) {
    await tx.query(
      `UPDATE import_row AS row SET fate = 'duplicate', same_as_document = known.document_id
       FROM source_document AS known
       WHERE row.job_id = $1 AND row.row_no > $2 AND row.fate = 'pending' AND row.parent_row IS NULL AND row.${hash} IS NOT NULL
         AND known.${hash}_hash = row.${hash} AND known.family_root_document_id IS NULL
         AND EXISTS (SELECT FROM exhibit WHERE exhibit.document_document_id = known.document_id) ${custodianMatches}`,
      [jobId, imported],
    );
  }
  await tx.query(
    `UPDATE import_row AS child SET fate = 'duplicate' FROM import_row AS root
     WHERE child.job_id = $1 AND child.fate = 'pending' AND root.job_id = $1 AND root.row_no = child.root_row AND root.fate = 'duplicate'`,
    [jobId],
  );
};
