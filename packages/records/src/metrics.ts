/**
 * What a record store measures: one table of names, from which whoever shows the figures declares them.
 *
 * - Labels have few values each: endpoints of resources, kinds, reasons; never a value of a document.
 * - Names end in the unit of histograms; the server puts its own prefix in front, and `_total` behind counters.
 */

interface Entry {
  readonly help: string;
  readonly labels: readonly string[];
}

const counter = <const L extends readonly string[]>(help: string, labels: L): Entry & { readonly labels: L } => ({
  help,
  labels,
});

const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const sizes = [0, 1, 10, 100, 1_000, 10_000, 100_000];

const histogram = <const L extends readonly string[]>(
  help: string,
  labels: L,
  buckets: readonly number[],
): Entry & { readonly labels: L; readonly buckets: readonly number[] } => ({ help, labels, buckets });

export const recordCounters = {
  records_writes: counter('Documents written, by outcome: created, updated, unchanged, failed.', [
    'resource',
    'outcome',
  ]),
  records_deletes: counter('Documents deleted.', ['resource']),
  records_result_rows: counter('Documents read, by get and list.', ['resource', 'operation']),
  records_retries: counter('Transactions repeated: deadlock, serialization_failure, lock_timeout, lost races.', [
    'reason',
  ]),
  records_retries_exhausted: counter('Transactions given up after their last try.', ['reason']),
  records_cascades: counter('Changes of identity.', ['resource']),
  records_identities_rewritten: counter('Referential ids rewritten by changes of identity.', ['resource']),
  records_bumps_deferred: counter('Etags of referrers left to the background by changes of identity.', ['resource']),
  records_bumps_applied: counter('Etags of referrers that the background has bumped.', []),
  records_edges_written: counter('Edges that writes asked for.', ['resource']),
  records_edges_inserted: counter('Edge rows inserted or changed.', ['resource']),
  records_edges_deleted: counter('Edge rows deleted.', ['resource']),
  records_locked_rows: counter('Rows locked by statements that only lock.', ['mode']),
  records_cache_hits: counter('Documents read from the cache.', ['resource']),
  records_cache_misses: counter('Documents built because the cache had none of their etag.', ['resource']),
  records_rebuilds: counter('Documents put into the cache.', ['resource']),
  records_mismatches: counter('Damages found by audit and watchdog.', ['resource', 'kind']),
  records_repairs: counter('Documents repaired.', ['resource']),
  records_watchdog_checked: counter('Documents checked by the watchdog: sampled, or of a commit.', ['origin']),
  records_watchdog_failures: counter('Rounds of the watchdog that failed, such as for a database that was gone.', []),
} as const;

export const recordHistograms = {
  records_read_seconds: histogram('From the call to the documents.', ['resource', 'operation'], seconds),
  records_write_seconds: histogram('From the call to the commit, repetitions included.', ['resource'], seconds),
  records_rebuild_seconds: histogram('Building the JSON of documents for the cache.', ['resource'], seconds),
  records_repair_seconds: histogram('Repairing documents.', ['resource'], seconds),
  records_lock_seconds: histogram(
    'Statements that only lock: shared, what a writer refers to; exclusive, what a change of identity reaches.',
    ['mode'],
    seconds,
  ),
  records_closure_size: histogram('Documents whose identity a change reached.', [], sizes),
  records_closure_depth: histogram('Levels of a closure.', [], [0, 1, 2, 3, 5, 8, 13, 21]),
  records_closure_seconds: histogram('Locking a closure, level by level.', [], seconds),
} as const;

type Counters = typeof recordCounters;
type Histograms = typeof recordHistograms;
type LabelsOf<E extends Entry> = Readonly<Record<E['labels'][number], string>> & Readonly<Record<string, string>>;

export type CounterName = keyof Counters;
export type HistogramName = keyof Histograms;

/** Where a store reports what it measures. */
export interface RecordMetrics {
  count<N extends CounterName>(name: N, labels: LabelsOf<Counters[N]>, by?: number): void;
  observe<N extends HistogramName>(name: N, labels: LabelsOf<Histograms[N]>, value: number): void;
}

export const silentMetrics: RecordMetrics = { count: () => undefined, observe: () => undefined };
