/**
 * Carries an import from wherever it stands to its end: planned, staged, imported chunk by chunk, finished; or undone.
 *
 * 1. Whoever runs it holds the fence: a worker that was overtaken commits nothing more.
 * 2. A chunk is a transaction with its checkpoint. A killed import goes on after the last committed row, and ends as if it had not
 *    been killed. The stage is unlogged and made again from the source when it is gone.
 * 3. While the database writes one chunk, the files of the next are stored. Memory is two chunks.
 * 4. rows = imported + duplicates + overlaid + rejected, when it has ended.
 */
import { CaseboundError, hasCode, type CaseId } from '@casebound/contract';
import { bulkWrite } from '@casebound/records';
import type { CaseSessions, Transaction, TransactionOptions } from '../../database/index.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import type { Log } from '../../platform/log/Port.ts';
import type { Fields } from '../fields/index.ts';
import { type CaseRecords, caseResource } from '../records/index.ts';
import { insertProblems, problem, type RowProblem } from './import-problem.ts';
import type { ProcessParts } from './process/process-document.ts';
import { processDocuments } from './process/process-documents.ts';
import { openSource, planImport } from './plan/plan-import.ts';
import { openRowSource } from './rows/open-row-source.ts';
import type { RowSource, SourceRow } from './source-row.ts';
import { stageRows } from './stage/stage-rows.ts';
import {
  claimImport,
  dropStage,
  isStaged,
  readStaged,
  readStagedPages,
  readTaken,
  type StagedRow,
  type StoredImport,
  updateHeld,
} from './store.ts';
import { addToOriginals } from './write/add-to-originals.ts';
import { type ChunkContext, type ChunkRow, documentKeyOf, importChunk } from './write/import-chunk.ts';
import { linkLateParents } from './write/link-late-parents.ts';
import { SharedRecords } from './write/shared-records.ts';
import { type ListedPage, storeFiles, type StoredFiles } from './write/store-files.ts';
import { undoImport } from './write/undo-import.ts';

export interface RunImportDependencies extends ProcessParts {
  readonly sessions: CaseSessions;
  readonly records: CaseRecords;
  readonly fields: Fields;
  /** Called when the audit trail of a case has grown. */
  readonly onAudited?: (caseId: CaseId) => void;
  readonly crashPoint: CrashPoint;
  readonly log: Log;
  /** Rows a transaction. Default 1,000. */
  readonly chunkRows?: number;
}

/** Files that are read at once. */
const filesAtOnce = 8;
/** The stage is one transaction over the whole source; custom-field and record writes of a chunk are short. */
const stageOptions: TransactionOptions = {
  statementTimeoutMs: 3_600_000,
  transactionTimeoutMs: 7_200_000,
  retryOnConflict: false,
};
const chunkOptions: TransactionOptions = {
  statementTimeoutMs: 300_000,
  transactionTimeoutMs: 600_000,
  retryOnConflict: false,
};

/** Another worker has the import, or it was cancelled. */
class Overtaken extends Error {}

const emptyFiles: StoredFiles = {
  variants: [],
  pages: [],
  digests: null,
  mime: null,
  hasAnnotations: false,
  problems: [],
  files: 0,
  bytes: 0,
};

class ImportRun {
  readonly #with: RunImportDependencies;
  readonly #caseId: CaseId;
  readonly #signal: AbortSignal;
  #job: StoredImport;

  constructor(dependencies: RunImportDependencies, caseId: CaseId, job: StoredImport, signal: AbortSignal) {
    this.#with = dependencies;
    this.#caseId = caseId;
    this.#job = job;
    this.#signal = signal;
  }

