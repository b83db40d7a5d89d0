/**
 * Dead letters: what died, why, and all that was tried. They stand in the control database whatever the transport, so that they
 * can be listed, filtered and redriven in the same way everywhere.
 *
 * A dead letter is its own outbox: `announce` publishes the error event of each and marks it in one transaction.
 */
import { CaseboundError } from '@casebound/contract';
import type { FailedAttempt, MessageAttributes, Sql, SqlDatabase } from '../ports.ts';
import { integer, nullable, text, time } from './rows.ts';
import type { Row } from './rows.ts';

export interface DeadLetterSummary {
  readonly deadLetterId: string;
  readonly queue: string;
  readonly messageId: string;
  readonly fairnessKey: number;
  readonly diedAt: Date;
  readonly sentAt: Date;
  readonly receiveCount: number;
  readonly code: string;
  readonly reason: string;
}

export interface DeadLetter extends DeadLetterSummary {
  readonly body: string;
  readonly attributes: MessageAttributes;
  /** Every attempt, oldest first. */
  readonly history: readonly FailedAttempt[];
}

export interface DeadLetterFilter {
  readonly queue?: string;
  readonly fairnessKey?: number;
  readonly code?: string;
  readonly diedBefore?: Date;
  readonly diedAfter?: Date;
  readonly ids?: readonly string[];
}

export interface DeadLetters {
  /** By id, ascending, after `after`. */
  list(
    filter: DeadLetterFilter,
    page: { readonly after?: string; readonly limit: number },
  ): Promise<readonly DeadLetterSummary[]>;
  /** @throws CaseboundError `dead_letter_not_found` */
  show(deadLetterId: string): Promise<DeadLetter>;
  count(filter: DeadLetterFilter): Promise<number>;
  /** Deletes for good; how many. */
  purge(filter: DeadLetterFilter): Promise<number>;
  /**
   * Puts up to `limit` of them back into their queues as new messages, oldest first; their history stays with them.
   * @throws CaseboundError `queue_not_found` when a queue is gone; what was redriven before it stays redriven.
   */
  redriveBatch(filter: DeadLetterFilter, limit: number): Promise<number>;
  /** Adds one; for transports that are not this database. Adding the same message of a queue again changes nothing. */
  add(letter: Omit<DeadLetter, 'deadLetterId' | 'diedAt'>): Promise<void>;
  /** Publishes the error event of dead letters that have none yet; how many. */
  announce(publish: (tx: Sql, letters: readonly DeadLetter[]) => Promise<void>, limit: number): Promise<number>;
}

/** Puts dead letters back into their queue, within the transaction that deletes them. */
export type PutBack = (tx: Sql, queue: string, letters: readonly DeadLetter[]) => Promise<void>;

const summary =
  'dead_letter_id::text, queue_name, message_id, fairness_key, died_at, sent_at, receive_count, code, reason';
const whole = `${summary}, body, attributes, history`;

const where = `
  ($1::text IS NULL OR queue_name = $1) AND ($2::bigint IS NULL OR fairness_key = $2) AND ($3::text IS NULL OR code = $3)
  AND ($4::timestamptz IS NULL OR died_at < $4) AND ($5::timestamptz IS NULL OR died_at > $5)
  AND ($6::bigint[] IS NULL OR dead_letter_id = ANY ($6))`;

const valuesOf = (filter: DeadLetterFilter): unknown[] => [
  filter.queue ?? null,
  filter.fairnessKey ?? null,
  filter.code ?? null,
  filter.diedBefore ?? null,
  filter.diedAfter ?? null,
  filter.ids?.map(checkId) ?? null,
];

/** Ids are whole numbers; anything else names no dead letter. */
const checkId = (id: string): string => {
  if (/^\d{1,18}$/.test(id)) return id;
  throw new CaseboundError('dead_letter_not_found', `There is no dead letter ${JSON.stringify(id.slice(0, 40))}.`);
};

