/**
 * The watchdog: samples documents all the time and a share of commits, compares edges and referential ids with the columns.
 *
 * - On damage: repair and raise an incident, or mark the store unhealthy, as configured; never neither.
 * - A round also looks for edges of documents that are gone, which no sample of documents can show.
 * - It can be switched off only where the composition says the store is embedded.
 */
import { CaseboundError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import type { Incident, StoreContext } from '../store-context.ts';
import { applyDeferredBumps } from '../identity/deferred-bumps.ts';
import { auditDocuments, sampleDocuments } from './audit-store.ts';
import { sampleOrphanEdges } from './orphans.ts';
import type { Damage } from './audit-documents.ts';

export interface WatchdogOptions {
  /** Milliseconds between samples. */
  readonly intervalMs: number;
  /** Documents a sample. */
  readonly sampleSize: number;
  /** Share of commits that are checked, 0.001 to 0.01. */
  readonly commitShare: number;
  readonly onDamage: 'repair' | 'mark-unhealthy';
  readonly onIncident: (incident: Incident) => void;
  /** A failure of the watchdog itself, such as a database that is gone; it goes on at the next interval. */
  readonly onFailure: (error: unknown) => void;
}

export const defaultWatchdog: Pick<WatchdogOptions, 'intervalMs' | 'sampleSize' | 'commitShare' | 'onDamage'> = {
  intervalMs: 5_000,
  sampleSize: 50,
  commitShare: 0.005,
  onDamage: 'repair',
};

export interface Watchdog {
  /** Hand this to `openStore` as `afterCommit`. */
  readonly afterCommit: (resource: Resource, documentIds: readonly number[]) => void;
  /** Begins sampling. */
  start(ctx: StoreContext): void;
  /** Checks one sample now and what commits are waiting; returns what was found. */
  tick(): Promise<readonly Damage[]>;
  /** False after damage under `mark-unhealthy`. */
  isHealthy(): boolean;
  stop(): Promise<void>;
}

/** Commits waiting for their check; beyond it new ones are not sampled, so the queue cannot grow. */
const maxQueued = 1_000;

export const createWatchdog = (options: WatchdogOptions): Watchdog => {
  let ctx: StoreContext | null = null;
  let healthy = true;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<unknown> = Promise.resolve();
  let queue: { documentId: number; resource: Resource }[] = [];

  const report = (damages: readonly Damage[]): void => {
    for (const damage of damages) {
      const repaired = options.onDamage === 'repair' && damage.repairable;
      if (!repaired) healthy = false;
      options.onIncident({ kind: damage.kind, resource: damage.resource, documentId: damage.documentId, repaired });
    }
  };

  const tick = async (): Promise<readonly Damage[]> => {
    if (ctx === null) return [];
    const commits = queue;
    queue = [];
    await applyDeferredBumps(ctx);
    const sample = await sampleDocuments(ctx, options.sampleSize);
    ctx.metrics.count('records_watchdog_checked', { origin: 'sample' }, sample.length);
    ctx.metrics.count('records_watchdog_checked', { origin: 'commit' }, commits.length);
    const repair = options.onDamage === 'repair';
    const damages = [
      ...(await auditDocuments(ctx, [...commits, ...sample], repair)),
      ...(await sampleOrphanEdges(ctx, options.sampleSize, repair)),
    ];
    report(damages);
    return damages;
  };

  const fail = (error: unknown): void => {
    ctx?.metrics.count('records_watchdog_failures', {});
    options.onFailure(error);
  };

  const schedule = (): void => {
    timer = setTimeout(() => {
      running = tick()
        .catch(fail)
        .then(() => {
          if (timer !== null) schedule();
        });
    }, options.intervalMs);
    timer.unref();
  };

  return {
    afterCommit: (resource, documentIds) => {
      if (queue.length >= maxQueued) return;
      for (const documentId of documentIds) {
        if (Math.random() < options.commitShare) queue.push({ documentId, resource });
      }
    },
    start: (context) => {
      ctx = context;
      schedule();
    },
    tick,
    isHealthy: () => healthy,
    stop: async () => {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      await running;
    },
  };
};

/** Throws `store_unhealthy` after damage that was not repaired. */
export const requireHealthy = (watchdog: Watchdog): void => {
  if (!watchdog.isHealthy())
    throw new CaseboundError('store_unhealthy', 'The watchdog found damage that was not repaired.', {
      retryAfterSeconds: 60,
    });
};
