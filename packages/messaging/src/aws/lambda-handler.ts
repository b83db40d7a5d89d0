/**
 * The Lambda shape of a worker: an SQS batch event in, `batchItemFailures` out. The handler, and the rules by which its outcome
 * is judged, are those of the consumer.
 *
 * - A message that succeeded, died or was given back is not in `batchItemFailures`; Lambda deletes what is not listed. What was
 *   buried or re-sent has been deleted already, and deleting it again does no harm.
 * - A message to be retried is listed, and its visibility set to the jittered delay, so that it does not come back at once.
 * - An error of the handler itself never fails the whole batch: that would bring back what was done.
 *
 * Source: AWS Lambda developer guide, "Handling errors for an SQS event source", partial batch responses.
 */
import { CaseboundError } from '@casebound/contract';
import type { ClaimChecks } from '../claim-check.ts';
import { HeldMessages } from '../consumer/held-messages.ts';
import { judgeFailure } from '../consumer/judge-delivery.ts';
import type { Verdict } from '../consumer/judge-delivery.ts';
import { runBatch } from '../consumer/run-batch.ts';
import { defaultRetry } from '../consumer/worker-definition.ts';
import type { Delivery } from '../consumer/worker-definition.ts';
import type { HandlerDefinition } from '../fleet/Port.ts';
import type { Random } from '../full-jitter.ts';
import type { Clock, Log, ReceivedMessage } from '../ports.ts';
import type { SqsQueues } from './sqs-queues.ts';

/** The members of Lambda's SQS event that are read. */
export interface SqsBatchEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly receiptHandle: string;
    readonly body: string;
    readonly attributes: Readonly<Record<string, string>>;
    readonly messageAttributes: Readonly<Record<string, { readonly stringValue?: string }>>;
    /** `arn:aws:sqs:{region}:{account}:{queue}` */
    readonly eventSourceARN: string;
  }[];
}

export interface SqsBatchResponse {
  readonly batchItemFailures: { readonly itemIdentifier: string }[];
}

/** What Lambda tells a handler of its own end. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

export interface LambdaHandlerOptions {
  readonly name: string;
  readonly handler: HandlerDefinition;
  readonly queues: SqsQueues;
  /** Taken off the names of queues in ARNs. */
  readonly namePrefix?: string;
  readonly claimChecks: ClaimChecks;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

/** Time that judging and settling may take at the end of an invocation. */
const settleMs = 5000;

export const createLambdaHandler = (
  options: LambdaHandlerOptions,
): ((event: SqsBatchEvent, context: LambdaContext) => Promise<SqsBatchResponse>) => {
  const { name, handler, queues, namePrefix = '', claimChecks, clock, log, random } = options;
  const retry = handler.retry ?? defaultRetry;

  return async (event, context) => {
    const [first] = event.Records;
    if (first === undefined) return { batchItemFailures: [] };
    const queue = (first.eventSourceARN.split(':').at(-1) ?? '').slice(namePrefix.length);
    const messages = await queues.adopt(
      queue,
      event.Records.map((record) => ({
        messageId: record.messageId,
        receiptHandle: record.receiptHandle,
        body: record.body,
        receiveCount: Number(record.attributes['ApproximateReceiveCount'] ?? 1),
        sentMs: Number(record.attributes['SentTimestamp'] ?? 0),
        attributes: Object.fromEntries(
          Object.entries(record.messageAttributes).map(([attribute, { stringValue }]) => [
            attribute,
            stringValue ?? '',
          ]),
        ),
      })),
      clock.monotonicMs(),
    );
    const recordIds = new Map(event.Records.map(({ receiptHandle, messageId }) => [receiptHandle, messageId]));
    const held = new HeldMessages({
      queues,
      clock,
      log,
      onLost: (message) => log.warn('The lease of a message was lost.', { queue, attempt: message.receiveCount }),
    });
    const over = new AbortController();
    const circumstances = () => ({ random, now: clock.now(), worker: name });
    const verdicts: { readonly message: ReceivedMessage; readonly verdict: Verdict }[] = [];
    const deliveries: Delivery[] = [];
    const beating = held.run(over.signal);
    try {
      for (const message of messages) {
        const { signal } = held.add(message);
        try {
          deliveries.push({
            message,
            signal,
            body: claimChecks.isCheck(message) ? await claimChecks.redeem(message) : message.body,
          });
        } catch (error) {
          verdicts.push({ message, verdict: judgeFailure(error, message, { ...circumstances(), retry }) });
        }
      }
      if (deliveries.length > 0) {
        const handlerTimeoutMs = Math.max(
          1,
          Math.min(handler.handlerTimeoutMs, context.getRemainingTimeInMillis() - settleMs),
        );
        const run = runBatch(
          { name, handle: handler.handle, handlerTimeoutMs, retry },
          deliveries,
          circumstances,
          new AbortController().signal,
        );
        for (const [index, verdict] of (await run.verdicts).entries()) {
          const delivery = deliveries[index];
          if (delivery !== undefined) verdicts.push({ message: delivery.message, verdict });
        }
      }
    } finally {
      over.abort();
      await beating;
    }
    const batchItemFailures: SqsBatchResponse['batchItemFailures'] = [];
    for (const { message, verdict } of verdicts) {
      try {
        if (await settled(message, verdict)) continue;
      } catch (error) {
        log.error(
          'The verdict on a message could not be carried out; it comes again.',
          { queue, attempt: message.receiveCount },
          error,
        );
      }
      batchItemFailures.push({ itemIdentifier: recordIds.get(message.token) ?? message.messageId });
    }
    return { batchItemFailures };
  };

  /** Carries out a verdict; whether Lambda may delete the message. */
  async function settled(message: ReceivedMessage, verdict: Verdict): Promise<boolean> {
    switch (verdict.kind) {
      case 'acknowledge':
        await claimChecks.discard(message);
        return true;
      case 'release':
        await queues.release([
          {
            lease: message,
            delayMs: verdict.delayMs,
            counted: verdict.counted,
            ...(verdict.failure === undefined ? {} : { failure: verdict.failure }),
          },
        ]);
        return !verdict.counted;
      case 'bury':
        return queues.bury({ message, code: verdict.code, reason: verdict.reason, failure: verdict.failure });
      case 'abandon':
        return false;
    }
  }
};

/** Refuses an event that is not SQS's, before anything is done. @throws CaseboundError `message_invalid` */
export const checkSqsBatchEvent = (event: {
  readonly Records?: readonly { readonly eventSource?: string }[];
}): void => {
  if (
    !Array.isArray(event.Records) ||
    event.Records.some((record: { readonly eventSource?: string }) => record.eventSource !== 'aws:sqs')
  ) {
    throw new CaseboundError(
      'message_invalid',
      'The function was invoked with something other than an SQS batch event.',
    );
  }
};
