/**
 * The watchdog over the record stores of all cases: each round looks at documents that were written since the last, drawn at random,
 * and at a sample of a few cases, and repairs what it finds.
 *
 * - A round costs a handful of statements a case, so thousands of cases are watched by one process without a connection of their own.
 * - Damage is repaired and told in the log; what cannot be repaired is told at every round that meets it.
 * - Etags that changes of identity have left to the background are given in passing.
 */
import type { Actor, CaseId } from '@casebound/contract';
import { auditDocuments, createWatchdog, defaultWatchdog, type Incident, type StoreContext } from '@casebound/records';
import type { Log } from '../../platform/log/Port.ts';
import type { CaseRecords, CommittedDocument } from './case-records.ts';

export interface WatchCaseRecordsOptions {
  readonly records: Pick<CaseRecords, 'open' | 'takeSampledCommits'>;
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

type Report = (incident: Incident) => void;

/** A sample of the case's documents and edges. */
const watchSample = async (
  store: StoreContext,
  sampleSize: number,
  onIncident: Report,
  onFailure: (error: unknown) => void,
): Promise<number> => {
  const watchdog = createWatchdog({ ...defaultWatchdog, sampleSize, onIncident, onFailure });
  try {
    watchdog.start(store);
    return (await watchdog.tick()).length;
  } finally {
    await watchdog.stop();
  }
};

/** Documents that were written since the last round and drawn for a check. */
const watchCommits = async (
  store: StoreContext,
  written: readonly CommittedDocument[],
  onIncident: Report,
): Promise<number> => {
  store.metrics.count('records_watchdog_checked', { origin: 'commit' }, written.length);
  const damages = await auditDocuments(store, written, true);
  for (const { kind, resource, documentId, repairable } of damages)
    onIncident({ kind, resource, documentId, repaired: repairable });
  return damages.length;
};

/** Does one round. One case's failure does not stop the others. @returns how many damages were found */
export const watchCaseRecords = async (options: WatchCaseRecordsOptions): Promise<number> => {
  const { records, log, signal } = options;
  const sampleSize = options.sampleSize ?? defaultWatchdog.sampleSize;
  let damages = 0;
  const look = async (
    caseId: CaseId,
    watch: (store: StoreContext, report: Report, fail: (error: unknown) => void) => Promise<number>,
  ): Promise<void> => {
    if (signal.aborted) return;
    const fail = (error: unknown): void => {
      if (!signal.aborted) log.error('The records of a case could not be watched', { caseId }, error);
    };
    const report: Report = ({ kind, resource, documentId, repaired }) => {
      const facts = { caseId, operation: kind, component: resource, documentId };
      log.error(repaired ? 'Damage of records was repaired' : 'Damage of records needs a person', facts);
    };
    try {
      damages += await watch(await records.open(caseId, system, signal), report, fail);
    } catch (error) {
      fail(error);
    }
  };
  for (const [caseId, written] of records.takeSampledCommits())
    await look(caseId, async (store, report) => watchCommits(store, written, report));
  for (const caseId of someOf(options.cases, options.casesARound ?? 20))
    await look(caseId, async (store, report, fail) => watchSample(store, sampleSize, report, fail));
  return damages;
};
