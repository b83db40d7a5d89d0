/**
 * Carries an import from wherever it stands to its end, or to the end of a slice of time: planned, staged, imported chunk by chunk, linked,
 * processed, finished; or undone.
 *
 * 1. Each step ends in a transaction with its checkpoint. A killed import goes on after the last of them, and ends as if it had not been
 *    killed. The stage is unlogged and made again from the source when it is gone.
 * 2. rows = imported + duplicates + overlaid + rejected, when it has ended.
 */
import { type Actor, CaseboundError, hasCode, type CaseId } from '@casebound/contract';
import type { Outbox } from '@casebound/messaging';
import { classifyFailure } from '@casebound/messaging';
import type { CaseSessions, Transaction } from '../../database/index.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import type { Log } from '../../platform/log/Port.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { createExhibitsChanged, type Fields } from '../fields/index.ts';
import type { CaseRecords } from '../records/index.ts';
import { HandedOn, HeldImport, Overtaken } from './held-import.ts';
import { emptySource, insertProblems, problem } from './import-problem.ts';
import { importRows } from './import-rows.ts';
import { makePlan } from './plan/make-plan.ts';
import type { ProcessParts } from './process/process-document.ts';
import { indexExhibits, removeFromIndex } from './process/index-exhibits.ts';
import { processDocuments } from './process/process-documents.ts';
import { openRowSource } from './rows/open-row-source.ts';
import type { RowSource } from './source-row.ts';
import type { KeysAhead } from './stage/stage-ahead.ts';
import { stageOptions, stageRows } from './stage/stage-rows.ts';
import { claimImport, dropStage, findImport, isStaged, isUndone, type StoredImport } from './store.ts';
import { type AddParts, addToOriginals, originOfAdditions } from './write/add-to-originals.ts';
import { linkLateParents } from './write/link-late-parents.ts';
import { recordUndone, removeFiles, undoImport } from './write/undo-import.ts';
import { undoChanges } from './write/undo-changes.ts';

export interface RunImportDependencies extends ProcessParts {
  readonly sessions: CaseSessions;
  readonly records: CaseRecords;
  readonly fields: Fields;
  readonly outbox: Outbox;
  /** Where events of imports go. */
  readonly topic: string;
  readonly index: SearchIndex;
  /** Called when the audit trail of a case has grown. */
  readonly onAudited?: (caseId: CaseId) => void;
  readonly crashPoint: CrashPoint;
  readonly log: Log;
  /** Rows a transaction. Default 1,000. */
  readonly chunkRows?: number;
  /** Chunks that are written at once, each on a connection. Default 3. */
  readonly writers?: number;
  /** Milliseconds that one delivery works before it sends the rest on. Default a minute. */
  readonly sliceMs?: number;
}

const system = { kind: 'system', reason: 'import' } as const;

const openPlanned = async (
  { job, parts, caseId, signal }: HeldImport,
  ahead: KeysAhead | undefined,
): Promise<RowSource> => {
  if (job.plan === null) throw new CaseboundError('internal', 'The import has no plan.');
  const definitions = await parts.fields.definitions(caseId, job.actor, signal);
  return openRowSource({ plan: job.plan, request: job.request, definitions, named: ahead?.named });
};

const stage = async (held: HeldImport, source: RowSource, ahead: KeysAhead | undefined): Promise<void> => {
  const { job } = held;
  const restaging = job.state === 'importing';
  if (restaging && (await held.transaction(async (tx) => isStaged(tx, job.job_id)))) return;
  const counts = await held.transaction(async (tx) => {
    const staged = await stageRows(tx, {
      jobId: job.job_id,
      source,
      // A crash of the database may have emptied the table since.
      ahead: ahead !== undefined && (await isStaged(tx, job.job_id)) ? ahead : undefined,
      request: job.request,
      signal: held.signal,
      imported: restaging ? job.row_done : 0,
      fields: held.parts.fields,
    });
    if (staged.rows === 0 && job.plan?.kind === 'loose_files')
      await insertProblems(tx, job.job_id, 'staging', [emptySource(job.request.path)]);
    if (!restaging) {
      await held.advance(
        tx,
        ['staging'],
        `rows = $4, rejected = $5, duplicates = $6, state = 'importing', step_started_at = now()`,
        [staged.rows, staged.rejected, staged.duplicates],
      );
    }
    if (job.request.strict && staged.rejected > 0) {
      throw new CaseboundError(
        'validation_failed',
        `${staged.rejected} rows would be rejected, and the import is strict.`,
      );
    }
    return staged;
  }, stageOptions);
  if (!restaging) held.became({ ...counts, state: 'importing' });
  held.parts.crashPoint('import.staged');
};

