/** What a long-lived process does for its stores besides its work: removes what dead processes left behind. */
import type { System } from '../compose.ts';

const FIRST_SWEEP_MS = 3_600_000;
const SWEEP_EVERY_MS = 86_400_000;

/** Sweeps the object store an hour after the start and daily from then on, until the signal aborts; resolves then. */
export const keepHouse = async ({ clock, log, objects }: System, signal: AbortSignal): Promise<void> => {
  try {
    for (let pause = FIRST_SWEEP_MS; ; pause = SWEEP_EVERY_MS) {
      await clock.sleep(pause, signal);
      try {
        const { temporary, uploads } = await objects.sweep();
        log.info('Swept the object store', { component: 'object-store', count: temporary + uploads });
      } catch (error) {
        log.error('The object store could not be swept', { component: 'object-store' }, error);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
};
