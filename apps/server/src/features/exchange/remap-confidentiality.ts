/**
 * Confidentiality codes of the source that get a bit in the destination: that of the code with the same name, else one that is free.
 * An exhibit's status is the sum of `2 ^ bit` of its codes.
 */
import { CaseboundError } from '@casebound/contract';
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
