/** Metrics by prom-client, in a registry of its own: two servers in one process do not mix their numbers. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Gauge as GaugePort, GaugeDefinition, Metrics } from '../Port.ts';

const gaugePort = <L extends string>(gauge: Gauge<L>): GaugePort<L> => ({
  set: (labels, value) => gauge.set(labels, value),
  add: (labels, by) => gauge.inc(labels, by),
});

/** `process` adds the figures of the process and of its event loop (`nodejs_eventloop_lag_*`). */
export const createPrometheusMetrics = (include: { readonly process: boolean }): Metrics => {
  const registry = new Registry();
  const registers = [registry];
  if (include.process) collectDefaultMetrics({ register: registry });
  return {
    counter({ name, help, labels = [] }) {
      const counter = new Counter({ name, help, labelNames: labels, registers });
      return { add: (values, by = 1) => counter.inc(values, by) };
    },
    gauge<const L extends string>({ name, help, labels = [], collect }: GaugeDefinition<L>): GaugePort<L> {
      const gauge: Gauge<L> = new Gauge<L>({
        name,
        help,
        labelNames: labels,
        registers,
        ...(collect === undefined ? {} : { collect: async () => collect(gaugePort(gauge)) }),
      });
      return gaugePort(gauge);
    },
    histogram({ name, help, labels = [], buckets }) {
      const histogram = new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers });
      return { observe: (values, value) => histogram.observe(values, value) };
    },
    render: async () => registry.metrics(),
  };
};
