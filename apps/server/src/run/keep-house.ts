/** What a long-lived process does for its stores besides its work: removes what dead processes left behind. */
import type { System } from '../compose.ts';

const FIRST_SWEEP_MS = 3_600_000;
const SWEEP_EVERY_MS = 86_400_000;

/**
 * Sweeps the object store an hour after the start and daily from then on, until the signal aborts; resolves then. A sweep that
 * is under way at that moment is not waited for, for a store can be large: the next one does what it leaves.
 */
export const keepHouse = async ({ clock, log, objects }: System, signal: AbortSignal): Promise<void> => {
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => undefined);
  signal.addEventListener('abort', () => stopped.reject(signal.reason), { once: true });
  try {
    for (let pause = FIRST_SWEEP_MS; ; pause = SWEEP_EVERY_MS) {
      await clock.sleep(pause, signal);
      try {
        const { temporary, uploads } = await Promise.race([objects.sweep(), stopped.promise]);
        log.info('Swept the object store', { component: 'object-store', count: temporary + uploads });
      } catch (error) {
        if (signal.aborted) throw error;
        log.error('The object store could not be swept', { component: 'object-store' }, error);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
};
