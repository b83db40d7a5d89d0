/**
 * From declarations to workers: bodies are checked against their declaration before a handler sees them. What does not match
 * is permanent and goes to the dead letters with the place of the fault.
 */
import { CaseboundError, jobMessageSchema, parseEventOf } from '@casebound/contract';
import type { EventOf, EventType, JobContext, JobDeclaration } from '@casebound/contract';
import type { z } from 'zod';
import type { OutgoingMessage } from '../ports.ts';
import { each } from './worker-definition.ts';
import type { BatchHandler, Delivery, DeliveryFailure } from './worker-definition.ts';

/** What a handler of a job gets beside the payload. */
export interface JobDelivery<P> {
  readonly context: JobContext;
  readonly payload: P;
  /** Pass it to `idempotent` and to whatever compares tokens. */
  readonly fencingToken: number;
  readonly messageId: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
}

export type JobHandler<P> = (delivery: JobDelivery<P>) => Promise<void>;

const parseJson = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    throw new CaseboundError('message_invalid', 'The body of a message is not JSON.');
  }
};

/** The message of a job, checked. @throws CaseboundError `message_invalid` */
export const jobMessage = <P extends z.ZodType>(
  declaration: JobDeclaration<P>,
  context: JobContext,
  payload: z.input<P>,
  more: Pick<OutgoingMessage, 'delayMs' | 'dedupeKey'> = {},
): OutgoingMessage => ({
  ...more,
  body: JSON.stringify(parseJob(declaration, { job: declaration.name, context, payload })),
  fairnessKey: context.caseId,
});

const parseJob = <P extends z.ZodType>(
  declaration: JobDeclaration<P>,
  value: unknown,
): { context: JobContext; payload: z.output<P> } => {
  const parsed = jobMessageSchema(declaration).safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CaseboundError(
      'message_invalid',
      `A message of the job ${declaration.name} does not match its declaration at $.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unreadable'}`,
    );
  }
  // The parsed boundary: the schema was built from this declaration.
  return parsed.data as { context: JobContext; payload: z.output<P> };
};

const jobDelivery = <P extends z.ZodType>(
  declaration: JobDeclaration<P>,
  delivery: Delivery,
): JobDelivery<z.output<P>> => {
  const { context, payload } = parseJob(declaration, parseJson(delivery.body));
  const { fencingToken, messageId, receiveCount } = delivery.message;
  return { context, payload, fencingToken, messageId, attempt: receiveCount, signal: delivery.signal };
};

/** A handler of a job, one message at a time. */
export const handleJob = <P extends z.ZodType>(
  declaration: JobDeclaration<P>,
  handler: JobHandler<z.output<P>>,
): BatchHandler => each(async (delivery) => handler(jobDelivery(declaration, delivery)));

/** A handler of a job that takes a batch at once; it answers the messages that failed. Unreadable ones do not reach it. */
export const handleJobBatch =
  <P extends z.ZodType>(
    declaration: JobDeclaration<P>,
    handler: (
      deliveries: readonly JobDelivery<z.output<P>>[],
      signal: AbortSignal,
    ) => Promise<readonly DeliveryFailure[]>,
  ): BatchHandler =>
  async (deliveries, signal) => {
    const failures: DeliveryFailure[] = [];
    const readable = deliveries.flatMap((delivery) => {
      try {
        return [jobDelivery(declaration, delivery)];
      } catch (error) {
        failures.push({ messageId: delivery.message.messageId, error });
        return [];
      }
    });
    return readable.length === 0 ? failures : [...failures, ...(await handler(readable, signal))];
  };

/** Handlers of the jobs of a catalogue: one for each name, or it does not compile. */
export type JobHandlers<C extends Readonly<Record<string, JobDeclaration>>> = {
  readonly [N in keyof C]: JobHandler<z.output<C[N]['payload']>>;
};

/** Handlers of the events that a consumer subscribes to: one for each type, or it does not compile. */
export type EventHandlers<T extends EventType> = {
  readonly [K in T]: (event: EventOf<K>, delivery: Delivery) => Promise<void>;
};

/** A handler of events. An event that is not valid, or not one of these types, is dead-lettered with the reason. */
export const handleEvents = <T extends EventType>(handlers: EventHandlers<T>): BatchHandler => {
  // Object.keys forgets the type of the keys of a type parameter.
  const types = Object.keys(handlers) as T[];
  return each(async (delivery) => {
    const event = parseEventOf(types, parseJson(delivery.body));
    const handler: (event: EventOf<T>, delivery: Delivery) => Promise<void> = handlers[event.eventType];
    await handler(event, delivery);
  });
};