export const createPostgresDeadLetters = (options: {
  readonly database: SqlDatabase;
  readonly putBack: PutBack;
}): DeadLetters => {
  const { database, putBack } = options;
  return {
    async list(filter, { after, limit }) {
      const { rows } = await database.query(
        `SELECT ${summary} FROM messaging.dead_letter WHERE ${where} AND dead_letter_id > $7::bigint ORDER BY messaging.dead_letter.dead_letter_id LIMIT $8`,
        [...valuesOf(filter), after === undefined ? 0 : checkId(after), limit],
      );
      return rows.map(summaryOf);
    },
    async show(deadLetterId) {
      const { rows } = await database.query(
        `SELECT ${whole} FROM messaging.dead_letter WHERE dead_letter_id = $1::bigint`,
        [checkId(deadLetterId)],
      );
      const [row] = rows;
      if (row === undefined)
        throw new CaseboundError(
          'dead_letter_not_found',
          `There is no dead letter ${deadLetterId}; it may have been redriven or purged.`,
        );
      return letterOf(row);
    },
    async count(filter) {
      const { rows } = await database.query(
        `SELECT count(*) AS n FROM messaging.dead_letter WHERE ${where}`,
        valuesOf(filter),
      );
      return rows[0] === undefined ? 0 : integer(rows[0], 'n');
    },
    async purge(filter) {
      const { rows } = await database.query(
        `WITH gone AS (DELETE FROM messaging.dead_letter WHERE ${where} RETURNING 1) SELECT count(*) AS n FROM gone`,
        valuesOf(filter),
      );
      return rows[0] === undefined ? 0 : integer(rows[0], 'n');
    },
    redriveBatch: async (filter, limit) =>
      database.transaction(async (tx) => {
        const { rows } = await tx.query(
          `DELETE FROM messaging.dead_letter WHERE dead_letter_id IN (
             SELECT dead_letter_id FROM messaging.dead_letter WHERE ${where} ORDER BY dead_letter_id LIMIT $7 FOR UPDATE SKIP LOCKED
           ) RETURNING ${whole}`,
          [...valuesOf(filter), limit],
        );
        const byQueue = new Map<string, DeadLetter[]>();
        for (const letter of rows.map(letterOf).sort((a, b) => Number(a.deadLetterId) - Number(b.deadLetterId))) {
          const letters = byQueue.get(letter.queue);
          if (letters === undefined) byQueue.set(letter.queue, [letter]);
          else letters.push(letter);
        }
        for (const [queue, letters] of byQueue) await putBack(tx, queue, letters);
        return rows.length;
      }),
    async add(letter) {
      await database.query(
        `INSERT INTO messaging.dead_letter (queue_name, message_id, fairness_key, sent_at, receive_count, code, reason, body, attributes, history)
         SELECT $1, $2, $3::bigint, $4, $5::int, $6, $7, $8, $9::jsonb, $10::jsonb
         WHERE NOT EXISTS (SELECT FROM messaging.dead_letter WHERE queue_name = $1 AND message_id = $2)`,
        [
          letter.queue,
          letter.messageId,
          letter.fairnessKey,
          letter.sentAt,
          letter.receiveCount,
          letter.code,
          letter.reason,
          letter.body,
          JSON.stringify(letter.attributes),
          JSON.stringify(letter.history),
        ],
      );
    },
    announce: async (publish, limit) =>
      database.transaction(async (tx) => {
        const { rows } = await tx.query(
          `SELECT ${whole} FROM messaging.dead_letter WHERE announced_at IS NULL ORDER BY messaging.dead_letter.dead_letter_id LIMIT $1 FOR UPDATE SKIP LOCKED`,
          [limit],
        );
        if (rows.length === 0) return 0;
        await publish(tx, rows.map(letterOf));
        await tx.query(
          'UPDATE messaging.dead_letter SET announced_at = clock_timestamp() WHERE dead_letter_id = ANY ($1::bigint[])',
          [rows.map((row) => text(row, 'dead_letter_id'))],
        );
        return rows.length;
      }),
  };
};

const summaryOf = (row: Row): DeadLetterSummary => ({
  deadLetterId: text(row, 'dead_letter_id'),
  queue: text(row, 'queue_name'),
  messageId: text(row, 'message_id'),
  fairnessKey: integer(row, 'fairness_key'),
  diedAt: time(row, 'died_at'),
  sentAt: time(row, 'sent_at'),
  receiveCount: integer(row, 'receive_count'),
  code: text(row, 'code'),
  reason: text(row, 'reason'),
});

const letterOf = (row: Row): DeadLetter => ({
  ...summaryOf(row),
  body: text(row, 'body'),
  // Written by this package alone: attributes by senders, history by the queue's functions.
  attributes: nullable((from, name) => from[name] as MessageAttributes, row, 'attributes') ?? {},
  history: row['history'] as readonly FailedAttempt[],
});

/** Puts dead letters back into queues of the same database. */
export const putBackIntoPostgres: PutBack = async (tx, queue, letters) => {
  const { rows } = await tx.query('SELECT queue_id FROM messaging.queue WHERE name = $1', [queue]);
  const [found] = rows;
  const gone = (): CaseboundError =>
    new CaseboundError(
      'queue_not_found',
      `The queue ${queue} of ${letters.length} dead letter(s) is gone; create it again, or purge them.`,
    );
  if (found === undefined) throw gone();
  await tx.query('SELECT messaging.lock_queue_shared($1)', [integer(found, 'queue_id')]);
  const still = await tx.query('SELECT FROM messaging.queue WHERE queue_id = $1', [integer(found, 'queue_id')]);
  if (still.rows.length === 0) throw gone();
  await tx.query(
    `INSERT INTO messaging.message (queue_id, fairness_key, visible_at, sent_at, body, attributes, history)
     SELECT $1, key, clock_timestamp(), sent_at, body, attributes::jsonb, history::jsonb
     FROM unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS u (key, sent_at, body, attributes, history, ord)
     ORDER BY ord`,
    [
      integer(found, 'queue_id'),
      letters.map(({ fairnessKey }) => fairnessKey),
      letters.map(({ sentAt }) => sentAt),
      letters.map(({ body }) => body),
      letters.map(({ attributes }) => JSON.stringify(attributes)),
      letters.map(({ history }) => JSON.stringify(history)),
    ],
  );
};
