/**
 * Follows an exchange as server-sent events (HTML standard, section 9.2).
 *
 * - Every event holds the whole exchange: who reconnects has missed nothing, so nothing has to be kept for those who went.
 * - The stream ends with the exchange, with the client, or with the server.
 */
import type { Exchange, JobId } from '@casebound/contract';
import type { ExchangeDependencies } from './dependencies.ts';
import { describeExchange } from './describe-exchange.ts';
import { getJob, hasEnded } from './job-store.ts';

const lookMs = 500;
const keepAliveMs = 15_000;

const frame = (event: 'progress' | 'end', number: number, exchange: Exchange): string =>
  `id: ${number}\nevent: ${event}\ndata: ${JSON.stringify(exchange)}\n\n`;

/** What a look would tell; the pace changes with every look and is no news. */
const newsOf = ({ state, cancelRequested, progress, updatedAt }: Exchange): string =>
  JSON.stringify([state, cancelRequested, progress.done, progress.failed, progress.total, updatedAt]);

type Parts = Pick<ExchangeDependencies, 'control' | 'sessions' | 'clock'>;

/** Errors: `exchange_not_found`, before the first event. */
export const watchExchange = async (
  parts: Parts,
  jobId: JobId,
  signal: AbortSignal,
): Promise<AsyncIterable<string>> => {
  const look = async (): Promise<Exchange> =>
    describeExchange(parts, await parts.control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId)));
  const first = await look();
  return follow(parts, first, look, signal);
};

async function* follow(
  { clock }: Parts,
  first: Exchange,
  look: () => Promise<Exchange>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  let shown = '';
  let saidAt = clock.monotonicMs();
  let number = 0;
  for (let found = first; ; found = await look()) {
    const news = newsOf(found);
    const ended = hasEnded(found.state);
    if (news !== shown || ended) {
      number += 1;
      yield frame(ended ? 'end' : 'progress', number, found);
      shown = news;
      saidAt = clock.monotonicMs();
    } else if (clock.monotonicMs() - saidAt > keepAliveMs) {
      yield ': here\n\n';
      saidAt = clock.monotonicMs();
    }
    if (ended || signal.aborted) return;
    try {
      await clock.sleep(lookMs, signal);
    } catch {
      return;
    }
  }
}
