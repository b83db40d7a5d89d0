import { randomUUID } from 'node:crypto';
import { describeMessagingAdapter } from '../conformance.ts';
import { openTestMessaging, realClock } from '../test/open-test-messaging.ts';
import { createPostgresDeadLetters, putBackIntoPostgres } from './postgres-dead-letters.ts';
import { createPostgresQueues } from './postgres-queues.ts';
import { createPostgresTopics } from './postgres-topics.ts';

describeMessagingAdapter('PostgreSQL', async () => {
  const { pool, database, close } = await openTestMessaging();
  const queuesOf = (worker: string) =>
    createPostgresQueues({ sql: pool, clock: realClock, worker, maxMessageBytes: 64 * 1024, pollMs: 50 });
  return {
    queues: queuesOf(`first-${randomUUID()}`),
    other: queuesOf(`second-${randomUUID()}`),
    topics: createPostgresTopics({ sql: pool }),
    deadLetters: createPostgresDeadLetters({ database, putBack: putBackIntoPostgres }),
    unitMs: 250,
    maxMessageBytes: 64 * 1024,
    close,
  };
});
