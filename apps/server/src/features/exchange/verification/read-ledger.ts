/** The ledger of a job in pages by ordinal, each exhibit with the ends of its stages. */
import type { ExchangeJob } from '../job-store.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import type { DestinationExhibit } from './read-facts.ts';

export interface StageEnd {
  readonly state: string;
  readonly code: string | null;
  readonly reason: string | null;
  readonly detail: Readonly<Record<string, unknown>> | null;
}

export interface LedgerItem {
  readonly ordinal: number;
  readonly sourceExhibitId: number;
  readonly sourceDocumentId: number;
  readonly sourceDocumentKey: string;
  readonly sourceControlNumber: string;
  readonly action: string;
  readonly destination: (DestinationExhibit & { readonly controlNumber: string }) | null;
  readonly stages: ReadonlyMap<string, StageEnd>;
}

/** What a stage kept of its objects is left out: the proof looks at the objects themselves. */
interface Row {
  readonly ordinal: string;
  readonly source_exhibit_id: string;
  readonly source_document_id: string;
  readonly source_document_key: string;
  readonly source_control_number: string;
  readonly action: string;
  readonly exhibit_id: string | null;
  readonly document_id: string | null;
  readonly document_key: string | null;
  readonly control_number: string | null;
  readonly stages: Readonly<Record<string, StageEnd>> | null;
}

const pageSize = 500;

export async function* readLedgerPages(
  { sessions }: Pick<ExchangeDependencies, 'sessions'>,
  job: Pick<ExchangeJob, 'jobId' | 'destinationCaseId' | 'createdBy'>,
  signal: AbortSignal,
): AsyncGenerator<readonly LedgerItem[]> {
  for (let after = 0; ;) {
    const from = after;
    const { rows } = await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) =>
        tx.query<Row & Record<string, unknown>>(
          `SELECT e.ordinal, e.source_exhibit_id, e.source_document_id, e.source_document_key, e.source_control_number, e.action,
                  e.exhibit_id, e.document_id, e.document_key, e.control_number,
                  (SELECT json_object_agg(i.stage, json_build_object('state', i.state, 'code', i.code, 'reason', i.reason, 'detail', i.detail - 'objects'))
                   FROM exchange_item i WHERE i.job_id = e.job_id AND i.exhibit_id = e.exhibit_id) AS stages
           FROM exchange_exhibit e WHERE e.job_id = $1 AND e.ordinal > $2 ORDER BY e.ordinal LIMIT $3`,
          [job.jobId, from, pageSize],
        ),
      { readOnly: true, signal },
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = Number(last.ordinal);
    yield rows.map((row) => ({
      ordinal: Number(row.ordinal),
      sourceExhibitId: Number(row.source_exhibit_id),
      sourceDocumentId: Number(row.source_document_id),
      sourceDocumentKey: row.source_document_key,
      sourceControlNumber: row.source_control_number,
      action: row.action,
      destination:
        row.exhibit_id === null || row.document_id === null || row.document_key === null
          ? null
          : {
              exhibitId: Number(row.exhibit_id),
              documentId: Number(row.document_id),
              documentKey: row.document_key,
              controlNumber: row.control_number ?? '',
            },
      stages: new Map(Object.entries(row.stages ?? {})),
    }));
  }
}