/** Every row that was staged must have come to something: a source that gives fewer rows when it is read again has changed. */
const requireAllRows = async (tx: Transaction, jobId: string): Promise<void> => {
  const found = await findImport(tx, jobId);
  if (found === undefined) return;
  const missing = found.rows - found.imported - found.duplicates - found.overlaid - found.rejected;
  if (missing === 0) return;
  throw new CaseboundError(
    'import_source_invalid',
    `Of ${found.rows} rows ${missing} did not come when the source was read again: it changed after the import had begun. The import is undone; wait until whatever writes it has finished, then import it again.`,
  );
};

/** For changes of exhibits that are not the import's own; the search index is told of them. */
const changePartsOf = ({ parts, caseId }: HeldImport, actor: Actor): AddParts => {
  const { records, fields, outbox, topic } = parts;
  const changed = createExhibitsChanged(async (tx, events) => outbox.publish(tx, topic, events), 'import');
  return {
    caseId,
    actor,
    model: records.model,
    fields,
    within: async (tx) => records.within(caseId, tx),
    onChanged: async (tx, exhibitIds) => changed(tx, caseId, exhibitIds, ['custodians', 'allPaths']),
  };
};

/** What only the whole source says: parents that came after their children, and what duplicates add. */
const link = async (held: HeldImport, late: readonly number[] | null): Promise<void> => {
  const { job, parts, caseId } = held;
  const transact = async <T>(fn: (tx: Transaction) => Promise<T>): Promise<T> => held.ownTransaction('importing', fn);
  if (job.request.overlay === undefined) {
    await linkLateParents(parts.records, caseId, job, late, transact);
    await addToOriginals(changePartsOf(held, job.actor), job, transact);
  }
  await held.transaction(async (tx) => {
    await requireAllRows(tx, job.job_id);
    await held.advance(
      tx,
      ['importing'],
      `state = 'processing', step_started_at = now(), row_done = rows, to_process = (SELECT count(*) FROM import_processing WHERE import_processing.job_id = $1)`,
    );
  });
  held.became({ state: 'processing' });
  parts.crashPoint('import.linked');
};

const finish = async (held: HeldImport): Promise<void> => {
  const { job, parts, caseId } = held;
  parts.crashPoint('import.finishing');
  await held.transaction(async (tx) => {
    await held.advance(
      tx,
      ['indexing'],
      `state = CASE WHEN EXISTS (SELECT FROM import_problem WHERE job_id = $1 AND severity = 'error') THEN 'finished_with_errors' ELSE 'finished' END,
       finished_at = now()`,
    );
    // Nobody has needed it since the rows were linked, and they were to be seen before it was gone.
    await dropStage(tx, job.job_id);
    const ended = await findImport(tx, job.job_id);
    if (ended === undefined) return;
    await held.publish(tx, {
      type: 'IMPORT_FINISHED',
      detail: {
        exhibits: ended.imported,
        duplicates: ended.duplicates,
        overlaid: ended.overlaid,
        problems: ended.problems,
      },
    });
  });
  parts.log.info('import finished', { caseId, jobId: job.job_id });
};

const beforeItsEnd = ['planning', 'staging', 'importing', 'processing', 'indexing'] as const;

/** What cannot end well by being tried again is undone; everything else is left for the next try. */
const fail = async (held: HeldImport, error: unknown): Promise<void> => {
  const { job } = held;
  if (error instanceof HandedOn) return;
  if (error instanceof Overtaken) throw error;
  const { family, code, reason } = classifyFailure(error);
  if (held.signal.aborted || family !== 'permanent') throw error;
  const failure = { code, detail: reason.slice(0, 2_000) };
  await held.transaction(async (tx) => {
    await insertProblems(tx, job.job_id, 'run', [problem('error', failure.code, failure.detail)]);
    await held.advance(tx, beforeItsEnd, `error_code = $4, error_detail = $5`, [failure.code, failure.detail]);
  });
  await undo(held, 'failed', failure);
};

