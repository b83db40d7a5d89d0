/**
 * Queues in PostgreSQL. The transitions are SQL functions (`migrations/control/0001_queues.sql`), one round trip each; here is
 * what a caller remembers between them.
 *
 * - Receiving is fair: see `LaneBook`. The book is refreshed when it is empty, and else often enough that new work is seen
 *   soon and seldom enough that looking takes at most a twentieth of the time.
 * - An idle receiver looks once per `pollMs`, whatever the number of its queues, unless it is nudged.
 */
import type {
  Clock,
  Depth,
  OutgoingMessage,
  QueueDescription,
  Queues,
  QueueSettings,
  ReceivedMessage,
  ReceiveRequest,
  Sql,
} from '../ports.ts';
import { CaseboundError } from '@casebound/contract';
import { checkMessage, dedupeWindowMs } from '../message-limits.ts';
import { checkQueueSettings } from '../visibility.ts';
import { LaneBook } from './lane-book.ts';
import type { PlannedLane } from './lane-book.ts';
import { integer, nullable, text, time } from './rows.ts';
import type { Row } from './rows.ts';
import { onQueue } from './sql-error.ts';

export interface PostgresQueuesOptions {
  readonly sql: Sql;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  /** Name of this process as the holder of leases; unique among those that run. */
  readonly worker: string;
  /** Largest message, body and attributes, in bytes. Default 1 MiB, as SQS. */
  readonly maxMessageBytes?: number;
  /** How long an idle receiver waits between looks, at most. Default 1,000. */
  readonly pollMs?: number;
}

export interface PostgresQueues extends Queues {
  /** As `send`, as part of a transaction of the database that holds the queues: sent if, and only if, it commits. */
  sendIn(tx: Sql, queue: string, messages: readonly OutgoingMessage[]): Promise<readonly (string | null)[]>;
  /** Wakes receivers that wait: something was sent. */
  nudge(): void;
}

const firstPollMs = 20;
const longestNudgeMs = 5_000;
const lookEveryMs = 250;
const lanesPerQueue = 256;

interface Book {
  readonly lanes: LaneBook;
  lookedAt: number;
  lookTookMs: number;
}

