import fc from 'fast-check';
import { CaseboundError, hasCode } from '@casebound/contract';
import { createFakeClock } from '@casebound/test-kit';
import { describe, expect, test } from 'vitest';
import { createCircuitBreaker } from './circuit-breaker.ts';
import type { BreakerChange } from './circuit-breaker.ts';
import { AlreadyDone, classifyFailure } from './classify-failure.ts';
import { judgeFailure } from './consumer/judge-delivery.ts';
import { matchesPolicy, parseFilterPolicy } from './filter-policy.ts';
import { fullJitter } from './full-jitter.ts';
import type { ReceivedMessage } from './ports.ts';
import { LaneBook } from './postgres/lane-book.ts';
import { retryOnConflict } from './postgres/pool-database.ts';
import { checkConcurrency, checkVisibility, queueSettingsOf, visibilityTimeoutMs } from './visibility.ts';

const message: ReceivedMessage = {
  queue: 'q',
  messageId: '1',
  token: '1',
  fencingToken: 1,
  receiveCount: 1,
  maxReceiveCount: 5,
  fairnessKey: 0,
  sentAt: new Date(0),
  body: '',
  attributes: {},
  leaseMs: 1000,
  receivedAtMs: 0,
};
const circumstances = { retry: { baseMs: 1000, maxMs: 900_000 }, random: () => 0.5, now: new Date(0), worker: 'w' };

describe('full jitter', () => {
  test('1,000 messages that failed together do not come back together', () => {
    const backoff = { baseMs: 1000, maxMs: 60_000 };
    const delays = Array.from({ length: 1000 }, () => fullJitter(backoff, 4, Math.random));
    const perTenth = Array.from(
      { length: 10 },
      (_, tenth) => delays.filter((ms) => Math.floor(ms / 1600) === tenth).length,
    );
    // Evenly spread: 100 a tenth; six standard deviations (9.5) leave no room for chance.
    for (const count of perTenth) expect(Math.abs(count - 100)).toBeLessThan(57);
    expect(new Set(delays).size).toBeGreaterThan(900);
  });
  test('stays within random(0, min(base * 2^attempt, max)) for any attempt', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (attempt, baseMs, random) => {
          const delay = fullJitter({ baseMs, maxMs: 900_000 }, attempt, () => random);
          return delay >= 0 && delay <= Math.min(baseMs * 2 ** attempt, 900_000);
        },
      ),
    );
  });
});

describe('failure families', () => {
  test.each([
    [new CaseboundError('object_store_unavailable', 'x'), 'recoverable', 'object_store_unavailable'],
    [new CaseboundError('object_corrupt', 'x'), 'permanent', 'object_corrupt'],
    [new AlreadyDone('x'), 'already_done', 'already_done'],
    [Object.assign(new Error('x'), { code: '40P01' }), 'recoverable', '40P01'],
    [Object.assign(new Error('x'), { code: '23505' }), 'permanent', 'sqlstate_23505'],
    [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'recoverable', 'ECONNRESET'],
    [new TypeError('secret value'), 'recoverable', 'internal'],
    ['text', 'recoverable', 'internal'],
    [undefined, 'recoverable', 'internal'],
  ])('%s is %s', (error, family, code) => {
    expect(classifyFailure(error)).toMatchObject({ family, code });
  });
  test('the text of an unknown error does not travel', () => {
    expect(classifyFailure(new TypeError('secret value')).reason).not.toContain('secret');
  });
  test('recoverable is released with jitter and its attempt counted; the last receive dies', () => {
    const error = new CaseboundError('object_store_unavailable', 'No answer.');
    expect(judgeFailure(error, message, circumstances)).toMatchObject({
      kind: 'release',
      counted: true,
      delayMs: 1000,
    });
    expect(judgeFailure(error, { ...message, receiveCount: 3 }, circumstances)).toMatchObject({ delayMs: 4000 });
    expect(judgeFailure(error, { ...message, receiveCount: 5 }, circumstances)).toMatchObject({
      kind: 'bury',
      code: 'receive_count_exceeded',
      reason: expect.stringContaining('No answer.'),
    });
  });
  test('permanent dies at once with its reason; already done is success; a lost lease is nobody’s business here', () => {
    expect(
      judgeFailure(new CaseboundError('object_corrupt', 'The hash differs.'), message, circumstances),
    ).toMatchObject({ kind: 'bury', code: 'object_corrupt', reason: 'The hash differs.' });
    expect(judgeFailure(new AlreadyDone('x'), message, circumstances)).toEqual({
      kind: 'acknowledge',
      because: 'already_done',
    });
    expect(judgeFailure(new CaseboundError('lease_lost', 'x'), message, circumstances)).toEqual({ kind: 'abandon' });
  });
  test('an open circuit gives back without counting, not before it may close; so does a shutdown', () => {
    const open = new CaseboundError('circuit_open', 'x', { retryAfterSeconds: 30 });
    expect(judgeFailure(open, { ...message, receiveCount: 5 }, circumstances)).toMatchObject({
      kind: 'release',
      counted: false,
      delayMs: 45_000,
    });
    expect(judgeFailure(new CaseboundError('shutting_down', 'x'), message, circumstances)).toEqual({
      kind: 'release',
      delayMs: 0,
      counted: false,
    });
  });
});

