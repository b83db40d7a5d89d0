/** Settings of messaging: where queues are, and how much one process takes on. */
import { z } from 'zod';

const awsTransport = z.strictObject({
  kind: z.literal('aws').describe('SQS and SNS; dead letters, workflows and the log of events stay in PostgreSQL.'),
  region: z.string().min(1).optional().describe('AWS region. Default: that of the environment or profile.'),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Address of both services, for VPC endpoints and test servers. Default: those of the region.'),
  namePrefix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{0,20}$/, 'at most 20 letters, digits, hyphens and underscores')
    .default('')
    .describe('Put before the name of each queue and topic, so that installations can share an account.'),
  connectTimeoutMs: z.int().min(50).max(60_000).default(2_000).describe('Time to establish a connection.'),
  requestTimeoutMs: z
    .int()
    .min(21_000)
    .max(120_000)
    .default(30_000)
    .describe('Time for one request; longer than a receive waits, which is up to 20 seconds.'),
});

const postgresTransport = z.strictObject({
  kind: z.literal('postgres').describe('Queues in the control database.'),
  pollMs: z
    .int()
    .min(20)
    .max(60_000)
    .default(500)
    .describe('How often a process looks for messages of all of its queues together when it has nothing to do.'),
});

export const messagingConfigSchema = z
  .strictObject({
    transport: z
      .discriminatedUnion('kind', [postgresTransport, awsTransport])
      .prefault({ kind: 'postgres' })
      .describe('Where queues and topics are.'),
    workerTotal: z.int().min(1).max(1_000).default(16).describe('Messages that one process may work on at once.'),
    connections: z
      .int()
      .min(1)
      .max(100)
      .default(4)
      .describe(
        'Connections to the control database for sending, receiving and acknowledging, besides `database.pool`.',
      ),
    statementTimeoutMs: z
      .int()
      .min(1_000)
      .max(600_000)
      .default(30_000)
      .describe('How long one statement of a queue may take.'),
    maxInFlightPerCase: z
      .int()
      .min(1)
      .max(1_000)
      .optional()
      .describe('Of these, for one case. Default: what messaging finds fair.'),
    shutdownDeadlineMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(20_000)
      .describe('On shutdown: how long handlers may take to finish before their messages are given back.'),
  })
  .prefault({});
export type MessagingConfig = z.output<typeof messagingConfigSchema>;
