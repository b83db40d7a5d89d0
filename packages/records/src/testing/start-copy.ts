/** Copies between two library stores, for tests: whole stores in small chunks, a crash at a named point. */
import { compileCopyPlan } from '../copy/compile-plan.ts';
import { mapRecords } from '../copy/map-records.ts';
import { copyState, openCopy, type OpenCopyOptions, type RecordCopy, selectRecordsBy } from '../copy/open-copy.ts';
import type { CopyPolicy } from '../copy/policy.ts';
import { copyRecords } from '../copy/run-copy.ts';
import type { StoreContext } from '../store-context.ts';

export interface StartCopyOptions extends Partial<Omit<OpenCopyOptions, 'source' | 'destination' | 'plan'>> {
  readonly source: StoreContext;
  readonly destination: StoreContext;
  readonly policy?: CopyPolicy;
  /** SQL of the selected source ids; default: all. */
  readonly select?: string;
}

/** Opens the job, and selects when it is new. */
export const startCopy = async (options: StartCopyOptions): Promise<RecordCopy> => {
  const { source, destination, policy, select, ...rest } = options;
  const copy = await openCopy({
    plan: compileCopyPlan(source.model, destination.model, policy ?? {}),
    source,
    destination,
    key: 'job',
    sourceStore: 'source',
    chunkSize: 2,
    parallel: 3,
    ...rest,
  });
  if ((await copyState(copy)) === 'selecting')
    await selectRecordsBy(copy, select ?? `SELECT document_id FROM "${source.schema}".document`, []);
  return copy;
};

/** Does the whole copy. */
export const runCopy = async (options: StartCopyOptions): Promise<RecordCopy> => {
  const copy = await startCopy(options);
  await mapRecords(copy);
  await copyRecords(copy);
  return copy;
};

export class Crash extends Error {}

/** A crash point that throws at the `nth` passing of any point whose name begins so. */
export const crashAt = (
  prefix: string,
  nth: number,
): { crashPoint: (name: string) => void; passed: () => readonly string[] } => {
  let left = nth;
  const passed: string[] = [];
  return {
    crashPoint: (name) => {
      passed.push(name);
      if (!name.startsWith(prefix)) return;
      left -= 1;
      if (left === 0) throw new Crash(name);
    },
    passed: () => passed,
  };
};
