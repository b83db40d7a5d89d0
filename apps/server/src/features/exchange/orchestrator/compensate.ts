/**
 * Undoes an exchange: one that failed, one that is cancelled, and a finished one that is rolled back.
 *
 * 1. Nothing of it runs any more before anything is removed: intake stops, what workers hold is waited for, queues go with what is in them.
 * 2. Records go first, by the record copy's own rule: what somebody changed since, and what others refer to, stays and is listed.
 * 3. Objects, index documents, engine documents and field values go with the records that went, and with no others.
 * 4. All of it can be repeated; what is gone is not looked for again.
 */
import { type BatchId, type CaseId, DocumentId, ExhibitId, type ExchangeState } from '@casebound/contract';
import { copyState, forgetCopy, removeCopied, type RemovalSummary } from '@casebound/records';
import { formatDocumentId } from '../../../platform/document-engine/Port.ts';
import { objectPrefix, type ObjectPrefix } from '../../../platform/object-store/Port.ts';
import { unlinkExhibits, type Fields } from '../../fields/index.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import { removeBatch } from '../batch-record.ts';
import { restorePointers, segmentPrefixOf } from '../copy-field-values.ts';
import { indexAnew } from '../../indexing/index.ts';
import { batchPrefix } from '../document-keys.ts';
import { exchangeEvent } from '../exchange-event.ts';
import type { ExchangeJob } from '../job-store.ts';
import { openJobRemoval } from '../record-copy.ts';
import type { StepContext, StepResult } from './advance-exchange.ts';
import { tearDown } from './take-down.ts';

export type CompensateDependencies = ExchangeDependencies & { readonly fields: Fields };

const pageSize = 1_000;
const engineCalls = 8;
const listedKept = 100;

const removeRecords = async (
  parts: CompensateDependencies,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<RemovalSummary | undefined> => {
  const copy = await openJobRemoval(parts, job, signal);
  const state = await copyState(copy);
  // An earlier try may have been here: what is forgotten was removed whole.
  if (state === 'forgotten') return undefined;
  const removed = state === 'selecting' || state === 'mapping' ? undefined : await removeCopied(copy);
  parts.crashPoint('exchange.compensate.records-removed');
  if ((removed?.kept ?? 0) === 0 && (removed?.overlaidKept ?? 0) === 0) await forgetCopy(copy);
  return removed;
};

interface Gone {
  readonly ordinal: number;
  readonly exhibitId: number;
  readonly documentId: number;
  readonly documentKey: string;
  /** It is there, with the records that it had before. */
  readonly isOverlaid: boolean;
}

/** Exhibits that the ledger brought and that are no longer there, or have again the document they had. */
async function* goneExhibits(parts: CompensateDependencies, job: ExchangeJob): AsyncGenerator<readonly Gone[]> {
  for (let after = 0; ;) {
    const from = after;
    const { rows } = await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
      tx.query<{ ordinal: string; exhibit_id: string; document_id: string; document_key: string; action: string }>(
        `SELECT ordinal, exhibit_id, document_id, document_key, action FROM exchange_exhibit e
           WHERE job_id = $1 AND ordinal > $2 AND action IN ('inserted', 'overlaid')
             AND NOT EXISTS (SELECT FROM source_document d WHERE d.document_id = e.document_id) ORDER BY ordinal LIMIT $3`,
        [job.jobId, from, pageSize],
      ),
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = Number(last.ordinal);
    yield rows.map((row) => ({
      ordinal: Number(row.ordinal),
      exhibitId: Number(row.exhibit_id),
      documentId: Number(row.document_id),
      documentKey: row.document_key,
      isOverlaid: row.action === 'overlaid',
    }));
  }
}

const removeFromEngine = async (
  { engine }: CompensateDependencies,
  job: ExchangeJob,
  batchId: BatchId,
  gone: readonly Gone[],
  signal: AbortSignal,
): Promise<void> => {
  const waiting = [...gone];
  const work = async (): Promise<void> => {
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      await engine.deleteDocument(
        formatDocumentId({
          caseId: job.destinationCaseId,
          batchId,
          documentId: DocumentId.parse(one.documentId),
          exhibitId: ExhibitId.parse(one.exhibitId),
        }),
        { signal },
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(engineCalls, gone.length) }, work));
};

const removeSegments = async (parts: CompensateDependencies, job: ExchangeJob, signal: AbortSignal): Promise<void> => {
  const prefix = segmentPrefixOf(job);
  await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
    tx.query(
      `DELETE FROM custom_field_segment s WHERE starts_with(object_key, $1) AND NOT EXISTS (SELECT FROM custom_field_pointer p WHERE p.segment_id = s.segment_id)`,
      [prefix],
    ),
  );
  const left = await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
    tx.query('SELECT 1 FROM custom_field_segment WHERE starts_with(object_key, $1) LIMIT 1', [prefix]),
  );
  if (left.rows.length === 0) await parts.objects.deletePrefix(objectPrefix(prefix), { signal });
};

