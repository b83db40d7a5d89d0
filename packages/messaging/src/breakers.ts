/** The circuit breakers of this process: one for each remote engine, visible as metric, event and row. */
import { randomBytes, randomUUID } from 'node:crypto';
import { eventCatalogue } from '@casebound/contract';
import type { EventId } from '@casebound/contract';
import { createCircuitBreaker } from './circuit-breaker.ts';
import type { BreakerChange, BreakerSettings, BreakerState, CircuitBreaker } from './circuit-breaker.ts';
import type { MessagingMetrics } from './metrics.ts';
import type { Outbox } from './outbox/outbox.ts';
import type { Clock, Log, Sql, SqlDatabase } from './ports.ts';
import { integer, text, time } from './postgres/rows.ts';

export interface BreakerReport {
  readonly name: string;
  readonly worker: string;
  readonly state: BreakerState;
  readonly consecutiveFailures: number;
  readonly changedAt: Date;
}

export interface Breakers {
  /** The breaker of an engine; the same one for the same name. */
  of(name: string, settings?: Pick<BreakerSettings, 'threshold' | 'openMs'>): CircuitBreaker;
  /** What all processes last said. */
  list(): Promise<readonly BreakerReport[]>;
}

const level: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };

export const createBreakers = (parts: {
  readonly database: SqlDatabase;
  readonly outbox: Outbox;
  readonly topic: string;
  readonly worker: string;
  readonly clock: Pick<Clock, 'monotonicMs' | 'now'>;
  readonly log: Log;
  readonly metrics?: MessagingMetrics;
}): Breakers => {
  const { database, outbox, topic, worker, clock, log, metrics } = parts;
  const breakers = new Map<string, CircuitBreaker>();
  // Changes are reported one after another, so that the row ends as the last one said.
  let reporting: Promise<void> = Promise.resolve();

  const report = async (tx: Sql, change: BreakerChange, at: Date): Promise<void> => {
    await tx.query(
      `INSERT INTO messaging.breaker (name, worker, state, consecutive_failures) VALUES ($1, $2, $3, $4)
       ON CONFLICT (name, worker) DO UPDATE SET state = excluded.state, consecutive_failures = excluded.consecutive_failures, changed_at = clock_timestamp()`,
      [change.breaker, worker, change.to, change.consecutiveFailures],
    );
    await outbox.publish(tx, topic, [
      {
        // A fresh UUID is an event's id.
        id: randomUUID() as EventId,
        source: 'messaging',
        eventType: 'CIRCUIT_BREAKER_CHANGED',
        version: eventCatalogue.CIRCUIT_BREAKER_CHANGED.version,
        status: 'SUCCESS',
        timestamp: at.toISOString(),
        traceparent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`,
        eventDetail: { ...change, worker },
      },
    ]);
  };

  const onChange = (change: BreakerChange): void => {
    const at = clock.now();
    metrics?.breakerState.set({ breaker: change.breaker }, level[change.to]);
    metrics?.breakerChanges.add({ breaker: change.breaker, to: change.to });
    log.warn('A circuit breaker changed.', {
      component: change.breaker,
      state: change.to,
      count: change.consecutiveFailures,
    });
    reporting = reporting
      .then(async () => database.transaction(async (tx) => report(tx, change, at)))
      .catch((error: unknown) =>
        log.error('The change of a circuit breaker could not be reported.', { component: change.breaker }, error),
      );
  };

  return {
    of(name, settings = {}) {
      let breaker = breakers.get(name);
      if (breaker === undefined) {
        breaker = createCircuitBreaker({ ...settings, name, clock, onChange });
        breakers.set(name, breaker);
        metrics?.breakerState.set({ breaker: name }, level.closed);
      }
      return breaker;
    },
    async list() {
      const { rows } = await database.query(
        'SELECT name, worker, state, consecutive_failures, changed_at FROM messaging.breaker ORDER BY name, worker',
      );
      return rows.map((row) => ({
        name: text(row, 'name'),
        worker: text(row, 'worker'),
        state: (['closed', 'open', 'half_open'] as const).find((state) => state === row['state']) ?? 'closed',
        consecutiveFailures: integer(row, 'consecutive_failures'),
        changedAt: time(row, 'changed_at'),
      }));
    },
  };
};