describe('timeouts and concurrency', () => {
  test('900 + 60 + 30 = 990', () => {
    expect(visibilityTimeoutMs({ handlerTimeoutMs: 900_000, batchWindowMs: 60_000 })).toBe(990_000);
    expect(
      queueSettingsOf('q', { handlerTimeoutSeconds: 900, batchWindowSeconds: 60, maxReceiveCount: 5 })
        .visibilityTimeoutMs,
    ).toBe(990_000);
  });
  test('a queue whose messages could outlive their lease is refused with the numbers', () => {
    const queue = { name: 'q', visibilityTimeoutMs: 989_999, maxReceiveCount: 5 };
    expect(() => checkVisibility(queue, { name: 'w', handlerTimeoutMs: 900_000, batchWindowMs: 60_000 })).toThrow(
      /989999.*900000.*60000.*990000/,
    );
  });
  test.each([
    [{ maximum: 5, reserved: 4, workerTotal: 10 }, /5.*4/],
    [{ maximum: 5, reserved: 11, workerTotal: 10 }, /11.*10/],
    [{ maximum: 0, reserved: 5, workerTotal: 10 }, /0/],
  ])('%j is refused with the numbers', ({ maximum, reserved, workerTotal }, numbers) => {
    const check = () =>
      checkConcurrency({ workerTotal, handlers: [{ handler: 'h', reserved, queues: [{ name: 'q', maximum }] }] });
    expect(check).toThrow(
      expect.objectContaining({ code: 'queue_settings_invalid', message: expect.stringMatching(numbers) }),
    );
  });
  test('equal is allowed', () => {
    const plan = { workerTotal: 5, handlers: [{ handler: 'h', reserved: 5, queues: [{ name: 'q', maximum: 5 }] }] };
    expect(() => checkConcurrency(plan)).not.toThrow();
  });
});

describe('circuit breaker', () => {
  const down = async (): Promise<never> => Promise.reject(new CaseboundError('object_store_unavailable', 'Down.'));
  const set = () => {
    const clock = createFakeClock();
    const changes: BreakerChange[] = [];
    const breaker = createCircuitBreaker({ name: 'engine', clock, onChange: (change) => changes.push(change) });
    const fail = async (times: number): Promise<void> => {
      for (let n = 0; n < times; n += 1)
        await expect(breaker.run(down)).rejects.toMatchObject({ code: 'object_store_unavailable' });
    };
    return { clock, changes, breaker, fail };
  };
  test('opens after 5 failures in a row, and rejects at once without calling', async () => {
    const { breaker, fail, changes } = set();
    await fail(4);
    await breaker.run(async () => 'ok');
    await fail(4);
    expect(breaker.state).toBe('closed');
    await fail(1);
    expect(breaker.state).toBe('open');
    expect(breaker.capacity).toBe(0);
    let called = false;
    await expect(
      breaker.run(async () => {
        called = true;
      }),
    ).rejects.toMatchObject({ code: 'circuit_open', retryAfterSeconds: 30 });
    expect(called).toBe(false);
    expect(changes).toEqual([{ breaker: 'engine', from: 'closed', to: 'open', consecutiveFailures: 5 }]);
  });
  test('after 30 s lets exactly one trial through; its success closes, its failure opens anew', async () => {
    const { breaker, fail, clock, changes } = set();
    await fail(5);
    await clock.advance(29_999);
    expect(breaker.state).toBe('open');
    expect(breaker.retryInMs).toBe(1);
    await clock.advance(1);
    expect(breaker.state).toBe('half_open');
    expect(breaker.capacity).toBe(1);
    const gate = Promise.withResolvers<string>();
    const trial = breaker.run(async () => gate.promise);
    expect(breaker.capacity).toBe(0);
    await expect(breaker.run(async () => 'second')).rejects.toMatchObject({ code: 'circuit_open' });
    gate.reject(new CaseboundError('object_store_unavailable', 'Still down.'));
    await expect(trial).rejects.toMatchObject({ code: 'object_store_unavailable' });
    expect(breaker.state).toBe('open');
    await clock.advance(30_000);
    await breaker.run(async () => 'up');
    expect(breaker.state).toBe('closed');
    expect(changes.map(({ to }) => to)).toEqual(['open', 'half_open', 'open', 'half_open', 'closed']);
  });
  test('a permanent answer shows that the engine is up', async () => {
    const { breaker, fail } = set();
    await fail(4);
    await expect(
      breaker.run(async () => Promise.reject(new CaseboundError('object_not_found', 'None.'))),
    ).rejects.toThrow();
    await fail(4);
    expect(breaker.state).toBe('closed');
  });
  test('a call that began before the breaker opened does not close it', async () => {
    const { breaker, fail, clock } = set();
    const gate = Promise.withResolvers<string>();
    const old = breaker.run(async () => gate.promise);
    await fail(5);
    await clock.advance(30_000);
    expect(breaker.state).toBe('half_open');
    gate.resolve('late');
    await old;
    expect(breaker.state).toBe('half_open');
  });
});

