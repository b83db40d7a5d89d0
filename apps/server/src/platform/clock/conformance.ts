/** What every clock does. `pass` lets the given time pass: a fake clock is turned, a real one waited for. */
import { expect, it } from 'vitest';
import type { Clock } from './Port.ts';

export function testClock(create: () => { readonly clock: Clock; readonly pass: (ms: number) => Promise<void> }): void {
  it('goes forward by the time that passes', async () => {
    const { clock, pass } = create();
    const [wall, monotonic] = [clock.now().getTime(), clock.monotonicMs()];
    await pass(30);
    expect(clock.monotonicMs() - monotonic).toBeGreaterThanOrEqual(29);
    expect(clock.now().getTime() - wall).toBeGreaterThanOrEqual(28);
  });

  it('wakes a sleeper when its time has come, not before', async () => {
    const { clock, pass } = create();
    let awake = false;
    const sleeping = clock.sleep(200).then(() => {
      awake = true;
    });
    await pass(20);
    expect(awake).toBe(false);
    await pass(250);
    await sleeping;
    expect(awake).toBe(true);
  });

  it('ends a sleep with the reason of the signal', async () => {
    const { clock } = create();
    const controller = new AbortController();
    const reason = new Error('enough');
    const sleeping = clock.sleep(60_000, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(clock.sleep(1, controller.signal)).rejects.toBe(reason);
  });
}
