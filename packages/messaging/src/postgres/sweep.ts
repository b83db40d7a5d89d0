/** Removes what has outlived its use. Each statement is bounded, so that none runs long; what is left waits for the next round. */
import type { Sql, SqlDatabase } from '../ports.ts';

export interface Retention {
  /** Published events in the log. */
  readonly eventLogMs: number;
  /** Records of effects: longer than any message can live, or a late duplicate would make its effect anew. */
  readonly effectMs: number;
  /** Dead letters whose queue is gone. */
  readonly orphanedDeadLetterMs: number;
  /** Failed attempts on queues outside the database. */
  readonly attemptMs: number;
}

const day = 86_400_000;
export const defaultRetention: Retention = {
  eventLogMs: 7 * day,
  effectMs: 60 * day,
  orphanedDeadLetterMs: 30 * day,
  attemptMs: 30 * day,
};

const limit = 10_000;
const ago = (place: string): string => `clock_timestamp() - ${place}::bigint * interval '1 millisecond'`;

export const sweepControl = async (sql: Sql, retention: Retention): Promise<void> => {
  await sql.query(
    `DELETE FROM messaging.dedupe WHERE ctid IN (SELECT ctid FROM messaging.dedupe WHERE expires_at < clock_timestamp() LIMIT ${limit})`,
  );
  await sql.query(
    `DELETE FROM messaging.event_log WHERE ctid IN (SELECT ctid FROM messaging.event_log WHERE published_at < ${ago('$1')} LIMIT ${limit})`,
    [retention.eventLogMs],
  );
  await sql.query(
    `DELETE FROM messaging.dead_letter d WHERE died_at < ${ago('$1')} AND announced_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM messaging.queue q WHERE q.name = d.queue_name)`,
    [retention.orphanedDeadLetterMs],
  );
  await sql.query(
    `DELETE FROM messaging.attempt WHERE ctid IN (SELECT ctid FROM messaging.attempt WHERE at < ${ago('$1')} LIMIT ${limit})`,
    [retention.attemptMs],
  );
  await sql.query(
    `DELETE FROM messaging.sent_key WHERE ctid IN (SELECT ctid FROM messaging.sent_key WHERE expires_at < clock_timestamp() LIMIT ${limit})`,
  );
  await sql.query(`DELETE FROM messaging.breaker WHERE changed_at < ${ago('$1')}`, [day]);
};

export const sweepCaseDatabase = async (database: SqlDatabase, retention: Retention): Promise<void> => {
  await database.query(
    `DELETE FROM messaging.effect WHERE ctid IN (SELECT ctid FROM messaging.effect WHERE made_at < ${ago('$1')} LIMIT ${limit})`,
    [retention.effectMs],
  );
};
