/**
 * Walks the chain of a case's audit trail: every block's own hash, its link to the one before, and the rows it stands for; and every row's
 * hash against the row. A row that was changed, added below the head or taken away shows, with the block it belongs to.
 *
 * - Blocks that were cut off at the end of the chain together with their rows leave a chain that is whole: only a head that was kept
 *   elsewhere shows that. Whoever verifies can give one.
 * - Memory is 500 blocks here, and the hashes of one block in the database; rows are read in steps that end within a statement's time.
 */
import type { Queryable } from '../../database/index.ts';
import { type AuditBlock, blockHash, readRows } from './seal-audit.ts';

export interface AuditFinding {
  readonly kind: 'row_changed' | 'rows_differ' | 'block_changed' | 'chain_broken' | 'block_missing' | 'head_missing';
  readonly blockNo: number | null;
  readonly auditId: number | null;
  readonly detail: string;
}

export interface AuditVerification {
  readonly blocks: number;
  readonly sealedRows: number;
  /** Rows of transactions that may still run, or that were committed since the last block. */
  readonly unsealedRows: number;
  /** Hash of the last block, hexadecimal: kept elsewhere, it proves the whole trail up to it. */
  readonly head: string | null;
  /** At most 100. */
  readonly findings: readonly AuditFinding[];
}

interface BlockRow {
  readonly block_no: string;
  readonly first_xid: string;
  readonly end_xid: string;
  readonly floor_id: string;
  readonly ceil_id: string | null;
  readonly row_count: string;
  readonly rows_hash: Buffer;
  readonly previous_hash: Buffer;
  readonly sealed_at_us: string;
  readonly block_hash: Buffer;
}

const blocksAtOnce = 500;
const rowsAtOnce = 50_000;
const maxFindings = 100;

const toBlock = (row: BlockRow): AuditBlock => ({
  blockNo: Number(row.block_no),
  firstXid: row.first_xid,
  endXid: row.end_xid,
  floorId: row.floor_id,
  ceilId: row.ceil_id,
  rowCount: Number(row.row_count),
  rowsHash: row.rows_hash,
  previousHash: row.previous_hash,
  sealedAtUs: row.sealed_at_us,
});

/** Blocks at whose ends the database was restored, with the greatest id before: blocks up to one have no rows above it. */
const readRestores = async (
  tx: Queryable,
): Promise<readonly { readonly blockNo: number; readonly ceilId: string }[]> => {
  const { rows } = await tx.query<{ block_no: string; ceil_id: string }>(
    'SELECT block_no, ceil_id FROM audit_block WHERE ceil_id IS NOT NULL ORDER BY block_no',
  );
  return rows.map((row) => ({ blockNo: Number(row.block_no), ceilId: row.ceil_id }));
};

/** Verifies in the caller's transaction, which should see one state (`repeatable read`). */
export const verifyAudit = async (tx: Queryable, keptHead?: string): Promise<AuditVerification> => {
  const findings: AuditFinding[] = [];
  const add = (kind: AuditFinding['kind'], blockNo: number | null, auditId: number | null, detail: string): void => {
    if (findings.length < maxFindings) findings.push({ kind, blockNo, auditId, detail });
  };
  let previous: Buffer = Buffer.alloc(32);
  let expected = 1;
  let sealedRows = 0;
  let head: string | null = null;
  let isHeadFound = keptHead === undefined;
  const restores = await readRestores(tx);
  for (let after = 0; ;) {
    const { rows } = await tx.query<BlockRow & Record<string, unknown>>(
      `SELECT block_no, first_xid::text, end_xid::text, floor_id, ceil_id, row_count, rows_hash, previous_hash, sealed_at_us, block_hash
       FROM audit_block WHERE block_no > $1 ORDER BY block_no LIMIT $2`,
      [after, blocksAtOnce],
    );
    if (rows.length === 0) break;
    for (const row of rows) {
      const block = toBlock(row);
      if (block.blockNo !== expected) add('block_missing', expected, null, `The chain has no block ${expected}.`);
      if (!block.previousHash.equals(previous))
        add('chain_broken', block.blockNo, null, 'The block does not follow from the one before it.');
      if (!blockHash(block).equals(row.block_hash))
        add('block_changed', block.blockNo, null, 'The block is not what was sealed.');
      const ceilId = restores.find(({ blockNo }) => blockNo >= block.blockNo)?.ceilId ?? null;
      const found = await readRows(tx, { ...block, ceilId });
      if (found.count !== block.rowCount) {
        add(
          'rows_differ',
          block.blockNo,
          null,
          `The block stands for ${block.rowCount} rows, and there are ${found.count}.`,
        );
      } else if (!found.hash.equals(block.rowsHash)) {
        add('rows_differ', block.blockNo, null, 'Rows of the block are not those that were sealed.');
      }
      sealedRows += block.rowCount;
      previous = row.block_hash;
      head = row.block_hash.toString('hex');
      isHeadFound ||= head === keptHead;
      expected = block.blockNo + 1;
      after = block.blockNo;
    }
  }
  if (!isHeadFound)
    add('head_missing', null, null, `No block has the hash ${keptHead}: the chain was cut off or made anew.`);
  let total = 0;
  for (let after = '0'; ;) {
    const { rows } = await tx.query<{
      last: string | null;
      count: string;
      changed: { id: number; key: string }[] | null;
    }>(
      `SELECT max(audit_id) AS last, count(*) AS count,
              jsonb_agg(jsonb_build_object('id', audit_id, 'key', record_key) ORDER BY audit_id)
                FILTER (WHERE row_hash <> model_audit_hash(actor, request_id, origin, resource, record_id, record_key, changes, at_us)) AS changed
       FROM (SELECT * FROM model_audit WHERE audit_id > $1 ORDER BY audit_id LIMIT $2) AS part`,
      [after, rowsAtOnce],
    );
    const [part] = rows;
    for (const { id, key } of part?.changed ?? [])
      add('row_changed', null, id, `The entry about ${key} is not what its hash says.`);
    total += Number(part?.count ?? 0);
    if (part === undefined || part.last === null) break;
    after = part.last;
  }
  return {
    blocks: expected - 1,
    sealedRows,
    unsealedRows: Math.max(0, total - sealedRows),
    head,
    findings,
  };
};