/** Removes what a batch holds of documents. The batch is listed once for a page of them. */
const removeObjectsOf = async (
  { objects }: CompensateDependencies,
  batch: ObjectPrefix,
  gone: readonly Gone[],
  signal: AbortSignal,
): Promise<void> => {
  const documentKeys = new Set(gone.map(({ documentKey }) => documentKey));
  for await (const page of objects.list(batch, { signal })) {
    const theirs = page.filter(({ key }) => documentKeys.has(key.slice(batch.length).split('/')[1] ?? ''));
    await objects.delete(
      theirs.map(({ key }) => key),
      { signal },
    );
  }
};

/** What went with the records. `whole`: no record was kept, so everything of the batch goes. */
const removeRest = async (
  parts: CompensateDependencies,
  job: ExchangeJob,
  batchId: BatchId,
  whole: boolean,
  signal: AbortSignal,
): Promise<void> => {
  const { index, objects, sessions } = parts;
  for await (const gone of goneExhibits(parts, job)) {
    signal.throwIfAborted();
    const exhibitIds = gone.map(({ exhibitId }) => exhibitId);
    const overlaid = gone.filter(({ isOverlaid }) => isOverlaid).map(({ exhibitId }) => exhibitId);
    await index.remove(job.destinationCaseId, exhibitIds);
    await removeFromEngine(parts, job, batchId, gone, signal);
    await sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) => {
      await restorePointers(tx, job.jobId, overlaid, segmentPrefixOf(job));
      await unlinkExhibits(
        tx,
        exhibitIds.filter((exhibitId) => !overlaid.includes(exhibitId)),
      );
    });
    await indexAnew(parts, job.destinationCaseId, job.createdBy, overlaid, signal);
    if (whole) continue;
    await removeObjectsOf(parts, objectPrefix(batchPrefix(job.destinationCaseId, batchId)), gone, signal);
  }
  parts.crashPoint('exchange.compensate.index-removed');
  if (whole) {
    await index.removeBatch(job.destinationCaseId, batchId);
    await objects.deletePrefix(objectPrefix(batchPrefix(job.destinationCaseId, batchId)), { signal });
  }
  parts.crashPoint('exchange.compensate.objects-removed');
  await removeSegments(parts, job, signal);
};

const exists = async ({ control }: CompensateDependencies, caseId: CaseId): Promise<boolean> => {
  const { rows } = await control.transaction({ readOnly: true }, async (tx) =>
    tx.query(`SELECT 1 FROM core.cases WHERE case_id = $1 AND state <> 'deleting'`, [caseId]),
  );
  return rows.length > 0;
};

const endOf = (job: ExchangeJob): Extract<ExchangeState, 'FAILED' | 'CANCELLED' | 'ROLLED_BACK'> =>
  job.endsAs ?? 'FAILED';

export const compensate = async (parts: CompensateDependencies, { job, signal }: StepContext): Promise<StepResult> => {
  const { batchId } = job;
  if (!(await tearDown(parts, job, signal))) return { kind: 'wait', ms: 1_000 };
  parts.crashPoint('exchange.compensate.torn-down');
  const state = endOf(job);
  let kept: string[] = [];
  // With a case that was deleted everything in it went.
  if (batchId !== null && (await exists(parts, job.destinationCaseId))) {
    const removed = await removeRecords(parts, job, signal);
    kept = (removed?.listed ?? [])
      .slice(0, listedKept)
      .map(({ resource, documentId, reason }) => `${resource} ${documentId}: ${reason}`);
    const whole = (removed?.kept ?? 0) === 0 && (removed?.overlaidKept ?? 0) === 0;
    await removeRest(parts, job, batchId, whole, signal);
    if (whole) await removeBatch(parts, job, signal);
    await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
      tx.query(
        `UPDATE exchange_item SET state = 'skipped', code = 'undone', reason = 'The exchange was undone.', updated_at = clock_timestamp() WHERE job_id = $1 AND state = 'pending'`,
        [job.jobId],
      ),
    );
  }
  return {
    kind: 'next',
    state,
    change: { resources: [], checkpoint: { kept } },
    events: (changed) => {
      if (changed.batchId === null) return [];
      const source = 'exchange.orchestrator';
      switch (state) {
        case 'FAILED':
          return [
            exchangeEvent(changed, {
              type: 'EXCHANGER_FAILED',
              source,
              status: 'ERROR',
              detail: {
                code: changed.failure?.code ?? 'internal',
                message: changed.failure?.reason ?? 'The exchange failed.',
              },
            }),
          ];
        case 'CANCELLED':
          return [
            exchangeEvent(changed, {
              type: 'EXCHANGER_FAILED',
              source,
              status: 'CANCELLED',
              detail: { reason: 'The exchange was cancelled.' },
            }),
          ];
        case 'ROLLED_BACK':
          return [exchangeEvent(changed, { type: 'EXCHANGER_ROLLED_BACK', source, detail: { kept: kept.length } })];
      }
    },
  };
};
