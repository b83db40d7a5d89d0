import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { mapAhead } from './map-ahead.ts';

async function* upTo(count: number): AsyncGenerator<number> {
  for (let at = 0; at < count; at += 1) yield await Promise.resolve(at);
}

describe('mapping ahead', () => {
  it('gives results in order, with as many under way as asked for', async () => {
    let [running, most] = [0, 0];
    const results: number[] = [];
    for await (const result of mapAhead(upTo(9), 2, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await sleep((item * 7) % 5);
      running -= 1;
      return item * 2;
    }))
      results.push(result);
    expect(results).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16]);
    expect(most).toBe(3);
  });

  it('throws in turn, and leaves nothing running when it is left', async () => {
    const seen: number[] = [];
    let ended = 0;
    const all = async (): Promise<void> => {
      for await (const result of mapAhead(upTo(9), 2, async (item) => {
        await sleep(1);
        ended += 1;
        if (item === 3) throw new Error('three');
        return item;
      }))
        seen.push(result);
    };
    await expect(all()).rejects.toThrow('three');
    expect(seen).toEqual([0, 1, 2]);
    const before = ended;
    await sleep(10);
    expect(ended).toBe(before);
  });
});
