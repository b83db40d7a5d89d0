import { describe, expect, it } from 'vitest';
import { createMetrics } from './create-metrics.ts';

describe('metrics', () => {
  it('renders counters, gauges and histograms with their labels', async () => {
    const metrics = createMetrics();
    const retries = metrics.counter({ name: 'casebound_retries_total', help: 'Retries.', labels: ['reason'] });
    retries.add({ reason: 'deadlock' });
    retries.add({ reason: 'deadlock' }, 2);
    const open = metrics.gauge({ name: 'casebound_open', help: 'Open.' });
    open.set({}, 5);
    open.add({}, -2);
    metrics.gauge({ name: 'casebound_looked_up', help: 'Looked up.', collect: (gauge) => gauge.set({}, 42) });
    const durations = metrics.histogram({ name: 'casebound_d_seconds', help: 'D.', buckets: [0.1, 1] });
    durations.observe({}, 0.5);
    const text = await metrics.render();
    expect(text).toContain('casebound_retries_total{reason="deadlock"} 3');
    expect(text).toContain('casebound_open 3');
    expect(text).toContain('casebound_looked_up 42');
    expect(text).toContain('casebound_d_seconds_bucket{le="0.1"} 0');
    expect(text).toContain('casebound_d_seconds_bucket{le="1"} 1');
  });

  it('has the figures of the process and of its event loop', async () => {
    const text = await createMetrics().render();
    expect(text).toContain('process_resident_memory_bytes');
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
  });

  it('keeps the metrics of two servers in one process apart', async () => {
    const [one, two] = [createMetrics(), createMetrics()];
    one.counter({ name: 'casebound_same_total', help: 'Same.' }).add({}, 7);
    two.counter({ name: 'casebound_same_total', help: 'Same.' });
    expect(await two.render()).toContain('casebound_same_total 0');
  });
});
