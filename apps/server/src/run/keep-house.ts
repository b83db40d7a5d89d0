/**
 * What a long-lived process does besides its work: puts right what other processes left when they died.
 *
 * The tasks are safe beside running servers, and what one run does not finish the next one does; so nothing waits for a task
 * that is under way when the process is to stop.
 */
import { CaseId } from '@casebound/contract';
import type { System } from '../compose.ts';
import { reconcileCases } from '../features/cases/index.ts';
import { watchCaseRecords } from '../features/records/index.ts';

interface Task {
  readonly name: string;
  readonly firstAfterMs: number;
  readonly everyMs: number;
  readonly work: (signal: AbortSignal) => Promise<number>;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Of several processes not all come at the same moment. */
const jittered = (ms: number): number => ms * (0.8 + 0.4 * Math.random());

const repeat = async ({ clock, log }: System, task: Task, signal: AbortSignal): Promise<void> => {
  for (let pause = task.firstAfterMs; !signal.aborted; pause = task.everyMs) {
    try {
      await clock.sleep(jittered(pause), signal);
      const count = await task.work(signal);
      log.debug('Housekeeping done', { component: task.name, count });
    } catch (error) {
      if (signal.aborted) return;
      log.error('Housekeeping failed; it is repeated', { component: task.name }, error);
    }
  }
};

const listActiveCases = async ({ databases }: System): Promise<readonly CaseId[]> => {
  const { rows } = await databases.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string }>(`SELECT case_id FROM core.cases WHERE state = 'active' ORDER BY case_id`),
  );
  return rows.map((row) => CaseId.parse(Number(row.case_id)));
};

const fieldsSample = 100;

/** Folds edits, removes what nothing points at, and looks at a sample of every case. @returns how many objects were written or removed */
const keepFields = async (system: System, signal: AbortSignal): Promise<number> => {
  const request = {
    actor: { kind: 'system', reason: 'housekeeping' },
    requestId: 'housekeeping',
    query: undefined,
    signal,
  } as const;
  let count = 0;
  for (const caseId of await listActiveCases(system)) {
    signal.throwIfAborted();
    try {
      const done = await system.handlers.compactFields({ ...request, params: { caseId }, body: undefined });
      await system.handlers.reconcileFields({ ...request, params: { caseId }, body: { sample: fieldsSample } });
      count += done.segments + done.removed;
    } catch (error) {
      if (signal.aborted) throw error;
      // One case that cannot be kept now, archived meanwhile perhaps, keeps no other waiting.
      system.log.warn('The custom fields of a case could not be kept; it is tried again', { caseId });
    }
  }
  return count;
};

/** Begins the tasks; they end when the signal aborts. */
export const keepHouse = (system: System, signal: AbortSignal): void => {
  const { cases, objects, records } = system;
  const tasks: readonly Task[] = [
    {
      name: 'cases',
      firstAfterMs: 5 * MINUTE_MS,
      everyMs: 5 * MINUTE_MS,
      work: async (stopped) => {
        const { undone, deleted } = await reconcileCases(cases, stopped);
        return undone + deleted;
      },
    },
    {
      name: 'case-records',
      firstAfterMs: MINUTE_MS,
      everyMs: MINUTE_MS,
      work: async (stopped) =>
        watchCaseRecords({ records, cases: await listActiveCases(system), log: system.log, signal: stopped }),
    },
    {
      name: 'object-store',
      firstAfterMs: HOUR_MS,
      everyMs: 24 * HOUR_MS,
      work: async () => {
        const { temporary, uploads } = await objects.sweep();
        return temporary + uploads;
      },
    },
    {
      name: 'fields',
      firstAfterMs: HOUR_MS,
      everyMs: 6 * HOUR_MS,
      work: async (stopped) => keepFields(system, stopped),
    },
  ];
  for (const task of tasks) void repeat(system, task, signal);
  void system.audit.run(async () => listActiveCases(system), signal);
};
