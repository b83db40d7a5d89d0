/**
 * Finds the parent and the root of each staged row, in sets. Few rows lie deeper than their parent: only of those the ways to their roots
 * are climbed.
 */
import type { Transaction } from '../../../database/index.ts';
import { judge } from './judge-rows.ts';
import type { KeyFacts } from './key-facts.ts';

/** A row further from its root is taken for one that has none. */
const maxDepth = 100;

export const settleFamilies = async (
  tx: Transaction,
  jobId: string,
  { children, hasFamilies, hasGrandparents }: Pick<KeyFacts, 'children' | 'hasFamilies' | 'hasGrandparents'>,
): Promise<void> => {
  let linked = 0;
  if (children > 0) {
    const { rowCount } = await tx.query(
      `UPDATE import_row AS child SET parent_row = parent.row_no, root_row = parent.row_no
       FROM import_row AS parent
       WHERE child.job_id = $1 AND child.fate = 'pending' AND child.parent_key IS NOT NULL AND child.parent_key <> child.control_number
         AND parent.job_id = $1 AND parent.fate = 'pending' AND parent.control_number = child.parent_key AND parent.row_no <> child.row_no`,
      [jobId],
    );
    linked = rowCount;
  }
  if (hasFamilies) {
    await tx.query(
      `UPDATE import_row AS child SET parent_row = family.first_row, root_row = family.first_row
       FROM (SELECT family_key, min(row_no) AS first_row FROM import_row WHERE job_id = $1 AND fate = 'pending' AND family_key IS NOT NULL GROUP BY family_key) AS family
       WHERE child.job_id = $1 AND child.fate = 'pending' AND child.parent_row IS NULL AND child.parent_key IS NULL
         AND child.family_key = family.family_key AND child.row_no <> family.first_row`,
      [jobId],
    );
  }
  if (linked < children) await judgeMissing(tx, jobId);
  if (hasGrandparents) await settleRoots(tx, jobId);
};

const judgeMissing = async (tx: Transaction, jobId: string): Promise<void> => {
  await judge(tx, jobId, {
    where: `row.parent_key IS NOT NULL AND row.parent_key <> coalesce(row.control_number, '') AND row.parent_row IS NULL`,
    code: 'parent_missing',
    reason: `'The parent that the row names is not among the rows that are imported; the document is taken as a root.'`,
    field: 'parentId',
    value: 'row.parent_key',
    reject: false,
    severity: 'warning',
  });
};

/** Rows whose parent has a parent itself: their root is where the way up ends, and nowhere when it leads back to them. */
const settleRoots = async (tx: Transaction, jobId: string): Promise<void> => {
  const { rows } = await tx.query<{ without: string }>(
    `WITH RECURSIVE climb AS (
       SELECT child.row_no, parent.parent_row AS at, 2 AS edges
       FROM import_row AS child JOIN import_row AS parent ON parent.job_id = $1 AND parent.row_no = child.parent_row
       WHERE child.job_id = $1 AND parent.parent_row IS NOT NULL
       UNION ALL
       SELECT climb.row_no, above.parent_row, climb.edges + 1
       FROM climb JOIN import_row AS above ON above.job_id = $1 AND above.row_no = climb.at
       WHERE above.parent_row IS NOT NULL AND climb.edges < ${maxDepth}
     ), highest AS (
       SELECT DISTINCT ON (row_no) row_no, at FROM climb ORDER BY row_no, edges DESC
     ), settled AS (
       UPDATE import_row AS row SET root_row = top.row_no
       FROM highest LEFT JOIN import_row AS top ON top.job_id = $1 AND top.row_no = highest.at AND top.parent_row IS NULL
       WHERE row.job_id = $1 AND row.row_no = highest.row_no RETURNING row.root_row
     )
     SELECT count(*) FILTER (WHERE root_row IS NULL) AS without FROM settled`,
    [jobId],
  );
  if (Number(rows[0]?.without ?? 0) === 0) return;
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
};
