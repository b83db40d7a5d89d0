/**
 * Takes the queues and workers of an exchange down without losing a message.
 *
 * 1. Subscriptions go first: when they are gone nobody publishes into the queues any more.
 * 2. Then the workers' intake is paused, for all processes at once, and what they hold is waited for.
 * 3. Only then are the queues looked at. One that holds a message, or for which one stands in the outbox, is worked on again, and the
 *    take-down is tried again later.
 * 4. Queues are deleted only while they are empty, which the deletion itself checks; one that got a message after the look gets its worker
 *    back.
 */
import type { ExchangeDependencies } from '../dependencies.ts';
import type { ExchangeJob, Resource } from '../job-store.ts';
import { createWorkers } from './create-resources.ts';

type Parts = Pick<ExchangeDependencies, 'messaging' | 'config' | 'control' | 'owner' | 'clock' | 'crashPoint'>;

export type TakenDown =
  | { readonly kind: 'gone' }
  /** Intake is open again; `resources` are what exists now. */
  | { readonly kind: 'busy'; readonly resources: readonly Resource[] };

/** How long what workers hold is waited for before the take-down is put off. */
const drainMs = 20_000;

const of = (job: ExchangeJob, kind: Resource['kind']): readonly Resource[] =>
  job.resources.filter((resource) => resource.kind === kind);

const unsubscribeAll = async ({ messaging }: Parts, job: ExchangeJob): Promise<void> => {
  const { topics, topic } = messaging();
  for (const { name } of of(job, 'subscription')) await topics.unsubscribe(topic, name);
};

/** Workers whose queue is still there. */
const presentWorkers = async ({ messaging }: Parts, job: ExchangeJob): Promise<readonly string[]> => {
  const present = new Set((await messaging().fleet.list()).map(({ name }) => name));
  return of(job, 'worker').flatMap(({ name }) => (present.has(name) ? [name] : []));
};

const drained = async (
  { messaging, clock }: Parts,
  workers: readonly string[],
  signal: AbortSignal,
): Promise<boolean> => {
  const { fleet } = messaging();
  const deadline = clock.monotonicMs() + drainMs;
  for (;;) {
    const held = await Promise.all(workers.map(async (name) => fleet.inFlight(name)));
    if (held.every((count) => count === 0)) return true;
    if (clock.monotonicMs() > deadline) return false;
    await clock.sleep(100, signal);
  }
};

/** Whether an outbox of the destination's database holds a message for one of the queues. */
const underway = async (parts: Parts, job: ExchangeJob, queues: readonly string[]): Promise<boolean> => {
  const place = await parts.control.transaction({ readOnly: true, alongside: true }, async (tx) =>
    tx.query<{ server: string; database_name: string }>(
      'SELECT server, database_name FROM core.case_placement JOIN core.case_database USING (case_database_id) WHERE case_id = $1',
      [job.destinationCaseId],
    ),
  );
  const [found] = place.rows;
  if (found === undefined) return false;
  const { rows } = await parts
    .owner(found.server, found.database_name)
    .transaction({ readOnly: true, alongside: true }, async (tx) =>
      tx.query<{ waits: boolean }>(
        `SELECT EXISTS (SELECT FROM messaging.outbox WHERE kind = 'message' AND destination = ANY ($1)) AS waits`,
        [queues],
      ),
    );
  return rows[0]?.waits === true;
};

const isEmpty = async (parts: Parts, job: ExchangeJob, queues: readonly string[]): Promise<boolean> => {
  if (await underway(parts, job, queues)) return false;
  const depths = await parts.messaging().queues.depth(queues);
  return [...depths.values()].every(({ visible, inFlight, delayed }) => visible + inFlight + delayed === 0);
};

/** Takes down what is empty; puts everything to work again where something is not. */
export const takeDown = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<TakenDown> => {
  const { fleet, queues } = parts.messaging();
  await unsubscribeAll(parts, job);
  parts.crashPoint('exchange.take-down.unsubscribed');
  const workers = await presentWorkers(parts, job);
  const names = of(job, 'queue').map(({ name }) => name);
  for (const name of workers) await fleet.pause(name);
  parts.crashPoint('exchange.take-down.paused');
  const quiet = (await drained(parts, workers, signal)) && (await isEmpty(parts, job, names));
  if (!quiet) {
    for (const name of workers) await fleet.resume(name);
    return { kind: 'busy', resources: job.resources.filter(({ kind }) => kind !== 'subscription') };
  }
  for (const name of workers) await fleet.delete(name);
  parts.crashPoint('exchange.take-down.workers-deleted');
  const left: string[] = [];
  for (const name of names) {
    if ((await queues.delete(name, { onlyIfEmpty: true })) === 'not_empty') left.push(name);
    parts.crashPoint('exchange.take-down.queue-deleted');
  }
  if (left.length === 0) return { kind: 'gone' };
  const rest = { ...job, resources: of(job, 'queue').filter(({ name }) => left.includes(name)) };
  const resources = await createWorkers(parts, rest);
  for (const { name } of resources.filter(({ kind }) => kind === 'worker')) await fleet.resume(name);
  return { kind: 'busy', resources };
};

/** Takes everything down with whatever is in it, after what workers hold has ended. False: they hold something still. */
export const tearDown = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<boolean> => {
  const { fleet, queues } = parts.messaging();
  await unsubscribeAll(parts, job);
  const workers = await presentWorkers(parts, job);
  for (const name of workers) await fleet.pause(name);
  if (!(await drained(parts, workers, signal))) return false;
  for (const name of workers) await fleet.delete(name);
  for (const { name } of of(job, 'queue')) await queues.delete(name);
  return true;
};
