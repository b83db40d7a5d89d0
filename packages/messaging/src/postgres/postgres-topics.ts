/**
 * Topics in PostgreSQL. Subscriptions are kept in memory under the topic's version; `messaging.publish` refuses a batch that
 * was matched against an older version, and it is matched again.
 */
import { CaseboundError } from '@casebound/contract';
import { matchesPolicy, parseFilterPolicy } from '../filter-policy.ts';
import type { FilterPolicy } from '../filter-policy.ts';
import { messageAttributesOf } from '../claim-check.ts';
import type { OutgoingEvent, Sql, Topics } from '../ports.ts';
import { integer } from './rows.ts';
import { onQueue } from './sql-error.ts';

export interface PostgresTopics extends Topics {
  /** As `publish`, as part of a transaction of the database that holds the queues. */
  publishIn(tx: Sql, topic: string, events: readonly OutgoingEvent[]): Promise<void>;
}

interface Subscriptions {
  readonly version: number;
  readonly all: readonly { readonly queueId: number; readonly policy: FilterPolicy }[];
}

/** A batch that meets this many changes of its topic in a row is given up; each try is one statement. */
const maxRematches = 20;

export const createPostgresTopics = (options: {
  readonly sql: Sql;
  readonly onPublished?: () => void;
}): PostgresTopics => {
  const { sql, onPublished } = options;
  const known = new Map<string, Subscriptions>();

  const read = async (tx: Sql, topic: string): Promise<Subscriptions> => {
    const { rows } = await tx.query(
      `SELECT t.version, s.queue_id, s.filter_policy FROM messaging.topic t LEFT JOIN messaging.subscription s USING (topic_id) WHERE t.name = $1`,
      [topic],
    );
    const subscriptions = {
      version: rows[0] === undefined ? 1 : integer(rows[0], 'version'),
      all: rows
        .filter((row) => row['queue_id'] !== null)
        .map((row) => ({ queueId: integer(row, 'queue_id'), policy: parseFilterPolicy(row['filter_policy']) })),
    };
    known.set(topic, subscriptions);
    return subscriptions;
  };

  const publishIn: PostgresTopics['publishIn'] = async (tx, topic, events) => {
    if (events.length === 0) return;
    let subscriptions = known.get(topic) ?? (await read(tx, topic));
    for (let attempt = 0; attempt < maxRematches; attempt += 1) {
      const eventOf: number[] = [];
      const queueIds: number[] = [];
      for (const [index, event] of events.entries()) {
        for (const { queueId, policy } of subscriptions.all) {
          if (!matchesPolicy(policy, event.attributes)) continue;
          eventOf.push(index + 1);
          queueIds.push(queueId);
        }
      }
      const { rows } = await tx.query(
        `SELECT messaging.publish($1, $2::bigint, $3::int[], $4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                                  $9::uuid[], $10::text[], $11::text[]) AS published`,
        [
          topic,
          subscriptions.version,
          eventOf,
          queueIds,
          events.map(({ fairnessKey }) => fairnessKey),
          events.map(({ delayMs }) => delayMs ?? 0),
          events.map(({ body, claim }) => claim ?? body),
          events.map((event) => JSON.stringify(messageAttributesOf(event))),
          events.map(({ id }) => id),
          events.map(({ type }) => type),
          events.map(({ body }) => body),
        ],
      );
      if (rows[0]?.['published'] === true) return;
      subscriptions = await read(tx, topic);
    }
    throw new CaseboundError(
      'overloaded',
      `The subscriptions of ${topic} changed ${maxRematches} times while a batch was published.`,
    );
  };

  return {
    publishIn,
    async subscribe(topic, queue, policy) {
      await onQueue(queue, () =>
        sql.query('SELECT messaging.subscribe($1, $2, $3::jsonb)', [
          topic,
          queue,
          JSON.stringify(parseFilterPolicy(policy)),
        ]),
      );
    },
    async unsubscribe(topic, queue) {
      await sql.query('SELECT messaging.unsubscribe($1, $2)', [topic, queue]);
    },
    async publish(topic, events) {
      await publishIn(sql, topic, events);
      onPublished?.();
    },
  };
};
