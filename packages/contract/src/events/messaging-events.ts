/** Facts about messages, engines and workflows. */
import { z } from 'zod';
import { jobEvent, systemEvent } from './declare-event.ts';

const deadLetter = {
  queue: z.string().min(1),
  messageId: z.string().min(1),
  job: z.string().nullable().describe('Name of the job declaration; null when the message was not readable.'),
  attempts: z.number().int().nonnegative(),
};

export const messagingEvents = {
  MESSAGE_DEAD_LETTERED: jobEvent({
    version: 1,
    sentence: 'A message of a job died: it will not be tried again unless it is redriven.',
    producer: 'messaging',
    consumers: ['import', 'exchange.ledger', 'exchange.status'],
    detail: z.object({ ...deadLetter, code: z.string(), reason: z.string(), deadLetterId: z.string() }),
  }),
  STRAY_MESSAGE_DEAD_LETTERED: systemEvent({
    version: 1,
    sentence: 'A message died whose job cannot be told: it was unreadable, or belongs to no job.',
    producer: 'messaging',
    consumers: ['operations'],
    detail: z.object({ ...deadLetter, code: z.string(), reason: z.string(), deadLetterId: z.string() }),
  }),
  CIRCUIT_BREAKER_CHANGED: systemEvent({
    version: 1,
    sentence: 'The circuit breaker of a remote engine opened, was tried, or closed.',
    producer: 'messaging',
    consumers: ['operations'],
    detail: z.object({
      breaker: z.string().min(1),
      from: z.enum(['closed', 'open', 'half_open']),
      to: z.enum(['closed', 'open', 'half_open']),
      consecutiveFailures: z.number().int().nonnegative(),
      worker: z.string(),
    }),
  }),
} as const;
