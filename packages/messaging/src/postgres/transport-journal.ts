/** What a transport outside the database cannot keep itself: failed attempts for histories, and dedupe keys. */
import { dedupeWindowMs } from '../message-limits.ts';
import type { FailedAttempt, Sql } from '../ports.ts';
import { text } from './rows.ts';

export interface TransportJournal {
  recordAttempts(
    queue: string,
    attempts: readonly { readonly messageId: string; readonly attempt: FailedAttempt }[],
  ): Promise<void>;
  /** Attempts of a message, oldest first. */
  attempts(queue: string, messageId: string): Promise<readonly FailedAttempt[]>;
  /** Those of the keys that were sent within the window. */
  sentKeys(queue: string, keys: readonly string[]): Promise<ReadonlySet<string>>;
  recordKeys(queue: string, keys: readonly string[]): Promise<void>;
  /** The queue is gone or emptied; its keys are free. */
  forgetKeys(queue: string): Promise<void>;
}

export const createTransportJournal = (sql: Sql): TransportJournal => ({
  async recordAttempts(queue, attempts) {
    if (attempts.length === 0) return;
    await sql.query(
      'INSERT INTO messaging.attempt (queue_name, message_id, entry) SELECT $1, id, entry::jsonb FROM unnest($2::text[], $3::text[]) AS u (id, entry)',
      [queue, attempts.map(({ messageId }) => messageId), attempts.map(({ attempt }) => JSON.stringify(attempt))],
    );
  },
  async attempts(queue, messageId) {
    const { rows } = await sql.query(
      'SELECT entry FROM messaging.attempt WHERE queue_name = $1 AND message_id = $2 ORDER BY at',
      [queue, messageId],
    );
    // Written above alone, from values of this type.
    return rows.map((row) => row['entry'] as FailedAttempt);
  },
  async sentKeys(queue, keys) {
    const { rows } = await sql.query(
      'SELECT dedupe_key FROM messaging.sent_key WHERE queue_name = $1 AND dedupe_key = ANY ($2) AND expires_at > clock_timestamp()',
      [queue, keys],
    );
    return new Set(rows.map((row) => text(row, 'dedupe_key')));
  },
  async recordKeys(queue, keys) {
    await sql.query(
      `INSERT INTO messaging.sent_key (queue_name, dedupe_key, expires_at)
       SELECT $1, k, clock_timestamp() + $3::bigint * interval '1 millisecond' FROM unnest($2::text[]) AS k ORDER BY k
       ON CONFLICT (queue_name, dedupe_key) DO UPDATE SET expires_at = excluded.expires_at`,
      [queue, keys, dedupeWindowMs],
    );
  },
  async forgetKeys(queue) {
    await sql.query('DELETE FROM messaging.sent_key WHERE queue_name = $1', [queue]);
  },
});
