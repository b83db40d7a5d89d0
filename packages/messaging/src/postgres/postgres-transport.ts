/** The transport in the control database: queues, topics and what they share. */
import type { Transport } from '../create-messaging.ts';
import type { Clock, SqlDatabase } from '../ports.ts';
import { putBackIntoPostgres } from './postgres-dead-letters.ts';
import { createPostgresQueues } from './postgres-queues.ts';
import type { PostgresQueues } from './postgres-queues.ts';
import { createPostgresTopics } from './postgres-topics.ts';

export const createPostgresTransport = (parts: {
  readonly control: SqlDatabase;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly worker: string;
  readonly maxMessageBytes?: number;
  readonly pollMs?: number;
}): Transport & { readonly queues: PostgresQueues } => {
  const { control, maxMessageBytes = 1024 * 1024, ...rest } = parts;
  const queues = createPostgresQueues({ ...rest, sql: control, maxMessageBytes });
  const topics = createPostgresTopics({ sql: control, onPublished: queues.nudge });
  return {
    queues,
    topics,
    maxMessageBytes,
    putBack: putBackIntoPostgres,
    transactional: {
      async send(tx, queue, messages) {
        await queues.sendIn(tx, queue, messages);
      },
      publish: topics.publishIn,
      committed: queues.nudge,
    },
  };
};
