/**
 * Stages what rows say of the whole: one COPY for keys, one for page images, then sets.
 *
 * - The stage is made in one transaction with its problems: it is there whole or not at all, and can be made again. The keys alone may have
 *   been copied before, while the plan was made (`stage-ahead.ts`); they are no stage, and whoever does not know of them copies them anew.
 * - Order of judgement: control numbers, families, duplicates. A family stands and falls with its root where duplicates are
 *   concerned; a rejected parent leaves its children as roots, with a problem.
 */
import type { ImportRequest } from '@casebound/contract';
import type { Transaction, TransactionOptions } from '../../../database/index.ts';
import type { Fields } from '../../fields/index.ts';
import type { RowProblem } from '../import-problem.ts';
import type { RowKeys, RowSource } from '../source-row.ts';
import { copyText, type Pause, writeAll } from './copy-rows.ts';
import { judge } from './judge-rows.ts';
import { KeyFacts } from './key-facts.ts';
import { matchRows } from './match-rows.ts';
import { settleFamilies } from './settle-families.ts';
import { stagePages } from './stage-pages.ts';
import { StageProblems } from './stage-problems.ts';

/** The stage is one transaction over the whole source. */
export const stageOptions: TransactionOptions = {
  statementTimeoutMs: 3_600_000,
  transactionTimeoutMs: 7_200_000,
  retryOnConflict: false,
};

export interface StageCounts {
  readonly rows: number;
  readonly rejected: number;
  readonly duplicates: number;
}

const keyOf = (text: string | null): string | null => (text === null ? null : text.trim());

const withKeys = (row: RowKeys): RowKeys => ({
  ...row,
  controlNumber: keyOf(row.controlNumber),
  parentKey: keyOf(row.parentKey),
  familyKey: keyOf(row.familyKey),
  matchKey: keyOf(row.matchKey),
});

/** A row as a line of COPY. */
const lineOf = (job: string, it: RowKeys): string => {
  const { hashes } = it;
  const keys = `${copyText(it.controlNumber)}\t${copyText(it.parentKey)}\t${copyText(it.familyKey)}`;
  const content = `${copyText(hashes.md5)}\t${copyText(hashes.sha1)}\t${copyText(hashes.sha256)}\t${copyText(it.custodian)}`;
  const place = `${job}\t${it.row}\t${copyText(it.line)}\t${copyText(it.path)}`;
  const rest = `${copyText(it.matchKey)}\t${copyText(it.mark ?? null)}\t${it.rejected ? 'rejected' : 'pending'}`;
  return `${place}\t${keys}\t${content}\t${rest}\n`;
};

/** Keys of all rows in `import_row`, not judged yet. */
export interface CopiedKeys {
  readonly rows: number;
  readonly facts: KeyFacts;
}

/** Copies the keys of a source in place of those that are there. */
export const copyKeys = async (
  tx: Transaction,
  jobId: string,
  keys: AsyncIterable<readonly RowKeys[]>,
  pause?: Pause,
): Promise<CopiedKeys> => {
  await tx.query('DELETE FROM import_row WHERE job_id = $1', [jobId]);
  const facts = new KeyFacts();
  let rows = 0;
  const lines = async function* (): AsyncIterable<readonly string[]> {
    for await (const batch of keys) {
      rows += batch.length;
      yield batch.map((given) => {
        const row = withKeys(given);
        facts.add(row);
        return lineOf(jobId, row);
      });
    }
  };
  await writeAll(
    tx,
    'COPY import_row (job_id, row_no, line, path, control_number, parent_key, family_key, md5, sha1, sha256, custodian, match_key, source_mark, fate) FROM STDIN',
    lines(),
    pause,
  );
  return { rows, facts };
};

export interface StageOptions {
  readonly jobId: string;
  readonly source: RowSource;
  /** Keys that are copied already, with what was wrong as they were read. */
  readonly ahead?: (CopiedKeys & { readonly problems: readonly RowProblem[] }) | undefined;
  /** Decides about duplicates and overlays. */
  readonly request: Pick<ImportRequest, 'deduplicate' | 'overlay'>;
  readonly signal: AbortSignal;
  /** Rows up to this one are in the case already, from before the stage was lost; they do not clash with themselves. */
  readonly imported: number;
  readonly fields: Fields;
}

