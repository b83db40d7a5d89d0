/**
 * Chains committed audit rows into blocks, behind the writers: nobody waits for the chain's head.
 *
 * - A block takes the rows of transactions that are over: every transaction number below the oldest that still runs. No row can come into
 *   that range later, so a block is final; rows above it are not sealed yet, and named as such.
 * - Rows are never touched: which block a row belongs to follows from its transaction number.
 * - A database that was restored into another cluster has transaction numbers that start anew. Its old rows are sealed up to their greatest
 *   id, and a new count begins above it; the blocks before end there, too, for what is written since has numbers of theirs. New rows have
 *   greater ids than old ones, whoever is first to write or to seal.
 */
import { createHash } from 'node:crypto';
import type { Queryable } from '../../database/index.ts';

/** Transaction numbers are 64 bits; above every one. */
const beyondAll = '9223372036854775807';
const nothing = Buffer.alloc(32);

export interface AuditBlock {
  readonly blockNo: number;
  readonly firstXid: string;
  readonly endXid: string;
  readonly floorId: string;
  readonly ceilId: string | null;
  readonly rowCount: number;
  readonly rowsHash: Buffer;
  readonly previousHash: Buffer;
  readonly sealedAtUs: string;
}

/** SHA-256 over everything that a block says, and so over the whole chain before it. */
export const blockHash = (block: AuditBlock): Buffer =>
  createHash('sha256')
    .update(
      JSON.stringify([
        block.blockNo,
        block.firstXid,
        block.endXid,
        block.floorId,
        block.ceilId,
        block.rowCount,
        block.rowsHash.toString('hex'),
        block.previousHash.toString('hex'),
        block.sealedAtUs,
      ]),
    )
    .digest();

interface Last {
  readonly block_no: string;
  readonly end_xid: string;
  readonly floor_id: string;
  readonly ceil_id: string | null;
  readonly block_hash: Buffer;
}

/** Rows of a block, by the four bounds as $1 to $4. */
export const blockRows = `xid >= $1::xid8 AND xid < $2::xid8 AND audit_id > $3 AND ($4::bigint IS NULL OR audit_id <= $4)`;

/** Seals what can be sealed, in the caller's transaction. @returns how many rows */
export const sealAudit = async (tx: Queryable): Promise<number> => {
  await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('audit chain ' || current_schema(), 0))`);
  const { rows } = await tx.query<{ horizon: string } & Partial<Last>>(
    `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, last.block_no, last.end_xid::text AS end_xid, last.floor_id, last.ceil_id, last.block_hash
     FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT * FROM audit_block ORDER BY block_no DESC LIMIT 1) AS last ON true`,
  );
  const [state] = rows;
  if (state === undefined) return 0;
  const {
    horizon,
    block_no: lastNo,
    end_xid: lastEnd = '0',
    floor_id: lastFloor = '0',
    ceil_id: lastCeil = null,
  } = state;
  const base = {
    previousHash: state.block_hash ?? nothing,
    blockNo: lastNo === undefined || lastNo === null ? 1 : Number(lastNo) + 1,
  };
  if (lastNo === undefined || lastNo === null)
    return append(tx, { ...base, firstXid: '0', endXid: horizon, floorId: '0', ceilId: null });
  if (lastCeil !== null)
    return append(tx, { ...base, firstXid: '0', endXid: horizon, floorId: lastCeil, ceilId: null });
  if (BigInt(horizon) < BigInt(lastEnd)) {
    const ceilId = await newestBeforeRestore(tx, lastEnd, lastFloor);
    return append(tx, { ...base, firstXid: lastEnd, endXid: beyondAll, floorId: lastFloor, ceilId });
  }
  return append(tx, { ...base, firstXid: lastEnd, endXid: horizon, floorId: lastFloor, ceilId: null });
};

/**
 * Greatest id above `floorId` of the rows that were restored: of those that were not sealed, by their transaction numbers, and of those that
 * were, which are the first of the rest, as many as their blocks have.
 */
const newestBeforeRestore = async (tx: Queryable, endXid: string, floorId: string): Promise<string> => {
  const { rows } = await tx.query<{ newest: string }>(
    `SELECT greatest($2::bigint,
       (SELECT max(audit_id) FROM model_audit WHERE xid >= $1::xid8 AND audit_id > $2::bigint),
       (SELECT max(audit_id) FROM (
          SELECT audit_id FROM model_audit WHERE xid < $1::xid8 AND audit_id > $2::bigint ORDER BY audit_id
          LIMIT (SELECT sum(row_count) FROM audit_block WHERE floor_id = $2::bigint)) AS sealed)) AS newest`,
    [endXid, floorId],
  );
  return rows[0]?.newest ?? floorId;
};

type Bounds = Pick<AuditBlock, 'blockNo' | 'firstXid' | 'endXid' | 'floorId' | 'ceilId' | 'previousHash'>;

/** What the rows within bounds are now. */
export const readRows = async (
  tx: Queryable,
  bounds: Pick<Bounds, 'firstXid' | 'endXid' | 'floorId' | 'ceilId'>,
): Promise<{ readonly count: number; readonly hash: Buffer }> => {
  const { rows } = await tx.query<{ count: string; hash: Buffer }>(
    `SELECT count(*), sha256(coalesce(string_agg(row_hash, ''::bytea ORDER BY xid, audit_id), ''::bytea)) AS hash FROM model_audit WHERE ${blockRows}`,
    [bounds.firstXid, bounds.endXid, bounds.floorId, bounds.ceilId],
  );
  return { count: Number(rows[0]?.count ?? 0), hash: rows[0]?.hash ?? nothing };
};

const append = async (tx: Queryable, bounds: Bounds): Promise<number> => {
  const found = await readRows(tx, bounds);
  if (found.count === 0 && bounds.ceilId === null) return 0;
  const block: AuditBlock = {
    ...bounds,
    rowCount: found.count,
    rowsHash: found.hash,
    sealedAtUs: String(BigInt(Date.now()) * 1000n),
  };
  await tx.query(
    `INSERT INTO audit_block (block_no, first_xid, end_xid, floor_id, ceil_id, row_count, rows_hash, previous_hash, sealed_at_us, block_hash)
     VALUES ($1, $2::xid8, $3::xid8, $4, $5, $6, $7, $8, $9, $10)`,
    [
      block.blockNo,
      block.firstXid,
      block.endXid,
      block.floorId,
      block.ceilId,
      block.rowCount,
      block.rowsHash,
      block.previousHash,
      block.sealedAtUs,
      blockHash(block),
    ],
  );
  return found.count;
};
