/**
 * The fleet in process. Workers stand in a table; every process that runs workers follows it. A pause is a mark on the queue
 * that the receiving statement itself heeds, so it holds for all processes at once.
 */
import { CaseboundError } from '@casebound/contract';
import type { Consumer } from '../consumer/consumer.ts';
import { defaultRetry } from '../consumer/worker-definition.ts';
import type { Clock, Log, Queues, Sql } from '../ports.ts';
import { integer, text } from '../postgres/rows.ts';
import type { Row } from '../postgres/rows.ts';
import { checkConcurrency, checkVisibility } from '../visibility.ts';
import type { FleetWorker, HandlerCatalogue, WorkerFleet } from './Port.ts';

const columns = 'name, queue_name, handler, concurrency, batch_size, batch_window_ms';

const workerOf = (row: Row): FleetWorker => ({
  name: text(row, 'name'),
  queue: text(row, 'queue_name'),
  handler: text(row, 'handler'),
  concurrency: integer(row, 'concurrency'),
  batchSize: integer(row, 'batch_size'),
  batchWindowMs: integer(row, 'batch_window_ms'),
});

/** @throws CaseboundError `queue_settings_invalid` */
export const checkWorkerName = (name: string): void => {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
    throw new CaseboundError(
      'queue_settings_invalid',
      `The worker name ${JSON.stringify(name.slice(0, 80))} is not 1 to 64 letters, digits, hyphens and underscores.`,
    );
  }
};

export const createPostgresFleet = (parts: {
  readonly sql: Sql;
  readonly queues: Pick<Queues, 'find' | 'depth'>;
  readonly handlers: HandlerCatalogue;
  /** Batches that one process may run at once, of all kinds. */
  readonly workerTotal: number;
}): WorkerFleet => {
  const { sql, queues, handlers, workerTotal } = parts;

  const find = async (name: string): Promise<FleetWorker | undefined> => {
    const { rows } = await sql.query(`SELECT ${columns} FROM messaging.worker WHERE name = $1`, [name]);
    return rows.map(workerOf)[0];
  };

  const setPaused = async (name: string, paused: boolean): Promise<void> => {
    const { rows } = await sql.query(
      `UPDATE messaging.queue q SET paused = $2 FROM messaging.worker w WHERE w.name = $1 AND q.name = w.queue_name RETURNING q.queue_id`,
      [name, paused],
    );
    if (rows.length === 0)
      throw new CaseboundError('queue_not_found', `There is no worker ${name}, or its queue is gone.`);
  };

  return {
    async create(worker) {
      checkWorkerName(worker.name);
      const handler = Object.hasOwn(handlers, worker.handler) ? handlers[worker.handler] : undefined;
      if (handler === undefined)
        throw new CaseboundError(
          'queue_settings_invalid',
          `Worker ${worker.name}: there is no handler ${worker.handler}.`,
        );
      const queue = await queues.find(worker.queue);
      if (queue === undefined)
        throw new CaseboundError('queue_not_found', `Worker ${worker.name}: there is no queue ${worker.queue}.`);
      checkVisibility(queue, {
        name: worker.name,
        handlerTimeoutMs: handler.handlerTimeoutMs,
        batchWindowMs: worker.batchWindowMs,
      });
      checkConcurrency({
        workerTotal,
        handlers: [
          {
            handler: worker.handler,
            reserved: handler.reserved,
            queues: [{ name: worker.queue, maximum: worker.concurrency }],
          },
        ],
      });
      await sql.query(
        `INSERT INTO messaging.worker (${columns}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING`,
        [worker.name, worker.queue, worker.handler, worker.concurrency, worker.batchSize, worker.batchWindowMs],
      );
      const found = await find(worker.name);
      if (found !== undefined && JSON.stringify(found) !== JSON.stringify(workerOf(rowOf(worker)))) {
        throw new CaseboundError('queue_settings_invalid', `The worker ${worker.name} exists with other settings.`);
      }
      return `in-process:${worker.name}`;
    },
    pause: async (name) => setPaused(name, true),
    resume: async (name) => setPaused(name, false),
    async inFlight(name) {
      const worker = await find(name);
      if (worker === undefined) return 0;
      return (await queues.depth([worker.queue])).get(worker.queue)?.inFlight ?? 0;
    },
    async list() {
      const { rows } = await sql.query(`SELECT ${columns} FROM messaging.worker ORDER BY name`);
      return rows.map(workerOf);
    },
    async delete(name) {
      await sql.query('DELETE FROM messaging.worker WHERE name = $1', [name]);
    },
  };
};

const rowOf = (worker: FleetWorker): Row => ({
  name: worker.name,
  queue_name: worker.queue,
  handler: worker.handler,
  concurrency: worker.concurrency,
  batch_size: worker.batchSize,
  batch_window_ms: worker.batchWindowMs,
});

/**
 * Has this process work for the fleet: its consumer follows the table of workers. Handlers that this process does not know are
 * left to others.
 */
export const followFleet = async (parts: {
  readonly sql: Sql;
  readonly consumer: Consumer;
  readonly handlers: HandlerCatalogue;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Default 1,000. */
  readonly pollMs?: number;
}): Promise<void> => {
  const { sql, consumer, handlers, clock, log, signal, pollMs = 1000 } = parts;
  const mine = new Set<string>();
  while (!signal.aborted) {
    try {
      const { rows } = await sql.query(`SELECT ${columns} FROM messaging.worker`);
      const wanted = new Map(rows.map(workerOf).map((worker) => [worker.name, worker]));
      for (const [name, worker] of wanted) {
        const handler = Object.hasOwn(handlers, worker.handler) ? handlers[worker.handler] : undefined;
        if (mine.has(name) || handler === undefined) continue;
        mine.add(name);
        consumer.add({ ...worker, retry: defaultRetry, ...handler });
      }
      for (const name of mine) {
        if (wanted.has(name)) continue;
        await consumer.remove(name);
        mine.delete(name);
      }
    } catch (error) {
      log.error('The table of workers could not be read; trying again.', { component: 'fleet' }, error);
    }
    await clock.sleep(pollMs, signal).catch(() => undefined);
  }
};
