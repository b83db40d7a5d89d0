/**
 * What a report of an exchange says, gathered from its manifest line by line: nothing that the manifest does not state.
 *
 * - Memory is bounded: counts are of all items, listed are the first exceptions and the first items.
 */
import type { ExchangeRequest } from '@casebound/contract';
import { type ItemLine, type ManifestLine, type SummaryLine } from '../manifest-format.ts';

export interface ReportedException {
  readonly line: number;
  readonly controlNumber: string;
  readonly stage: string;
  readonly code: string;
  readonly reason: string;
}

export interface ReportedItem {
  readonly line: number;
  readonly from: string;
  readonly to: string;
  readonly action: string;
  readonly objects: number;
  readonly bytes: number;
  readonly pages: number;
  readonly redactions: number;
  readonly exceptions: number;
}

export interface Report {
  readonly jobId: string;
  readonly sourceCaseId: number;
  readonly destinationCaseId: number;
  readonly batchId: number;
  readonly operator: string;
  readonly startedAt: string;
  readonly verifiedAt: string;
  readonly options: ExchangeRequest;
  readonly summary: SummaryLine | null;
  readonly publicKey: string | null;
  readonly signature: string | null;
  /** Hash of the last line before the signature: names this manifest. */
  readonly digest: string | null;
  readonly annotations: Readonly<Record<string, { readonly source: number; readonly destination: number }>>;
  readonly byCode: readonly { readonly code: string; readonly count: number }[];
  readonly exceptions: readonly ReportedException[];
  readonly items: readonly ReportedItem[];
  readonly itemsInAll: number;
}

export interface ReportLimits {
  readonly exceptions: number;
  readonly items: number;
}

export const defaultReportLimits: ReportLimits = { exceptions: 1_000, items: 1_000 };

const reportedItem = (line: ItemLine): ReportedItem => ({
  line: line.line,
  from: line.source.controlNumber,
  to: line.destination?.controlNumber ?? '',
  action: line.action,
  objects: line.facts?.objects.length ?? 0,
  bytes: line.facts?.objects.reduce((sum, one) => sum + one.size, 0) ?? 0,
  pages: line.facts?.pages ?? 0,
  redactions: line.redaction.verified,
  exceptions: line.exceptions.length,
});

/** Throws nothing for a manifest that ends early: what is missing is null. */
export const gatherReport = async (
  lines: AsyncIterable<ManifestLine> | Iterable<ManifestLine>,
  limits: ReportLimits = defaultReportLimits,
): Promise<Report | null> => {
  let header: Extract<ManifestLine, { kind: 'header' }> | null = null;
  let summary: SummaryLine | null = null;
  let signature: Extract<ManifestLine, { kind: 'signature' }> | null = null;
  const annotations: Record<string, { source: number; destination: number }> = {};
  const codes = new Map<string, number>();
  const exceptions: ReportedException[] = [];
  const items: ReportedItem[] = [];
  let itemsInAll = 0;
  const countAnnotations = (counts: Readonly<Record<string, number>>, side: 'source' | 'destination'): void => {
    for (const [kind, count] of Object.entries(counts))
      (annotations[kind] ??= { source: 0, destination: 0 })[side] += count;
  };
  for await (const line of lines) {
    if (line.kind === 'header') header = line;
    else if (line.kind === 'summary') summary = line;
    else if (line.kind === 'signature') signature = line;
    else {
      itemsInAll += 1;
      countAnnotations(line.source.annotationCounts, 'source');
      countAnnotations(line.facts?.annotationCounts ?? {}, 'destination');
      for (const one of line.exceptions) {
        codes.set(one.code, (codes.get(one.code) ?? 0) + 1);
        if (exceptions.length < limits.exceptions) {
          exceptions.push({
            line: line.line,
            controlNumber: line.destination?.controlNumber ?? line.source.controlNumber,
            ...one,
          });
        }
      }
      if (items.length < limits.items) items.push(reportedItem(line));
    }
  }
  if (header === null) return null;
  const { jobId, sourceCaseId, destinationCaseId, batchId, operator, startedAt, verifiedAt, options } = header;
  return {
    jobId,
    sourceCaseId,
    destinationCaseId,
    batchId,
    operator,
    startedAt,
    verifiedAt,
    options,
    summary,
    publicKey: signature?.publicKey ?? null,
    signature: signature?.signature ?? null,
    digest: signature?.previous ?? null,
    annotations,
    byCode: [...codes]
      .map(([code, count]) => ({ code, count }))
      .toSorted((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)),
    exceptions,
    items,
    itemsInAll,
  };
};
