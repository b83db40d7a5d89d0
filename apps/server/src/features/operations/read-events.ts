/** Published events from a number on, waiting for them for a while when there are none. */
import type { EventLog, LoggedEvent } from '@casebound/messaging';
import type { OperationsDependencies } from './dependencies.ts';

type Filter = Omit<Parameters<EventLog['read']>[0], 'after'>;

const lookEveryMs = 250;

export async function readEvents(
  { eventLog, clock }: Pick<OperationsDependencies, 'eventLog' | 'clock'>,
  filter: Filter,
  after: number | undefined,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<{ readonly events: readonly LoggedEvent[]; readonly next: number }> {
  const from = after ?? (await eventLog.end());
  const deadline = clock.monotonicMs() + waitSeconds * 1000;
  for (;;) {
    const events = await eventLog.read({ ...filter, after: from });
    const leftMs = deadline - clock.monotonicMs();
    if (events.length > 0 || leftMs <= 0 || signal.aborted) return { events, next: events.at(-1)?.sequence ?? from };
    await clock.sleep(Math.min(lookEveryMs, leftMs), signal).catch(() => undefined);
  }
}
