/** What is measured of HTTP. Labels are names of operations, methods, statuses and error codes: few values each. */
import type { Counter, Gauge, Histogram, Metrics } from '../platform/metrics/Port.ts';

export interface HttpMetrics {
  readonly duration: Histogram<'operation' | 'method' | 'status'>;
  readonly inFlight: Gauge<never>;
  readonly connectionErrors: Counter<'code'>;
}

/** From a health check to a long operation; doubling, so that any percentile is within a factor of two. */
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export const createHttpMetrics = (metrics: Metrics): HttpMetrics => ({
  duration: metrics.histogram({
    name: 'casebound_http_request_duration_seconds',
    help: 'From the headers of a request to the end of its answer; status 499 when the client went first.',
    labels: ['operation', 'method', 'status'],
    buckets: secondsBuckets,
  }),
  inFlight: metrics.gauge({
    name: 'casebound_http_requests_in_flight',
    help: 'Requests that are being worked on, those included whose client no longer waits.',
  }),
  connectionErrors: metrics.counter({
    name: 'casebound_http_connection_errors_total',
    help: 'Connections that ended because what arrived was no HTTP, too large or too slow.',
    labels: ['code'],
  }),
});
