/**
 * Stages the page images of image lists: one COPY, then what only the whole list says is settled by sets.
 *
 * - An image list may name a document twice; the pages of the second follow those of the first. Where a document is taken for a second one
 *   that is none (`KeySet`), its pages come out as they are.
 * - Of several originals of one document the first is taken.
 */
import type { Transaction } from '../../../database/index.ts';
import { problem } from '../import-problem.ts';
import { originalPosition, type RowSource, type StagedPage } from '../source-row.ts';
import { copyText, writeAll } from './copy-rows.ts';
import { KeySet } from './key-set.ts';
import type { StageProblems } from './stage-problems.ts';

/** Until they are settled, pages of a document that begins again stand behind all of the first, in the order of their lines. */
const afterAll = 1_000_000_000;

interface Found {
  hasOriginals: boolean;
  hasRepeated: boolean;
}

async function* pageLines(
  jobId: string,
  source: RowSource,
  problems: StageProblems,
  found: Found,
): AsyncIterable<readonly string[]> {
  const begun = new KeySet();
  let repeats = false;
  const positionOf = ({ docKey, position, line }: StagedPage): number => {
    if (position === originalPosition) {
      found.hasOriginals = true;
      return -line;
    }
    if (position === 1) {
      repeats = !begun.add(docKey);
      if (repeats) {
        found.hasRepeated = true;
        problems.add(
          problem('warning', 'image_document_twice', `The image list begins the document ${docKey} more than once.`, {
            line,
            value: docKey,
          }),
        );
      }
    }
    return repeats ? afterAll + line : position;
  };
  for await (const batch of source.pages((it) => problems.add(it))) {
    yield batch.map(
      (page) =>
        `${[jobId, page.docKey, positionOf(page), page.pageId, page.path, page.line].map(copyText).join('\t')}\n`,
    );
  }
}

const settleOriginals = async (tx: Transaction, jobId: string): Promise<void> => {
  await tx.query(
    `WITH further AS (
       DELETE FROM import_page AS page USING (
         SELECT doc_key, max(position) AS first FROM import_page WHERE job_id = $1 AND position < 0 GROUP BY doc_key) AS original
       WHERE page.job_id = $1 AND page.doc_key = original.doc_key AND page.position < original.first
       RETURNING page.doc_key, page.line, page.path)
     INSERT INTO import_problem (job_id, stage, severity, code, line, value, reason, rejected)
     SELECT $1, 'staging', 'warning', 'original_twice', line, left(path, 200),
            'The image list names two originals of ' || doc_key || '; the first is taken.', false FROM further ORDER BY line`,
    [jobId],
  );
  await tx.query('UPDATE import_page SET position = $2 WHERE job_id = $1 AND position < 0', [jobId, originalPosition]);
};

const settleRepeated = async (tx: Transaction, jobId: string): Promise<void> => {
  await tx.query(
    `UPDATE import_page AS page SET position = numbered.nth
     FROM (SELECT doc_key, position, row_number() OVER (PARTITION BY doc_key ORDER BY position) AS nth FROM import_page
           WHERE job_id = $1 AND position > $3
             AND doc_key IN (SELECT doc_key FROM import_page WHERE job_id = $1 AND position > $2)) AS numbered
     WHERE page.job_id = $1 AND page.position > $2 AND page.doc_key = numbered.doc_key AND page.position = numbered.position`,
    [jobId, afterAll, originalPosition],
  );
};

/** Stages the page images of a source in the caller's transaction. */
export const stagePages = async (
  tx: Transaction,
  jobId: string,
  source: RowSource,
  problems: StageProblems,
): Promise<void> => {
  const found: Found = { hasOriginals: false, hasRepeated: false };
  await writeAll(
    tx,
    'COPY import_page (job_id, doc_key, position, page_id, path, line) FROM STDIN',
    pageLines(jobId, source, problems, found),
    problems,
  );
  await problems.write();
  if (found.hasOriginals) await settleOriginals(tx, jobId);
  if (found.hasRepeated) await settleRepeated(tx, jobId);
};