export const createPostgresQueues = (options: PostgresQueuesOptions): PostgresQueues => {
  const { sql, clock, worker, maxMessageBytes = 1024 * 1024, pollMs = 1000 } = options;
  const books = new Map<string, Book>();
  const waiting = new Set<() => void>();

  const nudge = (): void => {
    for (const wake of waiting) wake();
  };
  /** What was sent by this process for later is looked for when it is due, if that is soon. */
  const nudgeWhenDue = (messages: readonly OutgoingMessage[]): void => {
    const delays = messages.flatMap(({ delayMs = 0 }) => (delayMs > 0 && delayMs <= longestNudgeMs ? [delayMs] : []));
    if (delays.length > 0) setTimeout(nudge, Math.min(...delays) + 5).unref();
  };

  const bookOf = (names: readonly string[]): Book => {
    const id = names.join(' ');
    let book = books.get(id);
    if (book === undefined) {
      // Receivers change their set of queues when one is full or paused; only the newest sets matter.
      if (books.size >= 16) books.delete(books.keys().next().value ?? '');
      book = { lanes: new LaneBook(), lookedAt: Number.NEGATIVE_INFINITY, lookTookMs: 0 };
      books.set(id, book);
    }
    return book;
  };

  const look = async (book: Book, names: readonly string[]): Promise<void> => {
    const startedAt = clock.monotonicMs();
    const { rows } = await sql.query(
      'SELECT queue_name, queue_id, fairness_key, oldest::text FROM messaging.lanes($1::text[], $2::bigint, $3::int)',
      [names, book.lanes.nextKey, lanesPerQueue],
    );
    book.lanes.replace(
      rows.map((row) => ({
        queue: text(row, 'queue_name'),
        queueId: integer(row, 'queue_id'),
        key: integer(row, 'fairness_key'),
        floor: text(row, 'oldest'),
      })),
    );
    book.lookedAt = clock.monotonicMs();
    book.lookTookMs = book.lookedAt - startedAt;
  };

  const take = async (
    plan: readonly PlannedLane[],
    book: Book,
    request: ReceiveRequest,
  ): Promise<ReceivedMessage[]> => {
    const receivedAtMs = clock.monotonicMs();
    const { rows } = await sql.query(
      `SELECT queue_id, message_id::text, lease_token::text, receive_count, fairness_key, lane_floor::text, sent_at, body, attributes,
              lease_ms, max_receive_count
       FROM messaging.receive($1::int[], $2::bigint[], $3::timestamptz[], $4::int[], $5::int, $6::text, $7::int)`,
      [
        plan.map(({ lane }) => lane.queueId),
        plan.map(({ lane }) => lane.key),
        plan.map(({ lane }) => lane.floor),
        plan.map(({ share }) => share),
        request.total,
        worker,
        request.maxInFlightPerKey ?? null,
      ],
    );
    const lanes = new Map(plan.map((planned) => [`${planned.lane.queueId}:${planned.lane.key}`, { planned, got: 0 }]));
    const messages: ReceivedMessage[] = [];
    for (const row of rows) {
      const of = lanes.get(`${integer(row, 'queue_id')}:${integer(row, 'fairness_key')}`);
      if (of === undefined) continue;
      of.got += 1;
      of.planned.lane.floor = text(row, 'lane_floor');
      messages.push(receivedOf(row, of.planned.lane.queue, receivedAtMs));
    }
    for (const { planned, got } of lanes.values()) if (got < planned.share) book.lanes.forget(planned.lane);
    return messages;
  };

  const receiveNow = async (request: ReceiveRequest): Promise<ReceivedMessage[]> => {
    const names = request.queues.map(({ name }) => name);
    const free = new Map(request.queues.map(({ name, max }) => [name, max]));
    const book = bookOf(names);
    const dueMs = Math.max(lookEveryMs, 20 * book.lookTookMs);
    let looked = false;
    if (book.lanes.isEmpty || clock.monotonicMs() - book.lookedAt >= dueMs) {
      await look(book, names);
      looked = true;
    }
    for (;;) {
      const plan = book.lanes.plan(request.total, free);
      const messages = plan.length === 0 ? [] : await take(plan, book, request);
      if (messages.length > 0 || looked) return messages;
      await look(book, names);
      looked = true;
    }
  };

  /** Whether it was ended by a nudge, or by the caller. */
  const pause = async (ms: number, signal: AbortSignal | undefined): Promise<boolean> => {
    const woken = new AbortController();
    const wake = (): void => woken.abort();
    waiting.add(wake);
    signal?.addEventListener('abort', wake, { once: true });
    try {
      await clock.sleep(ms, woken.signal);
      return false;
    } catch {
      return true;
    } finally {
      waiting.delete(wake);
      signal?.removeEventListener('abort', wake);
    }
  };

  const sendIn: PostgresQueues['sendIn'] = async (tx, queue, messages) => {
    if (messages.length === 0) return [];
    for (const message of messages) checkMessage(queue, message, maxMessageBytes);
    const { rows } = await onQueue(queue, () =>
      tx.query(
        'SELECT messaging.send($1::text, $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint)::text[] AS ids',
        [
          queue,
          messages.map(({ fairnessKey }) => fairnessKey ?? 0),
          messages.map(({ delayMs }) => delayMs ?? 0),
          messages.map(({ body }) => body),
          messages.map(({ attributes }) => (attributes === undefined ? null : JSON.stringify(attributes))),
          messages.some(({ dedupeKey }) => dedupeKey !== undefined)
            ? messages.map(({ dedupeKey }) => dedupeKey ?? null)
            : null,
          dedupeWindowMs,
        ],
      ),
    );
    nudgeWhenDue(messages);
    const ids = rows[0]?.['ids'];
    if (!Array.isArray(ids)) throw new TypeError('messaging.send did not return its ids.');
    return ids.map((id: unknown) => (typeof id === 'string' ? id : null));
  };

  /** Runs a transition of several leases; for each, whether its message was still held. */
  const transition = async (
    leases: readonly { readonly messageId: string; readonly token: string }[],
    statement: string,
    more: readonly unknown[],
  ): Promise<readonly boolean[]> => {
    if (leases.length === 0) return [];
    const { rows } = await sql.query(statement, [
      leases.map(({ messageId }) => messageId),
      leases.map(({ token }) => token),
      worker,
      ...more,
    ]);
    const held = new Set(rows.map((row) => text(row, 'id')));
    return leases.map(({ messageId }) => held.has(messageId));
  };

  return {
    nudge,
    sendIn,
    async send(queue, messages) {
      const ids = await sendIn(sql, queue, messages);
      nudge();
      return ids;
    },
    async create(settings) {
      checkQueueSettings(settings);
      await sql.query(
        `INSERT INTO messaging.queue (name, visibility_timeout_ms, max_receive_count, max_receive_reason)
         VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING`,
        [settings.name, settings.visibilityTimeoutMs, settings.maxReceiveCount, settings.fewerReceivesBecause ?? null],
      );
      const found = await this.find(settings.name);
      if (found === undefined)
        throw new CaseboundError('queue_not_found', `The queue ${settings.name} was deleted while it was created.`);
      if (
        found.visibilityTimeoutMs !== settings.visibilityTimeoutMs ||
        found.maxReceiveCount !== settings.maxReceiveCount
      ) {
        throw new CaseboundError(
          'queue_settings_invalid',
          `The queue ${settings.name} exists with a visibility timeout of ${found.visibilityTimeoutMs} ms and ${found.maxReceiveCount} ` +
            `receives; ${settings.visibilityTimeoutMs} ms and ${settings.maxReceiveCount} were asked for.`,
        );
      }
      return found;
    },
    async delete(name, { onlyIfEmpty = false } = {}) {
      const { rows } = await sql.query('SELECT messaging.delete_queue($1, $2) AS outcome', [name, onlyIfEmpty]);
      const outcome = rows[0]?.['outcome'];
      return outcome === 'deleted' || outcome === 'not_empty' ? outcome : 'missing';
    },
    async find(name) {
      const { rows } = await sql.query(`${selectQueue} WHERE name = $1`, [name]);
      return rows.map(describeQueue)[0];
    },
    async list() {
      const { rows } = await sql.query(`${selectQueue} ORDER BY name`);
      return rows.map(describeQueue);
    },
    async receive(request) {
      if (request.queues.length === 0 || request.total <= 0) return [];
      const deadline = clock.monotonicMs() + request.waitMs;
      let waitMs = firstPollMs;
      for (;;) {
        const messages = await receiveNow(request);
        const leftMs = deadline - clock.monotonicMs();
        if (messages.length > 0 || leftMs <= 0 || request.signal?.aborted === true) return messages;
        const isNudged = await pause(Math.min(waitMs, leftMs), request.signal);
        waitMs = isNudged ? firstPollMs : Math.min(waitMs * 2, pollMs);
      }
    },
    acknowledge: async (leases) =>
      transition(leases, 'SELECT id::text FROM messaging.acknowledge($1::bigint[], $2::bigint[], $3::text) AS id', []),
    release: async (releases) =>
      transition(
        releases.map(({ lease }) => lease),
        `SELECT id::text FROM messaging.release($1::bigint[], $2::bigint[], $3::text, $4::bigint[], $5::boolean[], $6::text[]) AS id`,
        [
          releases.map(({ delayMs }) => Math.round(delayMs)),
          releases.map(({ counted }) => counted),
          releases.map(({ failure }) => (failure === undefined ? null : JSON.stringify(failure))),
        ],
      ),
    extend: async (extensions) =>
      transition(
        extensions.map(({ lease }) => lease),
        'SELECT id::text FROM messaging.extend($1::bigint[], $2::bigint[], $3::text, $4::bigint[]) AS id',
        [extensions.map(({ leaseMs }) => leaseMs)],
      ),
    async bury({ message, code, reason, failure }) {
      const { rows } = await sql.query('SELECT messaging.kill($1::bigint, $2::bigint, $3, $4, $5, $6)::text AS id', [
        message.messageId,
        message.token,
        worker,
        code,
        reason,
        JSON.stringify(failure),
      ]);
      return typeof rows[0]?.['id'] === 'string';
    },
    async depth(names) {
      const { rows } = await sql.query(
        `SELECT q.name, count(m.message_id) FILTER (WHERE m.visible_at <= t.now) AS visible,
                count(m.message_id) FILTER (WHERE m.visible_at > t.now AND m.worker IS NOT NULL) AS in_flight,
                count(m.message_id) FILTER (WHERE m.visible_at > t.now AND m.worker IS NULL) AS delayed,
                (extract(epoch FROM t.now - min(m.sent_at) FILTER (WHERE m.visible_at <= t.now)) * 1000)::bigint AS oldest_ms
         FROM (SELECT clock_timestamp() AS now) AS t CROSS JOIN messaging.queue q LEFT JOIN messaging.message m USING (queue_id)
         WHERE q.name = ANY ($1) GROUP BY q.name, t.now`,
        [names],
      );
      return new Map(rows.map((row) => [text(row, 'name'), depthOf(row)]));
    },
    async purge(name) {
      const { rows } = await sql.query('SELECT queue_id FROM messaging.queue WHERE name = $1', [name]);
      const row = rows[0];
      if (row === undefined) throw new CaseboundError('queue_not_found', `There is no queue ${JSON.stringify(name)}.`);
      await sql.query('DELETE FROM messaging.message WHERE queue_id = $1', [integer(row, 'queue_id')]);
    },
  };
};

