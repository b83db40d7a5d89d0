/**
 * The log of published events, for people who watch. A reader goes on from the last number it saw; it stays behind the oldest
 * transaction that still runs, so that it never passes an event that commits late.
 */
import { parseEvent } from '@casebound/contract';
import type { AnyEvent, EventType } from '@casebound/contract';
import type { OutgoingEvent, Sql } from '../ports.ts';
import { integer, text, time } from './rows.ts';

export interface LoggedEvent {
  /** Grows with each event; where the next read goes on. */
  readonly sequence: number;
  readonly topic: string;
  readonly publishedAt: Date;
  readonly event: AnyEvent;
}

export interface EventLog {
  /** Events after `after`, oldest first. */
  read(filter: {
    readonly after: number;
    readonly limit: number;
    readonly type?: EventType;
    readonly caseId?: number;
    readonly jobId?: string;
  }): Promise<readonly LoggedEvent[]>;
  /** The number after which only events come that are published from now on. */
  end(): Promise<number>;
  /** For transports that do not keep the log themselves. */
  append(topic: string, events: readonly OutgoingEvent[]): Promise<void>;
}

export const createEventLog = (sql: Sql): EventLog => ({
  async read({ after, limit, type, caseId, jobId }) {
    const { rows } = await sql.query(
      `SELECT event_seq, topic, published_at, envelope FROM messaging.event_log
       WHERE event_seq > $1::bigint AND xid < pg_snapshot_xmin(pg_current_snapshot())
         AND ($2::text IS NULL OR event_type = $2) AND ($3::text IS NULL OR envelope ->> 'caseId' = $3) AND ($4::text IS NULL OR envelope ->> 'jobId' = $4)
       ORDER BY event_seq LIMIT $5`,
      [after, type ?? null, caseId === undefined ? null : String(caseId), jobId ?? null, limit],
    );
    return rows.map((row) => ({
      sequence: integer(row, 'event_seq'),
      topic: text(row, 'topic'),
      publishedAt: time(row, 'published_at'),
      event: parseEvent(row['envelope']),
    }));
  },
  async end() {
    const { rows } = await sql.query(
      'SELECT coalesce(max(event_seq), 0) AS last FROM messaging.event_log WHERE xid < pg_snapshot_xmin(pg_current_snapshot())',
    );
    return rows[0] === undefined ? 0 : integer(rows[0], 'last');
  },
  async append(topic, events) {
    await sql.query(
      `INSERT INTO messaging.event_log (topic, event_id, event_type, envelope)
       SELECT $1, id, type, body::jsonb FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY AS l (id, type, body, ord) ORDER BY ord`,
      [topic, events.map(({ id }) => id), events.map(({ type }) => type), events.map(({ body }) => body)],
    );
  },
});
