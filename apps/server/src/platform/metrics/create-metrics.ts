/** Builds the metrics of a process. */
import { createPrometheusMetrics } from './adapters/prometheus-metrics.ts';
import type { Metrics } from './Port.ts';

/** Once a process: the figures of the process and its event loop are part of it, and their observers last as long. */
export const createMetrics = (): Metrics => createPrometheusMetrics({ process: true });
