import { setTimeout as wait } from 'node:timers/promises';
import { createFakeClock } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { testClock } from './conformance.ts';
import { createClock } from './create-clock.ts';

describe('the system clock', () => {
  testClock(() => ({ clock: createClock(), pass: async (ms) => wait(ms) }));
});

describe('the fake clock of the test kit', () => {
  testClock(() => {
    const clock = createFakeClock();
    return { clock, pass: async (ms) => clock.advance(ms) };
  });

  it('wakes sleepers in the order of their times, and those that fall asleep meanwhile', async () => {
    const clock = createFakeClock(new Date(0));
    const woke: string[] = [];
    const sleeper = async (name: string, ...times: number[]): Promise<void> => {
      for (const ms of times) {
        await clock.sleep(ms);
        woke.push(`${name}@${clock.monotonicMs()}`);
      }
    };
    const all = Promise.all([sleeper('a', 30), sleeper('b', 10, 10, 20), sleeper('c', 20)]);
    await clock.advance(100);
    await all;
    expect(woke).toEqual(['b@10', 'c@20', 'b@20', 'a@30', 'b@40']);
    expect(clock.now()).toEqual(new Date(100));
  });

  it('lets the wall clock be set back without touching durations', () => {
    const clock = createFakeClock();
    const before = clock.monotonicMs();
    clock.setWallClock(new Date('2001-01-01T00:00:00Z'));
    expect(clock.now()).toEqual(new Date('2001-01-01T00:00:00Z'));
    expect(clock.monotonicMs()).toBe(before);
  });
});
