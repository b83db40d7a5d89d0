/**
 * The watchdog over the record stores of all cases: each round looks at a few cases, taken at random, and repairs what it finds.
 *
 * - A round costs a handful of statements a case, so thousands of cases are watched by one process without a connection of their own.
 * - Damage is repaired and told in the log; what cannot be repaired is told at every round that meets it.
 * - Etags that changes of identity have left to the background are given in passing.
 */
import type { Actor, CaseId } from '@casebound/contract';
import { createWatchdog, defaultWatchdog } from '@casebound/records';
import type { Log } from '../../platform/log/Port.ts';
import type { CaseRecords } from './case-records.ts';

export interface WatchCaseRecordsOptions {
  readonly records: Pick<CaseRecords, 'open'>;
  readonly cases: readonly CaseId[];
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Cases a round. Default 20. */
  readonly casesARound?: number;
  /** Documents a case. Default 50. */
  readonly sampleSize?: number;
}

const system: Actor = { kind: 'system', reason: 'watchdog' };

const someOf = <T>(all: readonly T[], count: number): readonly T[] => {
  const left = [...all];
  const taken: T[] = [];
  while (taken.length < count && left.length > 0)
    taken.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return taken;
};

/** Does one round. One case's failure does not stop the others. @returns how many damages were found */
export const watchCaseRecords = async (options: WatchCaseRecordsOptions): Promise<number> => {
  const { records, log, signal } = options;
  let damages = 0;
  for (const caseId of someOf(options.cases, options.casesARound ?? 20)) {
    if (signal.aborted) break;
    const onFailure = (error: unknown): void => {
      log.error('The records of a case could not be watched', { caseId }, error);
    };
    const watchdog = createWatchdog({
      ...defaultWatchdog,
      sampleSize: options.sampleSize ?? defaultWatchdog.sampleSize,
      onIncident: ({ kind, resource, documentId, repaired }) => {
        const facts = { caseId, operation: kind, component: resource, documentId };
        log.error(repaired ? 'Damage of records was repaired' : 'Damage of records needs a person', facts);
      },
      onFailure,
    });
    try {
      watchdog.start(await records.open(caseId, system, signal));
      damages += (await watchdog.tick()).length;
    } catch (error) {
      if (!signal.aborted) onFailure(error);
    } finally {
      await watchdog.stop();
    }
  }
  return damages;
};
