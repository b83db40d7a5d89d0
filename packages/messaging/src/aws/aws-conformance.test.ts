import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { startFauxqs } from 'fauxqs';
import { describeMessagingAdapter } from '../conformance.ts';
import { createPostgresDeadLetters } from '../postgres/postgres-dead-letters.ts';
import { createTransportJournal } from '../postgres/transport-journal.ts';
import { openTestMessaging, realClock } from '../test/open-test-messaging.ts';
import { putBackIntoSqs } from './put-back-into-sqs.ts';
import { createSnsTopics } from './sns-topics.ts';
import { createSqsQueues } from './sqs-queues.ts';

describeMessagingAdapter('SQS and SNS', async () => {
  const { pool, database, close } = await openTestMessaging();
  const server = await startFauxqs({ port: 0, logger: false });
  const access = {
    endpoint: `http://127.0.0.1:${server.port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const [sqs, sns] = [new SQSClient(access), new SNSClient(access)];
  const journal = createTransportJournal(pool);
  const holder: { add?: ReturnType<typeof createPostgresDeadLetters>['add'] } = {};
  const queuesOf = () =>
    createSqsQueues({
      client: sqs,
      clock: realClock,
      journal,
      deadLetters: { add: async (letter) => holder.add?.(letter) },
      fairQueues: false,
    });
  const queues = queuesOf();
  const deadLetters = createPostgresDeadLetters({ database, putBack: putBackIntoSqs(queues) });
  holder.add = deadLetters.add;
  return {
    queues,
    other: queuesOf(),
    topics: createSnsTopics({ client: sns, queues }),
    deadLetters,
    unitMs: 1000,
    maxMessageBytes: 1024 * 1024,
    async close() {
      sqs.destroy();
      sns.destroy();
      await server.stop();
      await close();
    },
  };
});
