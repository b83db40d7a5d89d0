/**
 * Walks the chain of a case's audit trail: every block's own hash, its link to the one before, and the rows it stands for; and every row's
 * hash against the row. A row that was changed, added below the head or taken away shows, with the block it belongs to.
 */
import type { Queryable } from '../../database/index.ts';
import { type AuditBlock, blockHash, readRows } from './seal-audit.ts';

export interface AuditFinding {
  readonly kind: 'row_changed' | 'rows_differ' | 'block_changed' | 'chain_broken' | 'block_missing';
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

/** Verifies in the caller's transaction, which should see one state (`repeatable read`). */
export const verifyAudit = async (tx: Queryable): Promise<AuditVerification> => {
  const findings: AuditFinding[] = [];
  const add = (kind: AuditFinding['kind'], blockNo: number | null, auditId: number | null, detail: string): void => {
    if (findings.length < maxFindings) findings.push({ kind, blockNo, auditId, detail });
  };
  let previous: Buffer = Buffer.alloc(32);
  let expected = 1;
  let sealedRows = 0;
  let head: string | null = null;
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
      const found = await readRows(tx, block);
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
      expected = block.blockNo + 1;
      after = block.blockNo;
    }
  }
  const changed = await tx.query<{ audit_id: string; record_key: string }>(
    `SELECT audit_id, record_key FROM model_audit
     WHERE row_hash <> model_audit_hash(actor, request_id, origin, resource, record_id, record_key, changes, at_us) ORDER BY audit_id LIMIT $1`,
    [maxFindings],
  );
  for (const row of changed.rows)
    add('row_changed', null, Number(row.audit_id), `The entry about ${row.record_key} is not what its hash says.`);
  const { rows: counted } = await tx.query<{ total: string }>('SELECT count(*) AS total FROM model_audit');
  return {
    blocks: expected - 1,
    sealedRows,
    unsealedRows: Math.max(0, Number(counted[0]?.total ?? 0) - sealedRows),
    head,
    findings,
  };
};