describe('filter policies', () => {
  test.each([
    [{ a: [{ wildcard: 'x*' }] }, 'wildcard'],
    [{ a: [{ 'anything-but': { suffix: 'x' } }] }, 'a'],
    [{ a: [] }, 'a'],
    [{ a: 'x' }, 'a'],
    [{ a: [{ numeric: ['~', 3] }] }, 'a'],
    [{ a: [null] }, 'a'],
    [Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`k${n}`, ['x']])), '5 keys'],
    [{ a: Array.from({ length: 151 }, (_, n) => `v${n}`) }, '150'],
    [null, 'top'],
  ])('%j is refused', (policy, place) => {
    expect(() => parseFilterPolicy(policy)).toThrow(
      expect.objectContaining({ code: 'filter_policy_invalid', message: expect.stringContaining(place) }),
    );
  });
  test('text and numbers are not the same', () => {
    expect(matchesPolicy({ a: [1] }, { a: '1' })).toBe(false);
    expect(matchesPolicy({ a: ['1'] }, { a: 1 })).toBe(false);
  });
  test('names of Object.prototype are no attributes', () => {
    expect(matchesPolicy({ constructor: [{ exists: true }] }, {})).toBe(false);
  });
});

describe('fair shares', () => {
  const lane = (key: number, queue = 'q') => ({ queue, queueId: queue.length, key, floor: '' });
  test('with two keys each gets half; a lane that is done leaves its share to the others', () => {
    const book = new LaneBook();
    book.replace([lane(1), lane(2)]);
    const plan = book.plan(100, new Map([['q', 1000]]));
    expect(plan.map(({ share }) => share)).toEqual([50, 50]);
    book.forget(lane(2));
    expect(book.plan(100, new Map([['q', 1000]])).map(({ share }) => share)).toEqual([100]);
  });
  test('one key with ten queues gets no more than one with one', () => {
    const book = new LaneBook();
    const queues = Array.from({ length: 10 }, (_, n) => 'q'.repeat(n + 1));
    book.replace([...queues.map((queue) => lane(1, queue)), lane(2, 'other')]);
    const plan = book.plan(100, new Map([...queues, 'other'].map((queue) => [queue, 1000])));
    const of = (key: number) =>
      plan.filter((planned) => planned.lane.key === key).reduce((sum, { share }) => sum + share, 0);
    expect([of(1), of(2)]).toEqual([50, 50]);
  });
  test('any plan stays within the total and the room of each queue, and keys take turns', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.constantFrom('a', 'bb', 'ccc')), {
          minLength: 1,
          maxLength: 40,
          selector: ([key, queue]) => `${key}${queue}`,
        }),
        fc.integer({ min: 1, max: 50 }),
        fc.record({ a: fc.nat(20), bb: fc.nat(20), ccc: fc.nat(20) }),
        (lanes, total, room) => {
          const book = new LaneBook();
          book.replace(lanes.map(([key, queue]) => lane(key, queue)));
          const free = new Map(Object.entries(room));
          const servable = new Set(lanes.filter(([, queue]) => (free.get(queue) ?? 0) > 0).map(([key]) => key));
          const served = new Set<number>();
          for (let round = 0; round < 21; round += 1) {
            const plan = book.plan(total, free);
            const sum = plan.reduce((all, { share }) => all + share, 0);
            expect(sum).toBeLessThanOrEqual(total);
            for (const [queue, most] of free) {
              expect(
                plan.filter(({ lane: { queue: at } }) => at === queue).reduce((all, { share }) => all + share, 0),
              ).toBeLessThanOrEqual(most);
            }
            for (const planned of plan) served.add(planned.lane.key);
          }
          // Even with room for one message a round, 21 rounds reach every one of up to 21 keys.
          expect(served).toEqual(servable);
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('retryOnConflict repeats deadlocks, serialization failures and lock timeouts, and nothing else', async () => {
  for (const code of ['40001', '40P01', '55P03']) {
    let runs = 0;
    const slept: number[] = [];
    const result = await retryOnConflict(
      async () => {
        runs += 1;
        if (runs < 3) throw Object.assign(new Error('conflict'), { code });
        return 'done';
      },
      { random: () => 0.5, sleep: async (ms) => void slept.push(ms) },
    );
    expect([result, runs, slept]).toEqual(['done', 3, [10, 20]]);
  }
  const other = retryOnConflict(async () => Promise.reject(Object.assign(new Error('x'), { code: '23505' })), {
    random: Math.random,
    sleep: async () => {},
  });
  await expect(other).rejects.toMatchObject({ code: '23505' });
  expect(hasCode(new CaseboundError('lease_lost', 'x'), 'lease_lost')).toBe(true);
});
