/**
 * Accepts an import: its batch, its row, and the message that makes a worker take it up, in one transaction.
 *
 * - An account may name paths below `import.roots` only: otherwise whoever may import could read every file of the server. The owner of the
 *   data folder may name any.
 */
import path from 'node:path';
import { realpath } from 'node:fs/promises';
import {
  CaseboundError,
  type Actor,
  type CaseId,
  type ImportJob,
  type ImportPreview,
  type ImportRequest,
} from '@casebound/contract';
import { upsertDocument } from '@casebound/records';
import { v7 } from 'uuid';
import { caseResource } from '../records/index.ts';
import type { ImportDependencies } from './dependencies.ts';
import { emptySource, type RowProblem } from './import-problem.ts';
import { createLooseSource } from './rows/loose-source.ts';
import { openSource, planImport, type PlannedImport } from './plan/plan-import.ts';
import { sendRun } from './send-run.ts';
import { countActive, findImport, insertImport, toImportJob } from './store.ts';

/** Errors: `import_source_invalid` when the path is not below an allowed root, or cannot be read. */
export const checkPath = async (roots: readonly string[], actor: Actor, given: string): Promise<void> => {
  if (actor.kind === 'system') return;
  const real = await realpath(path.resolve(given)).catch(() => undefined);
  const allowed = await Promise.all(roots.map(async (root) => realpath(path.resolve(root)).catch(() => undefined)));
  const isBelow = (root: string | undefined): boolean =>
    root !== undefined && real !== undefined && (real === root || real.startsWith(`${root}${path.sep}`));
  if (allowed.some(isBelow)) return;
  throw new CaseboundError(
    'import_source_invalid',
    'The path is not below a folder that imports may read; put the production into one of `import.roots`, or run the command on the server as the owner of its data folder.',
  );
};

const whoIs = (actor: Actor): string => (actor.kind === 'account' ? actor.name : 'system');

/**
 * Errors: those of `withCase`, `import_source_invalid`, `duplicate_identity` for a batch name that is taken, `too_many_jobs` when as many
 * imports of the case are under way as may be.
 */
export const createImport = async (
  dependencies: ImportDependencies,
  actor: Actor,
  caseId: CaseId,
  request: ImportRequest,
  signal?: AbortSignal,
): Promise<ImportJob> => {
  await checkPath(dependencies.roots, actor, request.path);
  const { root } = await openSource(request.path);
  await root.close();
  const jobId = v7();
  const batchName =
    request.batch ?? `${path.basename(path.resolve(request.path))} ${dependencies.clock.now().toISOString()}`;
  return dependencies.sessions.withCase(
    caseId,
    actor,
    async (tx) => {
      const active = await countActive(tx);
      if (active >= dependencies.activePerCase) {
        throw new CaseboundError(
          'too_many_jobs',
          `The case has ${active} imports under way, and ${dependencies.activePerCase} may be; wait for one to end, or cancel one.`,
          { retryAfterSeconds: 30 },
        );
      }
      const store = await dependencies.records.within(caseId, tx);
      const { rowCount: taken } = await tx.query('SELECT FROM batch WHERE name = $1', [batchName]);
      const isTaken = (): CaseboundError =>
        new CaseboundError('duplicate_identity', `The case has a batch called ${batchName}; choose another name.`);
      if (taken > 0) throw isTaken();
      const batch = await upsertDocument(store, caseResource(dependencies.records.model, 'batches'), {
        name: batchName,
        kind: 'import',
        jobId,
        source: request.path,
        startedAt: dependencies.clock.now().toISOString(),
        createdBy: whoIs(actor).slice(0, 300),
      });
      // Somebody made it since it was looked for.
      if (batch.outcome !== 'created') throw isTaken();
      const batchId = batch.documentId;
      await insertImport(tx, { jobId, batchId, batchName, request, createdBy: whoIs(actor), actor });
      await sendRun(tx, dependencies.outbox, { jobId, caseId, batchId });
      const stored = await findImport(tx, jobId);
      if (stored === undefined) throw new CaseboundError('internal', 'The import is gone.');
      return toImportJob(caseId, stored);
    },
    signal === undefined ? {} : { signal },
  );
};

const targetOf = (column: Extract<PlannedImport['plan'], { kind: 'load_file' }>['columns'][number]): string => {
  switch (column.target) {
    case 'core':
      return column.field;
    case 'custom':
      return `custom: ${column.title} (${column.type})`;
    case 'skip':
      return 'skipped';
  }
};

/** What an import would do. Reads, and writes nothing. */
export const previewImport = async (
  dependencies: ImportDependencies,
  actor: Actor,
  request: ImportRequest,
  signal?: AbortSignal,
): Promise<ImportPreview> => {
  await checkPath(dependencies.roots, actor, request.path);
  const opened = await openSource(request.path);
  try {
    const { plan, report, problems, reasons } = await planImport(opened, request, signal);
    if (plan.kind === 'loose_files') {
      const found: RowProblem[] = [];
      let items = 0;
      const source = createLooseSource({ root: opened.root, request: { ...request, deduplicate: 'none' } });
      for await (const batch of source.keys((it) => found.push(it))) {
        items += batch.length;
        signal?.throwIfAborted();
      }
      if (items === 0) found.push(emptySource(request.path));
      const codes = Map.groupBy(found, ({ code }) => code);
      return {
        kind: plan.kind,
        dataFile: null,
        imageList: null,
        encoding: null,
        columns: [],
        rows: items,
        rejected: 0,
        problemCounts: [...codes].map(([code, all]) => ({ code, count: all.length })),
        problems: found.slice(0, 100),
      };
    }
    return {
      kind: plan.kind,
      dataFile: plan.dataFile,
      imageList: plan.imageList?.path ?? null,
      encoding: report?.encoding.name ?? null,
      columns: plan.columns.map((column, index) => ({
        column: column.column,
        target: targetOf(column),
        type: reasons[index]?.type ?? 'empty',
        reason: reasons[index]?.reason ?? '',
        warning: reasons[index]?.warning ?? null,
      })),
      rows: report?.rows ?? 0,
      rejected: report?.rejected ?? 0,
      problemCounts: (report?.problemCounts ?? []).map(({ code, count }) => ({ code, count })),
      problems: [
        ...problems,
        ...(report?.problems ?? []).map((found) => ({
          severity: found.severity,
          code: found.code,
          row: null,
          line: found.line === 0 ? null : found.line,
          path: plan.dataFile,
          field: found.field ?? null,
          value: found.value ?? null,
          reason: found.message,
          rejected: false,
        })),
      ].slice(0, 100),
    };
  } finally {
    await opened.root.close();
  }
};