/** Stages a source in the caller's transaction. */
export const stageRows = async (
  tx: Transaction,
  { jobId, source, ahead, request, signal, imported, fields }: StageOptions,
): Promise<StageCounts> => {
  await tx.query('DELETE FROM import_page WHERE job_id = $1', [jobId]);
  await tx.query(`DELETE FROM import_problem WHERE job_id = $1 AND stage = 'staging'`, [jobId]);
  const problems = new StageProblems(tx, jobId);
  for (const found of ahead?.problems ?? []) problems.add(found);
  const { rows: copied, facts } = ahead ?? (await copyKeys(tx, jobId, keysOf(source, problems, signal), problems));
  let rows = copied;
  // The tables were never analysed, and joining them row by row would take for ever.
  await tx.query('SET LOCAL enable_nestloop = off');
  await stagePages(tx, jobId, source, problems);
  if (request.overlay === undefined) {
    const added = await addImageDocuments(tx, jobId, rows, source.imageList);
    facts.addImageDocuments(added);
    rows += added;
    for await (const found of source.unreferenced()) {
      problems.add(found);
      if (problems.isDue) await problems.write();
    }
  }
  await problems.write();
  if (request.overlay !== undefined) {
    const unmatched = await matchRows(tx, jobId, request.overlay.key, fields);
    return { rows, rejected: facts.rejected + unmatched, duplicates: 0 };
  }
  const refused = await settleControlNumbers(tx, jobId, imported, facts);
  await settleFamilies(tx, jobId, facts);
  const { deduplicate } = request;
  const duplicates = deduplicate === 'none' ? 0 : await settleDuplicates(tx, jobId, deduplicate, imported);
  return { rows, rejected: facts.rejected + refused, duplicates };
};

async function* keysOf(
  source: RowSource,
  problems: StageProblems,
  signal: AbortSignal,
): AsyncGenerator<readonly RowKeys[]> {
  for await (const batch of source.keys((found) => problems.add(found))) {
    signal.throwIfAborted();
    yield batch;
  }
}

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

/** @returns how many rows are rejected */
const settleControlNumbers = async (
  tx: Transaction,
  jobId: string,
  imported: number,
  facts: KeyFacts,
): Promise<number> => {
  let rejected = 0;
  const found = {
    field: 'controlNumber',
    value: `coalesce(row.control_number, '')`,
    reject: true,
    severity: 'error',
  } as const;
  if (facts.hasUnnumbered) {
    rejected += await judge(tx, jobId, {
      ...found,
      where: 'row.control_number IS NULL',
      code: 'control_number_missing',
      reason: `'The row has no control number.'`,
    });
  }
  if (facts.hasLongNumbers) {
    rejected += await judge(tx, jobId, {
      ...found,
      where: 'length(row.control_number) > 255',
      code: 'control_number_invalid',
      reason: `'The control number is longer than 255 characters.'`,
    });
  }
  if (facts.hasRepeatedNumbers) {
    rejected += await judge(tx, jobId, {
      ...found,
      where: `row.row_no IN (SELECT row_no FROM (SELECT row_no, row_number() OVER (PARTITION BY control_number ORDER BY row_no) AS nth
            FROM import_row WHERE job_id = $1 AND fate = 'pending') AS numbered WHERE nth > 1)`,
      code: 'duplicate_control_number',
      reason: `'The control number stands in an earlier row of the file; the earlier row is taken.'`,
    });
  }
  rejected += await judge(tx, jobId, {
    ...found,
    where: `row.row_no > ${imported} AND EXISTS (SELECT FROM exhibit WHERE exhibit.control_number = row.control_number)`,
    code: 'control_number_exists',
    reason: `'An exhibit of the case has this control number; import it as an overlay, or number it anew.'`,
  });
  return rejected;
};

/**
 * Roots whose hash an earlier root or an exhibit of the case has, with their families. A document without an exhibit is none of the case's.
 * @returns how many rows
 */
const settleDuplicates = async (
  tx: Transaction,
  jobId: string,
  scope: 'custodian' | 'case',
  imported: number,
): Promise<number> => {
  let duplicates = 0;
  const set = async (text: string, values: readonly unknown[]): Promise<void> => {
    duplicates += (await tx.query(text, values)).rowCount;
  };
  const sameCustodian = scope === 'custodian';
  await set(
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
    await set(
      `UPDATE import_row AS row SET fate = 'duplicate', same_as_document = known.document_id
       FROM source_document AS known
       WHERE row.job_id = $1 AND row.row_no > $2 AND row.fate = 'pending' AND row.parent_row IS NULL AND row.${hash} IS NOT NULL
         AND known.${hash}_hash = row.${hash} AND known.family_root_document_id IS NULL
         AND EXISTS (SELECT FROM exhibit WHERE exhibit.document_document_id = known.document_id) ${custodianMatches}`,
      [jobId, imported],
    );
  }
  await set(
    `UPDATE import_row AS child SET fate = 'duplicate' FROM import_row AS root
     WHERE child.job_id = $1 AND child.fate = 'pending' AND root.job_id = $1 AND root.row_no = child.root_row AND root.fate = 'duplicate'`,
    [jobId],
  );
  return duplicates;
};
