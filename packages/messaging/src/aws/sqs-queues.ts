/**
 * Queues on SQS (standard queues).
 *
 * - SQS does not say whether a receipt handle is still the newest, so this process keeps the deadline of each lease on its own
 *   steady clock, counted from before the receive, and treats a lease as lost when that has passed. Effects are fenced by tokens.
 * - A release that does not count re-sends the message with its counters and then deletes the original: twice delivered if the
 *   process dies in between, never lost.
 * - A message that was received too often dies here at the next receive. Dead letters stand in the database; when that cannot be
 *   reached the message stays in its queue.
 * - Times are rounded up to whole seconds. The fairness key is sent as message group: SQS then keeps one group from starving the
 *   others (fair queues).
 */
import {
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
} from '@aws-sdk/client-sqs';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { CaseboundError } from '@casebound/contract';
import { checkMessage, messageBytes } from '../message-limits.ts';
import type {
  Clock,
  FailedAttempt,
  Lease,
  OutgoingMessage,
  QueueDescription,
  Queues,
  QueueSettings,
  ReceivedMessage,
} from '../ports.ts';
import type { DeadLetters } from '../postgres/postgres-dead-letters.ts';
import type { TransportJournal } from '../postgres/transport-journal.ts';
import { checkQueueSettings } from '../visibility.ts';
import { isMissing, onAws } from './aws-error.ts';
import { fromWire, ourAttributeBytes, resent, toWire, wireOfSdk } from './sqs-wire.ts';
import type { Wire, WireMessage } from './sqs-wire.ts';

export interface SqsQueuesOptions {
  readonly client: SQSClient;
  readonly clock: Pick<Clock, 'monotonicMs' | 'now'>;
  readonly journal: TransportJournal;
  readonly deadLetters: Pick<DeadLetters, 'add'>;
  /** Limit of a message and of a batch. Default 1 MiB, the quota of SQS. */
  readonly maxMessageBytes?: number;
  /** Put before each name on SQS, so that installations can share an account. Default none. */
  readonly namePrefix?: string;
  /** Sends the fairness key as message group. Default true; false for servers that know groups of FIFO queues only. */
  readonly fairQueues?: boolean;
}

export interface SqsQueues extends Queues {
  /** Takes messages that something else received, as Lambda does. Those received too often are dead-lettered and left out. */
  adopt(queue: string, messages: readonly WireMessage[], receivedAtMs: number): Promise<readonly ReceivedMessage[]>;
  /** Address and ARN of a queue. @throws CaseboundError `queue_not_found` */
  locate(name: string): Promise<{ readonly url: string; readonly arn: string }>;
}

interface Known {
  readonly description: QueueDescription;
  readonly arn: string;
}

const batchSize = 10;
const receivesTag = 'casebound-max-receive-count';
const reasonTag = 'casebound-fewer-receives-because';
const seconds = (ms: number): number => Math.ceil(ms / 1000);

const batches = <T>(items: readonly T[], bytesOf: (item: T) => number, maxBytes: number): T[][] => {
  const made: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(item);
    const last = made.at(-1);
    if (last === undefined || last.length >= batchSize || bytes + size > maxBytes) {
      made.push([item]);
      bytes = size;
    } else {
      last.push(item);
      bytes += size;
    }
  }
  return made;
};

const inBatches = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / batchSize) }, (_, index) =>
    items.slice(index * batchSize, (index + 1) * batchSize),
  );

const mostCalls = 8;

/** Runs the calls, a few at once; results in order. */
const inParallel = async <T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += mostCalls)
    results.push(...(await Promise.all(items.slice(at, at + mostCalls).map(run))));
  return results;
};