  async #transaction<T>(fn: (tx: Transaction) => Promise<T>, options: TransactionOptions = chunkOptions): Promise<T> {
    return this.#with.sessions.withCase(this.#caseId, this.#job.actor, fn, { ...options, signal: this.#signal });
  }

  /** Changes the job's row while it is still ours. */
  async #advance(
    tx: Transaction,
    from: readonly StoredImport['state'][],
    assignments: string,
    values: readonly unknown[] = [],
  ): Promise<void> {
    if (!(await updateHeld(tx, this.#job, from, assignments, values))) throw new Overtaken();
  }

  async run(): Promise<void> {
    if (this.#job.state === 'cancelling') {
      await this.#undo('cancelled');
      return;
    }
    try {
      if (this.#job.plan === null) await this.#plan();
      const source = await this.#open();
      try {
        if (this.#job.state !== 'processing') {
          await this.#stage(source);
          await this.#importRows(source);
        }
      } finally {
        await source.close();
      }
      await this.#link();
      await this.#process();
      await this.#finish();
    } catch (error) {
      await this.#fail(error);
    }
  }

  async #plan(): Promise<void> {
    const opened = await openSource(this.#job.request.path);
    await using _root = opened.root;
    const planned = await planImport(opened, this.#job.request, this.#signal);
    await this.#transaction(async (tx) => {
      await this.#defineFields(tx, planned.plan);
      await tx.query(`DELETE FROM import_problem WHERE job_id = $1 AND stage = 'planning'`, [this.#job.job_id]);
      await insertProblems(tx, this.#job.job_id, 'planning', planned.problems);
      await this.#advance(tx, ['planning'], `plan = $4, state = 'staging'`, [JSON.stringify(planned.plan)]);
    });
    this.#with.fields.forget(this.#caseId);
    this.#job = { ...this.#job, plan: planned.plan, state: 'staging' };
    this.#with.crashPoint('import.planned');
  }

  /** Custom fields that the case does not have yet; one that it has keeps its type, and values are read by it. */
  async #defineFields(tx: Transaction, plan: NonNullable<StoredImport['plan']>): Promise<void> {
    if (plan.kind !== 'load_file') return;
    const wanted = plan.columns.flatMap((column) => (column.target === 'custom' ? [column] : []));
    if (wanted.length === 0) return;
    const { rows } = await tx.query<{ title: string }>(
      'SELECT title FROM custom_field WHERE title = ANY ($1::text[])',
      [wanted.map((column) => column.title)],
    );
    const there = new Set(rows.map((row) => row.title));
    const resource = caseResource(this.#with.records.model, 'customFields');
    const missing = wanted.filter((column) => !there.has(column.title));
    await bulkWrite(
      await this.#with.records.within(this.#caseId, tx),
      missing.map((column) => ({
        resource,
        document: { title: column.title, inputType: column.type, displayOrder: column.index },
      })),
      {
        onRow: (outcome) => {
          if (outcome.outcome === 'failed') throw outcome.error;
        },
      },
    );
  }

  async #open(): Promise<RowSource> {
    const { plan, request, actor } = this.#job;
    if (plan === null) throw new CaseboundError('internal', 'The import has no plan.');
    const definitions = await this.#with.fields.definitions(this.#caseId, actor, this.#signal);
    return openRowSource({ plan, request, definitions });
  }

  async #stage(source: RowSource): Promise<void> {
    if (this.#job.state === 'importing' && (await this.#transaction(async (tx) => isStaged(tx, this.#job.job_id))))
      return;
    const { job_id: jobId, request } = this.#job;
    const restaging = this.#job.state === 'importing';
    const counts = await this.#transaction(async (tx) => {
      const staged = await stageRows(
        tx,
        jobId,
        source,
        request,
        () => this.#signal.throwIfAborted(),
        restaging ? this.#job.row_done : 0,
      );
      if (!restaging) {
        await this.#advance(tx, ['staging'], `rows = $4, rejected = $5, duplicates = $6, state = 'importing'`, [
          staged.rows,
          staged.rejected,
          staged.duplicates,
        ]);
      }
      if (request.strict && staged.rejected > 0) {
        throw new CaseboundError(
          'validation_failed',
          `${staged.rejected} rows would be rejected, and the import is strict.`,
        );
      }
      return staged;
    }, stageOptions);
    if (!restaging) this.#job = { ...this.#job, ...counts, state: 'importing' };
    this.#with.crashPoint('import.staged');
  }

  #context(): ChunkContext {
    const { job_id: jobId, batch_id: batchId, batch_name: batchName, actor, created_at: createdAt } = this.#job;
    return {
      caseId: this.#caseId,
      actor,
      jobId,
      batchId,
      batchName,
      importedAt: createdAt.toISOString(),
      model: this.#with.records.model,
      objects: this.#with.objects,
      shared: new SharedRecords(this.#with.records.model),
    };
  }

  async #importRows(source: RowSource): Promise<void> {
    const context = this.#context();
    const size = this.#with.chunkRows ?? 1_000;
    let writing: Promise<void> = Promise.resolve();
    let gathered: SourceRow[] = [];
    const flush = async (): Promise<void> => {
      const rows = gathered;
      gathered = [];
      if (rows.length === 0) return;
      const prepared = await this.#prepare(source, rows);
      await writing;
      writing = this.#write(context, prepared);
      writing.catch(() => undefined);
    };
    for await (const row of source.rows(this.#job.row_done)) {
      this.#signal.throwIfAborted();
      gathered.push(row);
      if (source.sequential) {
        // Files of the row cannot be opened any more once the next one is asked for.
        this.#storedNow.set(row.row, await this.#store(row, []));
      }
      if (gathered.length >= size) await flush();
    }
    await flush();
    await writing;
  }

  readonly #storedNow = new Map<number, StoredFiles>();

  async #store(row: SourceRow, listed: readonly ListedPage[]): Promise<StoredFiles> {
    if (row.rejected) return emptyFiles;
    const place = {
      caseId: this.#caseId,
      batchId: this.#job.batch_id,
      documentKey: documentKeyOf(this.#job.job_id, row.row),
    };
    return storeFiles(this.#with.objects, row, place, listed, this.#signal);
  }

  /** Looks up what the stage says of the rows and stores the files of those that are imported. */
  async #prepare(source: RowSource, rows: readonly SourceRow[]): Promise<readonly ChunkRow[]> {
    const first = rows[0]?.row ?? 0;
    const last = rows.at(-1)?.row ?? 0;
    const { staged, pages } = await this.#transaction(
      async (tx) => {
        const found = await readStaged(tx, this.#job.job_id, first, last);
        const keys = [...found.values()].flatMap((it) =>
          it.fate === 'pending' && it.controlNumber !== null ? [it.controlNumber] : [],
        );
        return { staged: found, pages: await readStagedPages(tx, this.#job.job_id, keys) };
      },
      { ...chunkOptions, readOnly: true },
    );
    const byDocument = Map.groupBy(pages, (page) => page.docKey);
    const prepared: ChunkRow[] = [];
    const waiting = rows.toReversed();
    const work = async (): Promise<void> => {
      for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) {
        const place = staged.get(row.row);
        if (place === undefined)
          throw new CaseboundError('internal', `The stage of the import lacks the row ${row.row}.`);
        if (place.fate === 'pending' && !row.rejected)
          prepared.push(await this.#prepareRow(source, row, place, byDocument.get(place.controlNumber ?? '') ?? []));
        else this.#storedNow.delete(row.row);
      }
    };
    await Promise.all(Array.from({ length: filesAtOnce }, work));
    this.#chunkEnds.set(prepared, { first, last });
    return prepared.sort((a, b) => a.row.row - b.row.row);
  }

  readonly #chunkEnds = new WeakMap<readonly ChunkRow[], { readonly first: number; readonly last: number }>();

  async #prepareRow(
    source: RowSource,
    row: SourceRow,
    staged: StagedRow,
    pages: readonly {
      readonly position: number;
      readonly pageId: string;
      readonly path: string;
      readonly line: number;
    }[],
  ): Promise<ChunkRow> {
    const numbered = { ...row, controlNumber: staged.controlNumber };
    const now = this.#storedNow.get(row.row);
    this.#storedNow.delete(row.row);
    if (now !== undefined) return { row: numbered, staged, stored: now };
    const listed: ListedPage[] = [];
    for (const page of pages) {
      listed.push({
        position: page.position,
        pageId: page.pageId,
        line: page.line,
        file: await source.imageFile(page.path),
      });
    }
    return { row: numbered, staged, stored: await this.#store(row, listed) };
  }

  async #write(context: ChunkContext, prepared: readonly ChunkRow[]): Promise<void> {
    const { first, last } = this.#chunkEnds.get(prepared) ?? { first: 0, last: 0 };
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#writeOnce(context, prepared, first, last);
        context.shared.keep();
        this.#with.onAudited?.(this.#caseId);
        this.#with.crashPoint('import.chunk.committed');
        return;
      } catch (error) {
        const isConflict =
          error instanceof CaseboundError && ['conflict_retries_exhausted', 'database_conflict'].includes(error.code);
        if (!isConflict || attempt === 5) throw error;
      }
    }
  }

  async #writeOnce(context: ChunkContext, prepared: readonly ChunkRow[], first: number, last: number): Promise<void> {
    await this.#transaction(async (tx) => {
      const taken = await readTaken(
        tx,
        prepared.map((it) => it.row.controlNumber ?? ''),
      );
      const free = prepared.filter((it) => !taken.has(it.row.controlNumber ?? ''));
      const clashes = prepared.filter((it) => taken.has(it.row.controlNumber ?? '')).map(takenMeanwhile);
      await insertProblems(tx, this.#job.job_id, 'importing', clashes);
      const store = await this.#with.records.within(this.#caseId, tx);
      const result = await importChunk(tx, store, context, free, first);
      const rejected = result.rejected + clashes.length;
      if (this.#job.request.strict && rejected > 0) {
        throw new CaseboundError(
          'validation_failed',
          `${rejected} rows of a chunk were rejected, and the import is strict.`,
        );
      }
      await this.#with.objects.flush();
      this.#with.crashPoint('import.chunk.written');
      await this.#advance(
        tx,
        ['importing'],
        `row_done = $4, imported = imported + $5, rejected = rejected + $6, files = files + $7, bytes = bytes + $8`,
        [
          last,
          result.imported,
          rejected,
          free.reduce((sum, it) => sum + it.stored.files, 0),
          free.reduce((sum, it) => sum + it.stored.bytes, 0),
        ],
      );
    });
  }

  /** What only the whole source says: parents that came after their children, and what duplicates add. */
  async #link(): Promise<void> {
    if (this.#job.state === 'processing') return;
    await linkLateParents(this.#with.records, this.#caseId, this.#job, async (fn) => this.#transaction(fn));
    await addToOriginals(this.#with.records, this.#caseId, this.#job, async (fn) => this.#transaction(fn));
    await this.#transaction(async (tx) => {
      await this.#advance(
        tx,
        ['importing'],
        `state = 'processing', row_done = rows, to_process = (SELECT count(*) FROM import_processing WHERE import_processing.job_id = $1)`,
      );
      await dropStage(tx, this.#job.job_id);
    });
    this.#job = { ...this.#job, state: 'processing' };
    this.#with.crashPoint('import.linked');
  }

  async #process(): Promise<void> {
    await processDocuments({
      parts: this.#with,
      records: this.#with.records,
      caseId: this.#caseId,
      job: this.#job,
      ocr: this.#job.request.ocr === 'auto',
      transact: async (fn) => this.#transaction(fn),
      advance: async (tx, documents) => {
        await this.#advance(tx, ['processing'], 'processed = processed + $4', [documents]);
        this.#with.crashPoint('import.set.processed');
      },
      signal: this.#signal,
    });
  }

  async #finish(): Promise<void> {
    this.#with.crashPoint('import.finishing');
    await this.#transaction(async (tx) => {
      await this.#advance(
        tx,
        ['processing'],
        `state = CASE WHEN EXISTS (SELECT FROM import_problem WHERE job_id = $1 AND severity = 'error') THEN 'finished_with_errors' ELSE 'finished' END,
         finished_at = now()`,
      );
    });
    this.#with.log.info('import finished', { caseId: this.#caseId, jobId: this.#job.job_id });
  }

  /** What cannot end well by being tried again is undone; everything else is left for the next try. */
  async #fail(error: unknown): Promise<void> {
    if (error instanceof Overtaken) {
      this.#with.log.info('the import was taken over or cancelled', { caseId: this.#caseId, jobId: this.#job.job_id });
      return;
    }
    if (this.#signal.aborted || !(error instanceof CaseboundError) || error.family !== 'permanent') throw error;
    await this.#transaction(async (tx) => {
      await insertProblems(tx, this.#job.job_id, 'run', [problem('error', error.code, error.message)]);
      await this.#advance(
        tx,
        ['planning', 'staging', 'importing', 'processing'],
        `error_code = $4, error_detail = $5`,
        [error.code, error.message.slice(0, 2_000)],
      );
    });
    await this.#undo('failed');
  }

  async #undo(end: 'failed' | 'cancelled'): Promise<void> {
    await undoImport(this.#with, this.#caseId, this.#job, async (fn) => this.#transaction(fn));
    await this.#transaction(async (tx) => {
      await this.#advance(
        tx,
        ['planning', 'staging', 'importing', 'processing', 'cancelling'],
        `state = $4, finished_at = now(), imported = 0, overlaid = 0, duplicates = 0, rejected = rows`,
        [end],
      );
      await dropStage(tx, this.#job.job_id);
    });
  }
}

const takenMeanwhile = ({ row }: ChunkRow): RowProblem =>
  problem('error', 'control_number_exists', 'An exhibit of the case has this control number.', {
    row: row.row,
    line: row.line,
    path: row.path,
    field: 'controlNumber',
    value: row.controlNumber,
    rejected: true,
  });

/** Runs an import to its end. Returns when there is nothing (more) to do; throws what a later try may mend. */
export const runImport = async (
  dependencies: RunImportDependencies,
  caseId: CaseId,
  jobId: string,
  signal: AbortSignal,
): Promise<void> => {
  const system = { kind: 'system', reason: 'import' } as const;
  let job: StoredImport | undefined;
  try {
    job = await dependencies.sessions.withCase(caseId, system, async (tx) => claimImport(tx, jobId), { signal });
  } catch (error) {
    // The case went away while its message waited.
    if (hasCode(error, 'case_not_found')) return;
    throw error;
  }
  if (job !== undefined) await new ImportRun(dependencies, caseId, job, signal).run();
};
