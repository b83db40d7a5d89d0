/**
 * What every adapter of `Queues` and `Topics` must do. Each adapter's test runs this suite against a real server.
 *
 * `unit` is the adapter's smallest step of time in milliseconds: SQS counts in seconds.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DeadLetters } from './postgres/postgres-dead-letters.ts';
import type { FilterPolicy } from './filter-policy.ts';
import type {
  EventAttributes,
  FailedAttempt,
  OutgoingMessage,
  Queues,
  QueueSettings,
  ReceivedMessage,
  Topics,
} from './ports.ts';

export interface AdapterUnderTest {
  readonly queues: Queues;
  readonly topics: Topics;
  readonly deadLetters: DeadLetters;
  /** A second process on the same transport. */
  readonly other: Queues;
  readonly unitMs: number;
  readonly maxMessageBytes: number;
  close(): Promise<void>;
}

export const describeMessagingAdapter = (name: string, open: () => Promise<AdapterUnderTest>): void => {
  describe.concurrent(`messaging on ${name}`, { timeout: 60_000 }, () => {
    let adapter: AdapterUnderTest;
    let queues: Queues;
    beforeAll(async () => {
      adapter = await open();
      queues = adapter.queues;
    });
    afterAll(async () => adapter.close());

    const newQueue = async (more: Partial<QueueSettings> = {}): Promise<string> => {
      const queue = `q-${randomUUID()}`;
      await queues.create({ name: queue, visibilityTimeoutMs: 30 * adapter.unitMs, maxReceiveCount: 5, ...more });
      return queue;
    };
    const receive = async (
      queue: string,
      max = 10,
      waitUnits = 0,
      from: Queues = queues,
    ): Promise<readonly ReceivedMessage[]> =>
      from.receive({ queues: [{ name: queue, max }], total: max, waitMs: waitUnits * adapter.unitMs });
    const one = async (queue: string, waitUnits = 10, from: Queues = queues): Promise<ReceivedMessage> => {
      const [message] = await receive(queue, 1, waitUnits, from);
      if (message === undefined) throw new Error(`Nothing arrived in ${queue}.`);
      return message;
    };
    const bodies = (messages: readonly { readonly body: string }[]): string[] =>
      messages.map(({ body }) => body).sort();
    const all = async (queue: string): Promise<readonly ReceivedMessage[]> => {
      const got: ReceivedMessage[] = [];
      for (;;) {
        const more = await receive(queue, 10);
        if (more.length === 0) return got;
        got.push(...more);
      }
    };
    const until = async (holds: () => Promise<boolean>): Promise<void> => {
      for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(adapter.unitMs / 10))
        if (await holds()) return;
    };
    const text = (body: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({ body, ...more });
    const failure = (message: ReceivedMessage, error: string): FailedAttempt => ({
      attempt: message.receiveCount,
      at: new Date().toISOString(),
      worker: 'w',
      outcome: 'failed',
      code: 'internal',
      error,
    });

    describe('queues', () => {
      test('are created, found, listed and deleted', async () => {
        const queue = await newQueue();
        const found = await queues.find(queue);
        expect(found).toMatchObject({ name: queue, maxReceiveCount: 5, visibilityTimeoutMs: 30 * adapter.unitMs });
        expect(found?.address).toBeTruthy();
        expect((await queues.list()).map((described) => described.name)).toContain(queue);
        expect(await queues.delete(queue)).toBe('deleted');
        expect(await queues.delete(queue)).toBe('missing');
        expect(await queues.find(queue)).toBeUndefined();
      });
      test('creating one again finds it; with other settings it is refused with the numbers', async () => {
        const queue = await newQueue();
        const again = await queues.create({
          name: queue,
          visibilityTimeoutMs: 30 * adapter.unitMs,
          maxReceiveCount: 5,
        });
        expect(again).toEqual(await queues.find(queue));
        await expect(
          queues.create({ name: queue, visibilityTimeoutMs: 31 * adapter.unitMs, maxReceiveCount: 5 }),
        ).rejects.toMatchObject({
          code: 'queue_settings_invalid',
          message: expect.stringContaining(String(31 * adapter.unitMs)),
        });
      });
      test.each(['', 'a b', 'café', "x'; DROP TABLE messaging.queue; --", 'x'.repeat(81), 'a.b', '../a'])(
        'the name %j is refused',
        async (queue) => {
          await expect(
            queues.create({ name: queue, visibilityTimeoutMs: 30_000, maxReceiveCount: 5 }),
          ).rejects.toMatchObject({ code: 'queue_name_invalid' });
        },
      );
      test('fewer than five receives need a reason', async () => {
        const settings = { name: `q-${randomUUID()}`, visibilityTimeoutMs: 30 * adapter.unitMs, maxReceiveCount: 2 };
        await expect(queues.create(settings)).rejects.toMatchObject({
          code: 'queue_settings_invalid',
          message: expect.stringContaining('2'),
        });
        await queues.create({ ...settings, fewerReceivesBecause: 'A test of the last receive.' });
      });
      test('sending to one that is not there is refused', async () => {
        await expect(queues.send('never-created', [text('a')])).rejects.toMatchObject({ code: 'queue_not_found' });
      });
      test('receiving from one that was deleted gives nothing, and from the others what is there', async () => {
        const [gone, there] = [await newQueue(), await newQueue()];
        await queues.send(gone, [text('lost')]);
        await queues.send(there, [text('kept')]);
        await queues.delete(gone);
        const got = await queues.receive({
          queues: [
            { name: gone, max: 5 },
            { name: there, max: 5 },
          ],
          total: 10,
          waitMs: 2 * adapter.unitMs,
        });
        expect(bodies(got)).toEqual(['kept']);
      });
      test('one deleted in use refuses what its messages were to become', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('a')]);
        const message = await one(queue);
        await queues.delete(queue);
        expect(await queues.acknowledge([message])).toEqual([false]);
        expect(await queues.extend([{ lease: message, leaseMs: 1000 * adapter.unitMs }])).toEqual([false]);
        expect(await queues.release([{ lease: message, delayMs: 0, counted: true }])).toEqual([false]);
      });
      test('one made again under the name has none of the old messages', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('old')]);
        await queues.delete(queue);
        await queues.create({ name: queue, visibilityTimeoutMs: 30 * adapter.unitMs, maxReceiveCount: 5 });
        await queues.send(queue, [text('new')]);
        expect(bodies(await receive(queue, 10, 2))).toEqual(['new']);
      });
      test('is deleted "only if empty" when nothing is visible, in flight or delayed', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('a')]);
        expect(await queues.delete(queue, { onlyIfEmpty: true })).toBe('not_empty');
        const message = await one(queue);
        expect(await queues.delete(queue, { onlyIfEmpty: true })).toBe('not_empty');
        await queues.release([{ lease: message, delayMs: 20 * adapter.unitMs, counted: true }]);
        expect(await queues.delete(queue, { onlyIfEmpty: true })).toBe('not_empty');
        await queues.purge(queue);
        expect(await queues.delete(queue, { onlyIfEmpty: true })).toBe('deleted');
      });
    });

    describe('messages', () => {
      test('arrive with body, key, attributes and count; any text survives', async () => {
        const queue = await newQueue();
        const body = 'käse "quoted" \\ \n\t 🧀 ﷽ {"a":[1,2]}';
        const ids = await queues.send(queue, [text(body, { fairnessKey: 7, attributes: { a: 'b', 'c-d': "é'" } })]);
        expect(ids).toEqual([expect.any(String)]);
        const message = await one(queue);
        expect(message).toMatchObject({
          queue,
          body,
          fairnessKey: 7,
          receiveCount: 1,
          maxReceiveCount: 5,
          attributes: { a: 'b', 'c-d': "é'" },
        });
        expect(Math.abs(Date.now() - message.sentAt.getTime())).toBeLessThan(60_000);
        expect(await queues.acknowledge([message])).toEqual([true]);
      });
      test('a batch larger than one call of the transport is sent and received whole', async () => {
        const queue = await newQueue();
        const sent = Array.from({ length: 37 }, (_, index) => text(`m${index}`));
        expect(new Set(await queues.send(queue, sent)).size).toBe(37);
        const got = await all(queue);
        expect(bodies(got)).toEqual(bodies(sent));
        expect(await queues.acknowledge(got)).toEqual(got.map(() => true));
        expect(await queues.depth([queue])).toEqual(
          new Map([[queue, expect.objectContaining({ visible: 0, inFlight: 0, delayed: 0 })]]),
        );
      });
      test('of two receivers one gets a message; nobody else while the lease stands', async () => {
        const queue = await newQueue();
        await queues.send(
          queue,
          Array.from({ length: 20 }, (_, index) => text(`m${index}`)),
        );
        const both = await Promise.all([
          receive(queue, 20),
          receive(queue, 20, 0, adapter.other),
          receive(queue, 20),
          receive(queue, 20, 0, adapter.other),
        ]);
        const rest = await all(queue);
        const got = [...both.flat(), ...rest];
        expect(got).toHaveLength(20);
        expect(new Set(got.map(({ messageId }) => messageId)).size).toBe(20);
      });
      test('a receiver that waits gets what is sent meanwhile', async () => {
        const queue = await newQueue();
        const waiting = receive(queue, 1, 10, adapter.other);
        await sleep(adapter.unitMs / 2);
        await queues.send(queue, [text('late')]);
        expect(bodies(await waiting)).toEqual(['late']);
      });
      test('a wait ends when its signal aborts', async () => {
        const queue = await newQueue();
        const started = performance.now();
        const got = await queues.receive({
          queues: [{ name: queue, max: 1 }],
          total: 1,
          waitMs: 20_000,
          signal: AbortSignal.timeout(100),
        });
        expect(got).toEqual([]);
        expect(performance.now() - started).toBeLessThan(5000);
      });
      test('a delayed message is not there before its time', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('now'), text('later', { delayMs: 2 * adapter.unitMs })]);
        expect(bodies(await receive(queue))).toEqual(['now']);
        expect(await queues.depth([queue])).toMatchObject(new Map([[queue, { visible: 0, inFlight: 1, delayed: 1 }]]));
        expect((await one(queue)).body).toBe('later');
      });
      test('a dedupe key holds back the second, within a batch, later, and after the first is done', async () => {
        const queue = await newQueue();
        const key = { dedupeKey: 'k1' };
        const [first, second] = await queues.send(queue, [text('a', key), text('b', key)]);
        expect([typeof first, second]).toEqual(['string', null]);
        expect(await queues.send(queue, [text('c', key), text('d', { dedupeKey: 'k2' })])).toEqual([
          null,
          expect.any(String),
        ]);
        await queues.acknowledge(await all(queue));
        expect(await queues.send(queue, [text('e', key)])).toEqual([null]);
      });
      test.each([
        ['a delay beyond 15 minutes', { delayMs: 900_001 }],
        ['a negative delay', { delayMs: -1 }],
        ['eleven attributes', { attributes: Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`a${n}`, 'x'])) }],
        ['U+0000 in the body', { body: 'a\0b' }],
        ['a negative fairness key', { fairnessKey: -1 }],
      ])('%s is refused', async (_what, more) => {
        const queue = await newQueue();
        await expect(queues.send(queue, [text('good'), text('bad', more)])).rejects.toMatchObject({
          code: 'message_invalid',
        });
        expect(await receive(queue)).toEqual([]);
      });
      test('a message that is too large is refused with both numbers, and nothing of its batch is sent', async () => {
        const queue = await newQueue();
        await expect(
          queues.send(queue, [text('good'), text('x'.repeat(adapter.maxMessageBytes + 1))]),
        ).rejects.toMatchObject({
          code: 'message_too_large',
          message: expect.stringContaining(String(adapter.maxMessageBytes)),
        });
        expect(await receive(queue)).toEqual([]);
        await queues.send(queue, [text('x'.repeat(adapter.maxMessageBytes - 1000))]);
        expect((await one(queue)).body).toHaveLength(adapter.maxMessageBytes - 1000);
      });
    });

    describe('leases', () => {
      test('one that ran out makes the message visible again, counted, and fences off the first holder', async () => {
        const queue = await newQueue({ visibilityTimeoutMs: 2 * adapter.unitMs });
        await queues.send(queue, [text('a')]);
        const first = await one(queue);
        const second = await one(queue, 10, adapter.other);
        expect(second).toMatchObject({ body: 'a', receiveCount: 2 });
        expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
        expect(await queues.acknowledge([first])).toEqual([false]);
        expect(await queues.extend([{ lease: first, leaseMs: 30 * adapter.unitMs }])).toEqual([false]);
        expect(await queues.release([{ lease: first, delayMs: 0, counted: true }])).toEqual([false]);
        expect(await queues.bury({ message: first, code: 'x', reason: 'x', failure: failure(first, 'x') })).toBe(false);
        expect(await adapter.other.acknowledge([second])).toEqual([true]);
        expect(await queues.depth([queue])).toMatchObject(new Map([[queue, { visible: 0, inFlight: 0 }]]));
      });
      test('one that is extended stands', async () => {
        const queue = await newQueue({ visibilityTimeoutMs: 2 * adapter.unitMs });
        await queues.send(queue, [text('a')]);
        const message = await one(queue);
        expect(await queues.extend([{ lease: message, leaseMs: 60 * adapter.unitMs }])).toEqual([true]);
        await sleep(2.5 * adapter.unitMs);
        expect(await receive(queue, 1, 0, adapter.other)).toEqual([]);
        expect(await queues.acknowledge([message])).toEqual([true]);
      });
      test('a release gives the message back after its delay, counted', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('a')]);
        const first = await one(queue);
        expect(
          await queues.release([
            { lease: first, delayMs: adapter.unitMs, counted: true, failure: failure(first, 'first') },
          ]),
        ).toEqual([true]);
        expect(await receive(queue)).toEqual([]);
        const second = await one(queue);
        expect(second.receiveCount).toBe(2);
        expect(await queues.acknowledge([first])).toEqual([false]);
        expect(await queues.acknowledge([second])).toEqual([true]);
      });
      test('a release that does not count spends no attempt, and still raises the fencing token', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('a', { attributes: { kept: 'yes' }, fairnessKey: 3 })]);
        let token = 0;
        for (let round = 0; round < 7; round += 1) {
          const message = await one(queue);
          expect(message).toMatchObject({ body: 'a', receiveCount: 1, attributes: { kept: 'yes' }, fairnessKey: 3 });
          expect(message.fencingToken).toBeGreaterThan(token);
          token = message.fencingToken;
          expect(await queues.release([{ lease: message, delayMs: 0, counted: false }])).toEqual([true]);
        }
        const last = await one(queue);
        expect(await queues.acknowledge([last])).toEqual([true]);
        expect(await receive(queue, 1, 1)).toEqual([]);
      });
      test('of a batch, some are acknowledged, some released: partial failure', async () => {
        const queue = await newQueue();
        await queues.send(
          queue,
          ['a', 'b', 'c', 'd'].map((body) => text(body)),
        );
        const got = await all(queue);
        const good = got.filter(({ body }) => body < 'c');
        const bad = got.filter(({ body }) => body >= 'c');
        expect(await queues.acknowledge(good)).toEqual([true, true]);
        expect(await queues.release(bad.map((lease) => ({ lease, delayMs: 0, counted: true })))).toEqual([true, true]);
        expect(bodies(await all(queue))).toEqual(['c', 'd']);
      });
      test('nothing is done twice, and unknown leases are told apart', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('a'), text('b')]);
        const [a, b] = [await one(queue), await one(queue)];
        expect(await queues.acknowledge([a])).toEqual([true]);
        expect(await queues.acknowledge([a, b])).toEqual([false, true]);
      });
    });

    describe('dead letters', () => {
      test('a buried message has its reason and the history of every attempt', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('poison', { fairnessKey: 9, attributes: { kind: 'x' } })]);
        const first = await one(queue);
        await queues.release([{ lease: first, delayMs: 0, counted: true, failure: failure(first, 'once') }]);
        const second = await one(queue);
        expect(
          await queues.bury({
            message: second,
            code: 'object_corrupt',
            reason: 'The hash differs.',
            failure: { ...failure(second, 'twice'), outcome: 'dead_lettered' },
          }),
        ).toBe(true);
        expect(await receive(queue, 1, 1)).toEqual([]);
        const [summary] = await adapter.deadLetters.list({ queue }, { limit: 10 });
        expect(summary).toMatchObject({
          queue,
          fairnessKey: 9,
          receiveCount: 2,
          code: 'object_corrupt',
          reason: 'The hash differs.',
        });
        const letter = await adapter.deadLetters.show(summary?.deadLetterId ?? '');
        expect(letter).toMatchObject({ body: 'poison', attributes: { kind: 'x' } });
        expect(letter.history).toEqual([
          expect.objectContaining({ attempt: 1, error: 'once', worker: 'w' }),
          expect.objectContaining({ attempt: 2, error: 'twice', outcome: 'dead_lettered' }),
        ]);
      });
      test('a message whose receivers never report dies after its last receive, with what is known', async () => {
        const queue = await newQueue({
          visibilityTimeoutMs: adapter.unitMs,
          maxReceiveCount: 2,
          fewerReceivesBecause: 'A test.',
        });
        await queues.send(queue, [text('kills its worker')]);
        expect((await one(queue)).receiveCount).toBe(1);
        expect((await one(queue)).receiveCount).toBe(2);
        expect(await receive(queue, 1, 3)).toEqual([]);
        await until(async () => (await adapter.deadLetters.count({ queue })) === 1);
        const [summary] = await adapter.deadLetters.list({ queue }, { limit: 10 });
        const letter = await adapter.deadLetters.show(summary?.deadLetterId ?? '');
        expect(letter).toMatchObject({ code: 'receive_count_exceeded', body: 'kills its worker' });
        expect(letter.history.map(({ attempt, outcome }) => ({ attempt, outcome }))).toEqual([
          { attempt: 1, outcome: 'lease_expired' },
          { attempt: 2, outcome: 'lease_expired' },
        ]);
      });
      test('a redrive puts back one, some by filter, or all, as new messages with a fresh count', async () => {
        const queue = await newQueue();
        await queues.send(
          queue,
          ['a', 'b', 'c', 'd'].map((body, index) => text(body, { fairnessKey: index })),
        );
        for (const message of await all(queue)) {
          await queues.bury({
            message,
            code: message.body < 'c' ? 'x' : 'y',
            reason: 'r',
            failure: failure(message, 'e'),
          });
        }
        const letters = await adapter.deadLetters.list({ queue }, { limit: 10 });
        expect(letters).toHaveLength(4);
        expect(await adapter.deadLetters.redriveBatch({ queue, code: 'x' }, 1)).toBe(1);
        expect(await adapter.deadLetters.redriveBatch({ queue, fairnessKey: 3 }, 100)).toBe(1);
        expect(await adapter.deadLetters.count({ queue })).toBe(2);
        expect(await adapter.deadLetters.redriveBatch({ queue }, 100)).toBe(2);
        const back = await all(queue);
        expect(bodies(back)).toEqual(['a', 'b', 'c', 'd']);
        expect(back.map(({ receiveCount }) => receiveCount)).toEqual([1, 1, 1, 1]);
      });
      test('a redrive to a queue that is gone is refused, and the dead letters stay', async () => {
        const queue = await newQueue();
        await queues.send(queue, [text('a')]);
        const message = await one(queue);
        await queues.bury({ message, code: 'x', reason: 'r', failure: failure(message, 'e') });
        await queues.delete(queue);
        await expect(adapter.deadLetters.redriveBatch({ queue }, 10)).rejects.toMatchObject({
          code: 'queue_not_found',
        });
        expect(await adapter.deadLetters.count({ queue })).toBe(1);
        expect(await adapter.deadLetters.purge({ queue })).toBe(1);
        expect(await adapter.deadLetters.count({ queue })).toBe(0);
      });
    });

    describe('topics', () => {
      const publish = async (topic: string, ...events: EventAttributes[]): Promise<void> =>
        adapter.topics.publish(
          topic,
          events.map((attributes, index) => ({
            id: randomUUID(),
            type: String(attributes['eventType'] ?? 'T'),
            body: JSON.stringify({ n: index, ...attributes }),
            attributes,
            fairnessKey: 5,
          })),
        );
      const numbers = (messages: readonly ReceivedMessage[]): number[] =>
        messages.map(({ body }) => (JSON.parse(body) as { n: number }).n).sort((a, b) => a - b);

      test.each<[string, FilterPolicy, readonly EventAttributes[], readonly number[]]>([
        ['everything', {}, [{ eventType: 'A' }, { eventType: 'B', caseId: 1 }], [0, 1]],
        [
          'exact values',
          { eventType: ['A', 'C'] },
          [{ eventType: 'A' }, { eventType: 'B' }, { eventType: 'C' }],
          [0, 2],
        ],
        [
          'all keys',
          { eventType: ['A'], caseId: [4] },
          [{ eventType: 'A', caseId: 4 }, { eventType: 'A', caseId: 5 }, { eventType: 'A' }],
          [0],
        ],
        [
          'a prefix',
          { eventType: [{ prefix: 'DOC_' }] },
          [{ eventType: 'DOC_A' }, { eventType: 'XDOC_' }, { eventType: 'DOC_' }],
          [0, 2],
        ],
        [
          'anything but',
          { eventType: [{ 'anything-but': ['A', 'B'] }] },
          [{ eventType: 'A' }, { eventType: 'C' }, { caseId: 1 }],
          [1],
        ],
        [
          'anything but a prefix',
          { eventType: [{ 'anything-but': { prefix: 'X' } }] },
          [{ eventType: 'XA' }, { eventType: 'A' }],
          [1],
        ],
        ['exists', { caseId: [{ exists: true }] }, [{ eventType: 'A' }, { caseId: 0 }], [1]],
        ['exists not', { caseId: [{ exists: false }] }, [{ eventType: 'A' }, { caseId: 1, eventType: 'A' }], [0]],
        [
          'a number range',
          { caseId: [{ numeric: ['>=', 10, '<', 20] }] },
          [{ caseId: 9 }, { caseId: 10 }, { caseId: 19.5 }, { caseId: 20 }],
          [1, 2],
        ],
        [
          'one number',
          { caseId: [{ numeric: ['=', 10] }, { numeric: ['<', 0] }] },
          [{ caseId: 10 }, { caseId: -1 }, { caseId: 3 }],
          [0, 1],
        ],
      ])('a policy on %s lets through what it says', async (_what, policy, events, expected) => {
        const [queue, topic] = [await newQueue(), `t-${randomUUID()}`];
        await adapter.topics.subscribe(topic, queue, policy);
        await publish(topic, ...events);
        const got = [...(await receive(queue, 10, 2)), ...(await all(queue))];
        expect(numbers(got)).toEqual(expected);
        await adapter.topics.unsubscribe(topic, queue);
      });
      test('an unknown operator is refused and named', async () => {
        const queue = await newQueue();
        const policy = { eventType: [{ 'starts-with': 'A' }] } as unknown as FilterPolicy;
        await expect(adapter.topics.subscribe('t-x', queue, policy)).rejects.toMatchObject({
          code: 'filter_policy_invalid',
          message: expect.stringContaining('starts-with'),
        });
      });
      test('every subscriber gets its copy, with the key; a new policy replaces the old', async () => {
        const [a, b, topic] = [await newQueue(), await newQueue(), `t-${randomUUID()}`];
        await adapter.topics.subscribe(topic, a, { eventType: ['A'] });
        await adapter.topics.subscribe(topic, b, { eventType: ['B'] });
        await adapter.topics.subscribe(topic, b, { eventType: ['A', 'B'] });
        await publish(topic, { eventType: 'A' }, { eventType: 'B' });
        expect(numbers(await receive(a, 10, 2))).toEqual([0]);
        const got = [...(await receive(b, 10, 2)), ...(await all(b))];
        expect(numbers(got)).toEqual([0, 1]);
        expect(got[0]).toMatchObject({ fairnessKey: 5, receiveCount: 1 });
      });
      test('nothing arrives after an unsubscribe; subscribing a missing queue is refused', async () => {
        const [queue, topic] = [await newQueue(), `t-${randomUUID()}`];
        await adapter.topics.subscribe(topic, queue, {});
        await adapter.topics.unsubscribe(topic, queue);
        await publish(topic, { eventType: 'A' });
        expect(await receive(queue, 1, 1)).toEqual([]);
        await expect(adapter.topics.subscribe(topic, 'never-created', {})).rejects.toMatchObject({
          code: 'queue_not_found',
        });
      });
      test('a subscriber deleted mid-publish costs the others nothing', async () => {
        const [doomed, kept, topic] = [await newQueue(), await newQueue(), `t-${randomUUID()}`];
        await adapter.topics.subscribe(topic, doomed, {});
        await adapter.topics.subscribe(topic, kept, {});
        let published = 0;
        const publishing = (async () => {
          for (let batch = 0; batch < 30; batch += 1) {
            await publish(topic, ...Array.from({ length: 5 }, () => ({ eventType: 'A' })));
            published += 5;
          }
        })();
        await sleep(20);
        await queues.delete(doomed);
        await publishing;
        const got: ReceivedMessage[] = [];
        await until(async () => {
          got.push(...(await receive(kept, 100, 1)));
          return got.length >= published;
        });
        expect(got).toHaveLength(published);
        expect(await receive(kept, 10, 1)).toEqual([]);
      });
    });

    test('a purge empties the queue', async () => {
      const queue = await newQueue();
      await queues.send(queue, [text('a'), text('b', { delayMs: 5 * adapter.unitMs })]);
      await queues.purge(queue);
      expect(await receive(queue, 10, 1)).toEqual([]);
      await expect(queues.purge('never-created')).rejects.toMatchObject({ code: 'queue_not_found' });
    });
  });
};