const selectQueue =
  'SELECT queue_id, name, visibility_timeout_ms, max_receive_count, max_receive_reason FROM messaging.queue';

const describeQueue = (row: Row): QueueDescription => {
  const reason = nullable(text, row, 'max_receive_reason');
  const settings: QueueSettings = {
    name: text(row, 'name'),
    visibilityTimeoutMs: integer(row, 'visibility_timeout_ms'),
    maxReceiveCount: integer(row, 'max_receive_count'),
    ...(reason === null ? {} : { fewerReceivesBecause: reason }),
  };
  return { ...settings, address: `postgres:${integer(row, 'queue_id')}` };
};

const depthOf = (row: Row): Depth => ({
  visible: integer(row, 'visible'),
  inFlight: integer(row, 'in_flight'),
  delayed: integer(row, 'delayed'),
  oldestVisibleMs: nullable(integer, row, 'oldest_ms'),
});

const receivedOf = (row: Row, queue: string, receivedAtMs: number): ReceivedMessage => {
  const token = text(row, 'lease_token');
  return {
    queue,
    messageId: text(row, 'message_id'),
    token,
    fencingToken: Number(token),
    receiveCount: integer(row, 'receive_count'),
    maxReceiveCount: integer(row, 'max_receive_count'),
    fairnessKey: integer(row, 'fairness_key'),
    sentAt: time(row, 'sent_at'),
    body: text(row, 'body'),
    attributes: attributesOf(row['attributes']),
    leaseMs: integer(row, 'lease_ms'),
    receivedAtMs,
  };
};

const attributesOf = (value: unknown): Readonly<Record<string, string>> =>
  // Written by `sendIn` and `publish` alone, from values of this type.
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, string>>) : {};
