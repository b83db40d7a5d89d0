/** The figures of record stores among the server's: `casebound_records_*`. Counters end in `_total`, as Prometheus wants it. */
import {
  type CounterName,
  type HistogramName,
  recordCounters,
  recordHistograms,
  type RecordMetrics,
} from '@casebound/records';
import type { Counter, Histogram, Metrics } from '../../platform/metrics/Port.ts';

/** The name under which a figure is shown. */
export const shownName = (name: CounterName | HistogramName): string =>
  Object.hasOwn(recordCounters, name) ? `casebound_${name}_total` : `casebound_${name}`;

const names = <T extends object>(entries: T): (keyof T)[] => Object.keys(entries) as (keyof T)[];

/** Declares all figures in `metrics` and gives the store's side of them. Once for each `Metrics`. */
export const createRecordMetrics = (metrics: Metrics): RecordMetrics => {
  const counters = new Map<CounterName, Counter<string>>(
    names(recordCounters).map((name) => {
      const { help, labels } = recordCounters[name];
      return [name, metrics.counter({ name: shownName(name), help, labels: [...labels] as string[] })];
    }),
  );
  const histograms = new Map<HistogramName, Histogram<string>>(
    names(recordHistograms).map((name) => {
      const { help, labels, buckets } = recordHistograms[name];
      return [name, metrics.histogram({ name: shownName(name), help, labels: [...labels] as string[], buckets })];
    }),
  );
  return {
    count: (name, labels, by) => counters.get(name)?.add(labels, by),
    observe: (name, labels, value) => histograms.get(name)?.observe(labels, value),
  };
};