export const createSqsQueues = (options: SqsQueuesOptions): SqsQueues => {
  const {
    client,
    clock,
    journal,
    deadLetters,
    maxMessageBytes = 1024 * 1024,
    namePrefix = '',
    fairQueues = true,
  } = options;
  const known = new Map<string, Known>();
  /** Deadline of each lease that this process holds, by its token, with the message for what SQS cannot tell. */
  const held = new Map<string, { deadline: number; readonly message: ReceivedMessage }>();

  const find = async (name: string): Promise<Known | undefined> => {
    const cached = known.get(name);
    if (cached !== undefined) return cached;
    try {
      const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName: namePrefix + name }));
      const [{ Attributes }, { Tags }] = await Promise.all([
        client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['VisibilityTimeout', 'QueueArn'] })),
        client.send(new ListQueueTagsCommand({ QueueUrl })),
      ]);
      const reason = Tags?.[reasonTag];
      const found: Known = {
        arn: Attributes?.QueueArn ?? '',
        description: {
          name,
          address: QueueUrl ?? '',
          visibilityTimeoutMs: Number(Attributes?.VisibilityTimeout ?? 30) * 1000,
          maxReceiveCount: Number(Tags?.[receivesTag] ?? 5),
          ...(reason === undefined ? {} : { fewerReceivesBecause: reason }),
        },
      };
      known.set(name, found);
      return found;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };

  const required = async (name: string): Promise<Known> => {
    const found = await find(name);
    if (found === undefined)
      throw new CaseboundError(
        'queue_not_found',
        `There is no queue ${JSON.stringify(name)}; it was never created or has been deleted.`,
      );
    return found;
  };

  /** Runs a call on a queue; one that turns out to be gone is forgotten. */
  const on = async <T>(name: string, run: (found: Known) => Promise<T>): Promise<T> =>
    onAws(name, async () => {
      try {
        return await run(await required(name));
      } catch (error) {
        if (isMissing(error)) known.delete(name);
        throw error;
      }
    });

  const sendWires = async (
    name: string,
    wires: readonly { readonly wire: Wire; readonly delayMs: number; readonly key: number; readonly bytes: number }[],
  ): Promise<string[]> => {
    const sent = await inParallel(
      batches(wires, ({ bytes }) => bytes, maxMessageBytes),
      async (batch) =>
        on(name, async ({ description }) => {
          const { Successful = [], Failed = [] } = await client.send(
            new SendMessageBatchCommand({
              QueueUrl: description.address,
              Entries: batch.map(({ wire, delayMs, key }, index) => ({
                Id: String(index),
                ...wire,
                ...(delayMs > 0 ? { DelaySeconds: seconds(delayMs) } : {}),
                ...(fairQueues && key > 0 ? { MessageGroupId: String(key) } : {}),
              })),
            }),
          );
          if (Failed.length > 0)
            throw new CaseboundError(
              'queue_transport_unavailable',
              `${Failed.length} of ${batch.length} messages for ${name} were not taken (${Failed[0]?.Code ?? 'unknown'}).`,
            );
          return Successful.toSorted((a, b) => Number(a.Id) - Number(b.Id)).map(({ MessageId }) => MessageId ?? '');
        }),
    );
    return sent.flat();
  };

  const deleteNow = async (name: string, tokens: readonly string[]): Promise<void> => {
    await inParallel(inBatches(tokens), async (batch) =>
      on(name, async ({ description }) => {
        const { Failed = [] } = await client.send(
          new DeleteMessageBatchCommand({
            QueueUrl: description.address,
            Entries: batch.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle })),
          }),
        );
        if (Failed.some(({ SenderFault }) => SenderFault !== true))
          throw new CaseboundError('queue_transport_unavailable', `Messages of ${name} could not be deleted.`);
      }),
    );
  };

  /** Sets the visibility of messages; the tokens for which that failed because they are no longer in flight. */
  const changeVisibility = async (
    name: string,
    changes: readonly { readonly token: string; readonly ms: number }[],
  ): Promise<ReadonlySet<string>> => {
    const lost = new Set<string>();
    await inParallel(inBatches(changes), async (batch) =>
      on(name, async ({ description }) => {
        const { Failed = [] } = await client.send(
          new ChangeMessageVisibilityBatchCommand({
            QueueUrl: description.address,
            Entries: batch.map(({ token, ms }, index) => ({
              Id: String(index),
              ReceiptHandle: token,
              VisibilityTimeout: seconds(ms),
            })),
          }),
        );
        for (const { Id, SenderFault } of Failed) {
          const change = batch[Number(Id)];
          if (SenderFault !== true)
            throw new CaseboundError('queue_transport_unavailable', `Leases of ${name} could not be changed.`);
          if (change !== undefined) lost.add(change.token);
        }
      }),
    );
    return lost;
  };

  const isHeld = (token: string): boolean => {
    const lease = held.get(token);
    if (lease === undefined) return false;
    if (clock.monotonicMs() < lease.deadline) return true;
    held.delete(token);
    return false;
  };

  /** Runs a transition for those of the leases that are held, queue by queue; a queue that is gone holds nothing. */
  const transition = async <L extends { readonly lease: Lease }>(
    items: readonly L[],
    run: (queue: string, mine: readonly L[]) => Promise<ReadonlySet<string>>,
    letGo: boolean,
  ): Promise<boolean[]> => {
    const done = new Set<string>();
    for (const queue of new Set(items.map(({ lease }) => lease.queue))) {
      const mine = items.filter(({ lease }) => lease.queue === queue && isHeld(lease.token));
      if (mine.length === 0) continue;
      try {
        const lost = await run(queue, mine);
        for (const { lease } of mine) {
          if (!lost.has(lease.token)) done.add(lease.token);
          if (letGo || lost.has(lease.token)) held.delete(lease.token);
        }
      } catch (error) {
        if (!(error instanceof CaseboundError && error.code === 'queue_not_found')) throw error;
      }
    }
    return items.map(({ lease }) => done.has(lease.token));
  };

  const none: ReadonlySet<string> = new Set();

  /** Every attempt up to the count; those of which nothing was heard are said to have run out. */
  const historyOf = async (message: ReceivedMessage, upTo: number): Promise<FailedAttempt[]> => {
    const recorded = await journal.attempts(message.queue, message.messageId);
    const heard = new Set(recorded.map(({ attempt }) => attempt));
    const silent: FailedAttempt[] = [];
    for (let attempt = 1; attempt <= upTo; attempt += 1) {
      if (heard.has(attempt)) continue;
      silent.push({
        attempt,
        at: clock.now().toISOString(),
        worker: 'unknown',
        outcome: 'lease_expired',
        code: 'lease_lost',
        error: 'The worker did not report before its lease ran out; it was killed, hung or cut off.',
      });
    }
    return [...recorded, ...silent].sort((a, b) => a.attempt - b.attempt);
  };

  const adopt: SqsQueues['adopt'] = async (queue, wires, receivedAtMs) => {
    const { description } = await required(queue);
    const messages: ReceivedMessage[] = [];
    for (const wire of wires) {
      const message = fromWire(wire, queue, {
        maxReceiveCount: description.maxReceiveCount,
        leaseMs: description.visibilityTimeoutMs,
        receivedAtMs,
      });
      if (message.receiveCount <= message.maxReceiveCount) {
        held.set(message.token, { deadline: receivedAtMs + message.leaseMs, message });
        messages.push(message);
        continue;
      }
      await deadLetters.add({
        ...message,
        receiveCount: message.receiveCount - 1,
        code: 'receive_count_exceeded',
        reason: `Received ${message.maxReceiveCount} times without success.`,
        history: await historyOf(message, message.receiveCount - 1),
      });
      await deleteNow(queue, [message.token]);
    }
    return messages;
  };

  const receiveFrom = async (
    name: string,
    max: number,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly ReceivedMessage[]> => {
    const call = async (asked: number, waitSeconds: number): Promise<readonly ReceivedMessage[]> => {
      const receivedAtMs = clock.monotonicMs();
      const { Messages = [] } = await on(name, async ({ description }) =>
        client.send(
          new ReceiveMessageCommand({
            QueueUrl: description.address,
            MaxNumberOfMessages: asked,
            // A lease is counted from before the call, so a wait must be short against it.
            WaitTimeSeconds: Math.min(waitSeconds, Math.max(1, Math.floor(description.visibilityTimeoutMs / 4000))),
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
          }),
          signal === undefined ? {} : { abortSignal: signal },
        ),
      );
      return adopt(name, Messages.map(wireOfSdk), receivedAtMs);
    };
    const messages: ReceivedMessage[] = [];
    try {
      const until = clock.monotonicMs() + waitMs;
      for (let leftMs = waitMs; ; leftMs = until - clock.monotonicMs()) {
        messages.push(...(await call(Math.min(batchSize, max), Math.min(20, Math.max(0, seconds(leftMs))))));
        if (messages.length > 0 || until - clock.monotonicMs() <= 0 || signal?.aborted === true) break;
      }
      // A full answer says that there is more: the rest is asked for at once.
      while (messages.length > 0 && messages.length % batchSize === 0 && messages.length < max) {
        const calls = Math.min(mostCalls, Math.ceil((max - messages.length) / batchSize));
        const rest = Array.from({ length: calls }, (_, index) =>
          Math.min(batchSize, max - messages.length - index * batchSize),
        );
        const more = await Promise.allSettled(rest.map(async (asked) => call(asked, 0)));
        const got = more.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
        messages.push(...got);
        if (got.length < calls * batchSize) break;
      }
    } catch (error) {
      const expected =
        signal?.aborted === true || (error instanceof CaseboundError && error.code === 'queue_not_found');
      if (!expected && messages.length === 0) throw error;
    }
    return messages;
  };

  return {
    adopt,
    locate: async (name) =>
      onAws(name, async () => required(name)).then(({ description, arn }) => ({ url: description.address, arn })),
    async create(settings: QueueSettings) {
      checkQueueSettings(settings);
      return onAws(settings.name, async () => {
        known.delete(settings.name);
        const existing = await find(settings.name);
        if (existing === undefined) {
          await client.send(
            new CreateQueueCommand({
              QueueName: namePrefix + settings.name,
              Attributes: {
                VisibilityTimeout: String(seconds(settings.visibilityTimeoutMs)),
                MessageRetentionPeriod: String(14 * 86_400),
              },
              tags: {
                [receivesTag]: String(settings.maxReceiveCount),
                ...(settings.fewerReceivesBecause === undefined ? {} : { [reasonTag]: settings.fewerReceivesBecause }),
              },
            }),
          );
        }
        const { description } = existing ?? (await required(settings.name));
        if (
          description.visibilityTimeoutMs !== seconds(settings.visibilityTimeoutMs) * 1000 ||
          description.maxReceiveCount !== settings.maxReceiveCount
        ) {
          throw new CaseboundError(
            'queue_settings_invalid',
            `The queue ${settings.name} exists with a visibility timeout of ${description.visibilityTimeoutMs} ms and ${description.maxReceiveCount} ` +
              `receives; ${settings.visibilityTimeoutMs} ms and ${settings.maxReceiveCount} were asked for.`,
          );
        }
        return description;
      });
    },
    async delete(name, { onlyIfEmpty = false } = {}) {
      return onAws(name, async () => {
        known.delete(name);
        const found = await find(name);
        if (found === undefined) return 'missing';
        if (onlyIfEmpty) {
          const depth = (await this.depth([name])).get(name);
          if (depth !== undefined && depth.visible + depth.inFlight + depth.delayed > 0) return 'not_empty';
        }
        await client.send(new DeleteQueueCommand({ QueueUrl: found.description.address }));
        known.delete(name);
        await journal.forgetKeys(name);
        return 'deleted';
      });
    },
    find: async (name) => onAws(name, async () => (await find(name))?.description),
    async list() {
      const descriptions: QueueDescription[] = [];
      let token: string | undefined;
      do {
        const { QueueUrls = [], NextToken } = await onAws('all queues', async () =>
          client.send(
            new ListQueuesCommand({
              MaxResults: 1000,
              ...(namePrefix === '' ? {} : { QueueNamePrefix: namePrefix }),
              ...(token === undefined ? {} : { NextToken: token }),
            }),
          ),
        );
        for (const url of QueueUrls) {
          const found = await this.find((url.split('/').at(-1) ?? '').slice(namePrefix.length));
          if (found !== undefined) descriptions.push(found);
        }
        token = NextToken;
      } while (token !== undefined);
      return descriptions.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async send(queue, messages: readonly OutgoingMessage[]) {
      if (messages.length === 0) return [];
      for (const message of messages) checkMessage(queue, message, maxMessageBytes);
      const keys = messages.flatMap(({ dedupeKey }) => (dedupeKey === undefined ? [] : [dedupeKey]));
      if (keys.length > 0) await onAws(queue, async () => required(queue));
      const seen = new Set(keys.length === 0 ? [] : await journal.sentKeys(queue, keys));
      const fresh = messages.map(({ dedupeKey }) => {
        if (dedupeKey === undefined) return true;
        if (seen.has(dedupeKey)) return false;
        seen.add(dedupeKey);
        return true;
      });
      const sent = await sendWires(
        queue,
        messages
          .filter((_message, index) => fresh[index])
          .map((message) => ({
            wire: toWire(message),
            delayMs: message.delayMs ?? 0,
            key: message.fairnessKey ?? 0,
            bytes: messageBytes(message) + ourAttributeBytes,
          })),
      );
      if (keys.length > 0) await journal.recordKeys(queue, [...new Set(keys)]);
      const ids = sent.values();
      return fresh.map((isFresh) => (isFresh ? (ids.next().value ?? null) : null));
    },
    async receive(request) {
      const wanted = request.queues.filter(({ max }) => max > 0);
      if (wanted.length === 0 || request.total <= 0) return [];
      // What one queue may take is settled before all are asked at once, so that together they stay within the total.
      let left = request.total;
      const asked = wanted.flatMap(({ name, max }, index) => {
        const share = Math.min(max, Math.ceil(left / (wanted.length - index)));
        left -= share;
        return share > 0 ? [{ name, share }] : [];
      });
      const any = new AbortController();
      const signal = request.signal === undefined ? any.signal : AbortSignal.any([request.signal, any.signal]);
      const got = await Promise.all(
        asked.map(async ({ name, share }) => {
          const messages = await receiveFrom(name, share, request.waitMs, asked.length === 1 ? request.signal : signal);
          if (messages.length > 0) any.abort();
          return messages;
        }),
      );
      return got.flat();
    },
    acknowledge: async (leases) =>
      transition(
        leases.map((lease) => ({ lease })),
        async (queue, mine) => {
          await deleteNow(
            queue,
            mine.map(({ lease }) => lease.token),
          );
          return none;
        },
        true,
      ),
    release: async (releases) =>
      transition(
        releases,
        async (queue, mine) => {
          await journal.recordAttempts(
            queue,
            mine.flatMap(({ lease, failure }) =>
              failure === undefined ? [] : [{ messageId: lease.messageId, attempt: failure }],
            ),
          );
          const lost = await changeVisibility(
            queue,
            mine.filter(({ counted }) => counted).map(({ lease, delayMs }) => ({ token: lease.token, ms: delayMs })),
          );
          const again = mine.flatMap(({ lease, delayMs, counted }) => {
            const message = counted ? undefined : held.get(lease.token)?.message;
            return message === undefined ? [] : [{ message, delayMs }];
          });
          if (again.length > 0) {
            await sendWires(
              queue,
              again.map(({ message, delayMs }) => ({
                wire: resent(message),
                delayMs,
                key: message.fairnessKey,
                bytes: messageBytes(message) + ourAttributeBytes,
              })),
            );
            await deleteNow(
              queue,
              again.map(({ message }) => message.token),
            );
          }
          return lost;
        },
        true,
      ),
    extend: async (extensions) =>
      transition(
        extensions,
        async (queue, mine) => {
          const before = clock.monotonicMs();
          const lost = await changeVisibility(
            queue,
            mine.map(({ lease, leaseMs }) => ({ token: lease.token, ms: leaseMs })),
          );
          for (const { lease, leaseMs } of mine) {
            const entry = held.get(lease.token);
            if (entry !== undefined) entry.deadline = before + leaseMs;
          }
          return lost;
        },
        false,
      ),
    async bury({ message, code, reason, failure }) {
      if (!isHeld(message.token)) return false;
      const history = await historyOf(message, message.receiveCount - 1);
      await deadLetters.add({ ...message, code, reason, history: [...history, failure] });
      const [done] = await this.acknowledge([message]);
      return done === true;
    },
    async depth(names) {
      const depths = await Promise.all(
        names.map(async (name) => {
          const found = await onAws(name, async () => find(name));
          if (found === undefined) return undefined;
          try {
            const { Attributes } = await client.send(
              new GetQueueAttributesCommand({
                QueueUrl: found.description.address,
                AttributeNames: [
                  'ApproximateNumberOfMessages',
                  'ApproximateNumberOfMessagesNotVisible',
                  'ApproximateNumberOfMessagesDelayed',
                ],
              }),
            );
            return [
              name,
              {
                visible: Number(Attributes?.ApproximateNumberOfMessages ?? 0),
                inFlight: Number(Attributes?.ApproximateNumberOfMessagesNotVisible ?? 0),
                delayed: Number(Attributes?.ApproximateNumberOfMessagesDelayed ?? 0),
                oldestVisibleMs: null,
              },
            ] as const;
          } catch (error) {
            if (!isMissing(error)) throw error;
            known.delete(name);
            return undefined;
          }
        }),
      );
      return new Map(depths.filter((depth) => depth !== undefined));
    },
    purge: async (name) =>
      on(name, async ({ description }) => {
        await client.send(new PurgeQueueCommand({ QueueUrl: description.address }));
      }),
  };
};
