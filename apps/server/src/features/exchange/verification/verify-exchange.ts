/**
 * Verification of an exchange, between the take-down of its queues and its end.
 *
 * - Records and edges are compared in sets by the record copy; everything else item by item, as it is written into the manifest.
 * - It changes nothing but the manifest, which it replaces, and can be repeated.
 */
import { hasCode } from '@casebound/contract';
import { compareCopied, type CopyComparison } from '@casebound/records';
import type { ExchangeJob } from '../job-store.ts';
import { openJobCopy } from '../record-copy.ts';
import type { VerificationParts } from './read-facts.ts';
import { writeManifest } from './write-manifest.ts';

export interface Verification {
  readonly items: number;
  readonly failedItems: number;
  readonly agrees: boolean;
  readonly manifestKey: string | null;
}

/** What stages write after the records were copied: variants as their objects arrive, and the text of pages. */
const afterTheCopy = {
  source_document__variants: 'table',
  exhibit__pages: { columns: ['text_source', 'text_size', 'text_sha256'], extraRows: true },
} as const;

/** Differences of records that are looked up by item; all are counted. */
const listedDifferences = 1_000;

const compareRecords = async (
  parts: VerificationParts,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<CopyComparison> => {
  try {
    return await compareCopied(await openJobCopy(parts, job, signal), {
      limit: listedDifferences,
      except: afterTheCopy,
    });
  } catch (error) {
    // Nothing was copied: all that was selected was here already.
    if (hasCode(error, 'copy_state_invalid'))
      return { compared: {}, differences: 0, listed: [], changedInSource: 0, changedInDestination: 0 };
    throw error;
  }
};

/** Compares what was asked for with what stands in the destination, and writes the signed manifest of it. */
export const verifyExchange = async (
  parts: VerificationParts,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<Verification> => {
  const comparing = compareRecords(parts, job, signal);
  // Awaited below, and by then perhaps too late for whoever watches for what nobody catches.
  comparing.catch(() => undefined);
  const { key, counts } = await writeManifest(parts, parts.manifestKeys, job, comparing, signal);
  const { differences } = await comparing;
  return { items: counts.items, failedItems: counts.failed, agrees: differences === 0, manifestKey: key };
};