const undo = async (
  held: HeldImport,
  end: 'failed' | 'cancelled',
  failure: { readonly code: string; readonly detail: string },
): Promise<void> => {
  const { job, parts, caseId } = held;
  const transact = async <T>(fn: (tx: Transaction) => Promise<T>): Promise<T> => held.transaction(fn);
  /** What fails is undone by nobody's order. */
  const actor = end === 'cancelled' && job.cancelled_by !== null ? job.cancelled_by : system;
  const changing = changePartsOf(held, actor);
  if (job.request.overlay === undefined) {
    await undoImport(parts, caseId, job, actor, transact);
    // Only originals of other imports are still there.
    const additions = { origin: originOfAdditions(job.job_id), leftCode: 'original_left' };
    if (job.duplicates > 0)
      await undoChanges(changing, job, { ...additions, onTakenBack: changing.onChanged }, transact);
  } else await undoChanges(changing, job, { origin: `overlay ${job.job_id}`, leftCode: 'overlay_left' }, transact);
  await removeFromIndex(held, caseId);
  await held.transaction(async (tx) => {
    await recordUndone(tx, job, actor, failure.detail);
    await held.advance(
      tx,
      [...beforeItsEnd, 'cancelling'],
      `state = $4, finished_at = now(), imported = 0, overlaid = 0, duplicates = 0, rejected = rows`,
      [end],
    );
    await dropStage(tx, job.job_id);
    await held.publish(
      tx,
      end === 'failed'
        ? {
            type: 'IMPORT_FAILED',
            status: 'ERROR',
            detail: { code: failure.code, message: failure.detail },
          }
        : { type: 'IMPORT_FAILED', status: 'CANCELLED', detail: { reason: failure.detail } },
    );
  });
};

/** Another worker has the import. When that one undoes it, it may have removed the files before this one had stored its last. */
const letGo = async (held: HeldImport): Promise<void> => {
  const { job, parts, caseId } = held;
  parts.log.info('the import was taken over or cancelled', { caseId, jobId: job.job_id });
  if (job.request.overlay !== undefined) return;
  if (await held.transaction(async (tx) => isUndone(tx, job), { readOnly: true }))
    await removeFiles(parts.objects, caseId, job);
};

const carryOn = async (held: HeldImport): Promise<void> => {
  const { state, error_code: code, error_detail: detail } = held.job;
  if (state === 'cancelling') {
    await undo(held, 'cancelled', { code: 'cancelled', detail: 'The import was cancelled.' });
    return;
  }
  // It had failed, and its undoing was interrupted: a part of it is gone, so it cannot end well any more.
  if (code !== null) {
    await undo(held, 'failed', { code, detail: detail ?? '' });
    return;
  }
  try {
    const ahead = held.job.plan === null ? await makePlan(held) : undefined;
    if (!['processing', 'indexing'].includes(held.job.state)) {
      const source = await openPlanned(held, ahead);
      let late: readonly number[] | null;
      try {
        await stage(held, source, ahead);
        late = await importRows(held, source);
      } finally {
        await source.close();
      }
      await link(held, late);
    }
    await processDocuments(held);
    await indexExhibits(held);
    await finish(held);
  } catch (error) {
    await fail(held, error);
  }
};

/** Carries an import on. Returns when there is nothing (more) to do here; throws what a later try may mend. */
export const runImport = async (
  dependencies: RunImportDependencies,
  caseId: CaseId,
  jobId: string,
  signal: AbortSignal,
): Promise<void> => {
  let job: StoredImport | undefined;
  try {
    job = await dependencies.sessions.withCase(caseId, system, async (tx) => claimImport(tx, jobId), { signal });
  } catch (error) {
    // The case went away while its message waited.
    if (hasCode(error, 'case_not_found')) return;
    throw error;
  }
  if (job === undefined) return;
  const held = new HeldImport(dependencies, caseId, job, signal);
  try {
    await carryOn(held);
  } catch (error) {
    if (!(error instanceof Overtaken)) throw error;
    await letGo(held);
  }
};
