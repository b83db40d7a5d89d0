/** The transport on SQS and SNS. */
import type { SNSClient } from '@aws-sdk/client-sns';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { Transport } from '../create-messaging.ts';
import type { Clock, SqlDatabase } from '../ports.ts';
import type { DeadLetters } from '../postgres/postgres-dead-letters.ts';
import { createTransportJournal } from '../postgres/transport-journal.ts';
import { putBackIntoSqs } from './put-back-into-sqs.ts';
import { createSnsTopics } from './sns-topics.ts';
import { createSqsQueues } from './sqs-queues.ts';
import type { SqsQueues } from './sqs-queues.ts';

export const createAwsTransport = (parts: {
  readonly sqs: SQSClient;
  readonly sns: SNSClient;
  readonly control: SqlDatabase;
  readonly clock: Pick<Clock, 'monotonicMs' | 'now'>;
  readonly deadLetters: Pick<DeadLetters, 'add'>;
  readonly namePrefix?: string;
  /** What fits both services: SNS carries 256 KiB, less our own attribute. */
  readonly maxMessageBytes?: number;
  readonly fairQueues?: boolean;
}): Transport & { readonly queues: SqsQueues } => {
  const { sqs, sns, control, clock, deadLetters, maxMessageBytes = 255 * 1024, ...more } = parts;
  const journal = createTransportJournal(control);
  const prefix = more.namePrefix === undefined ? {} : { namePrefix: more.namePrefix };
  const fair = more.fairQueues === undefined ? {} : { fairQueues: more.fairQueues };
  const queues = createSqsQueues({ client: sqs, clock, journal, deadLetters, ...prefix, ...fair });
  return {
    queues,
    topics: createSnsTopics({ client: sns, queues, ...prefix }),
    putBack: putBackIntoSqs(queues),
    maxMessageBytes,
  };
};
