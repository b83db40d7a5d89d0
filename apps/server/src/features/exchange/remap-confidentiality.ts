/**
 * Confidentiality codes of the source that get a bit in the destination: that of the code with the same name, else one that is free.
 * An exhibit's status is the sum of `2 ^ bit` of its codes.
 *
 * - Bits are chosen before records are written. Who gives bits in the destination meanwhile cannot see them, so what was chosen is looked at
 *   once it is there: an exchange whose bits are not its codes' alone does not go on.
 */
import { CaseboundError } from '@casebound/contract';
import { valueMaps } from './copy-policy.ts';
import type { Queryable } from '../../database/index.ts';

/** Bits of a bigint that are not its sign. */
const bits = 63;

interface Code {
  readonly documentId: number;
  readonly code: string;
  readonly bit: number;
}

export const readCodes = async (tx: Queryable): Promise<Code[]> => {
  const { rows } = await tx.query<{ document_id: string; code: string; bit: string }>(
    'SELECT document_id, code, bit FROM confidentiality_code ORDER BY bit, code',
  );
  return rows.map((row) => ({ documentId: Number(row.document_id), code: row.code, bit: Number(row.bit) }));
};

/** OR of the statuses of the exhibits. */
export const usedBits = async (tx: Queryable, exhibitIds: readonly number[]): Promise<bigint> => {
  const { rows } = await tx.query<{ used: string | null }>(
    'SELECT bit_or(confidentiality_status)::text AS used FROM exhibit WHERE document_id = ANY ($1::bigint[])',
    [exhibitIds],
  );
  return BigInt(rows[0]?.used ?? 0);
};

export interface BitMapping {
  readonly documentId: number;
  readonly from: number;
  readonly to: number;
}

/** The codes that travel, each with its bit in both cases. @throws CaseboundError `exchange_code_without_bit` */
export const mapCodes = (source: readonly Code[], destination: readonly Code[], used: bigint): BitMapping[] => {
  const byCode = new Map(destination.map((code) => [code.code, code.bit]));
  const taken = new Set(destination.map((code) => code.bit));
  const mapping: BitMapping[] = [];
  for (const { documentId, code, bit } of source) {
    if (bit < 0 || bit >= bits || (used & (1n << BigInt(bit))) === 0n) continue;
    const found = byCode.get(code);
    const to = found ?? Array.from({ length: bits }, (_, at) => at).find((at) => !taken.has(at));
    if (to === undefined) {
      throw new CaseboundError(
        'exchange_code_without_bit',
        `The destination uses all ${bits} bits of confidentiality, so the code ${JSON.stringify(code)} of the source has none.`,
      );
    }
    taken.add(to);
    mapping.push({ documentId, from: bit, to });
  }
  return mapping;
};

/**
 * For a transaction behind the one that wrote the codes, under the lock under which imports give bits.
 * @throws CaseboundError `exchange_conflict` when a code of the exchange shares its bit with another, or has another than was chosen for it
 */
export const requireOwnBits = async (tx: Queryable, jobId: string): Promise<void> => {
  await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('confidentiality bits ' || current_schema(), 0))`);
  const { rows } = await tx.query<{ code: string }>(
    `SELECT own.code FROM record_copy_job j JOIN record_copy_map m USING (job_id) JOIN confidentiality_code own ON own.document_id = m.document_id
     WHERE j.job_key = $1::text AND (
       (m.action = 'i' AND EXISTS (SELECT FROM confidentiality_code other WHERE other.bit = own.bit AND other.document_id <> own.document_id))
       OR NOT EXISTS (SELECT FROM record_copy_value v WHERE v.job_id = j.job_id AND v.map_name = $2 AND v.new_value = own.bit::text))
     ORDER BY own.code LIMIT 1`,
    [jobId, valueMaps.confidentialityBits],
  );
  const [row] = rows;
  if (row !== undefined)
    throw new CaseboundError(
      'exchange_conflict',
      `The destination got a confidentiality code while records were copied, and the bit of ${JSON.stringify(row.code)} is not its own there; start the exchange again.`,
    );
};
