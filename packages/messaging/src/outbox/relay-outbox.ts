/**
 * Carries what stands in an outbox to its queues and topics.
 *
 * 1. One relay at a time per outbox: a transaction-scoped advisory lock, so a relay that dies lets go.
 * 2. In the order in which it was written, for what one destination gets from one transaction.
 * 3. An entry is deleted in the transaction that saw it delivered. A crash in between delivers it again: at least once. Where
 *    outbox and queues share a database, delivery is part of that transaction: exactly once.
 * 4. An entry that can never be delivered (queue gone, event invalid) does not hold up the others: it becomes a dead letter.
 */
import { parseEvent } from '@casebound/contract';
import type { ClaimChecks } from '../claim-check.ts';
import { classifyFailure } from '../classify-failure.ts';
import type { MessagingCrashPoint } from '../crash-points.ts';
import type { Clock, Log, OutgoingEvent, OutgoingMessage, Queues, Sql, SqlDatabase, Topics } from '../ports.ts';
import { integer, text } from '../postgres/rows.ts';
import type { Row } from '../postgres/rows.ts';
import { fullJitter } from '../full-jitter.ts';
import type { Random } from '../full-jitter.ts';
import type { AppendSignal } from './append-signal.ts';
import { outgoingEventOf } from './outgoing-event.ts';

export interface RelayOptions {
  /** The database whose outbox is relayed. */
  readonly database: SqlDatabase;
  readonly queues: Pick<Queues, 'send'>;
  readonly topics: Pick<Topics, 'publish'>;
  /** Given when outbox and queues are in the same database: delivers within the relay's transaction. */
  readonly inTransaction?: {
    readonly send: (tx: Sql, queue: string, messages: readonly OutgoingMessage[]) => Promise<unknown>;
    readonly publish: (tx: Sql, topic: string, events: readonly OutgoingEvent[]) => Promise<void>;
  };
  readonly claimChecks: Pick<ClaimChecks, 'check' | 'checkEvent'>;
  /** Where entries go that can never be delivered. */
  readonly bury: (entry: Undeliverable) => Promise<void>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
  readonly random: Random;
  readonly crashPoint: MessagingCrashPoint;
  /** Default 500. */
  readonly batchSize?: number;
  /** How long an idle relay waits between looks. Default 200. */
  readonly pollMs?: number;
  /** What this process writes into outboxes is looked for sooner. */
  readonly appended?: Pick<AppendSignal, 'listen'>;
  /** Called after the commit of what was delivered within the relay's transaction. */
  readonly onCommitted?: () => void;
}

export interface Undeliverable {
  readonly destination: string;
  readonly outboxId: string;
  readonly fairnessKey: number;
  readonly body: string;
  readonly code: string;
  readonly reason: string;
}

interface Entry {
  readonly outboxId: string;
  readonly kind: string;
  readonly destination: string;
  readonly fairnessKey: number;
  readonly delayMs: number;
  readonly body: string;
}

const readEntry = (row: Row): Entry => ({
  outboxId: text(row, 'outbox_id'),
  kind: text(row, 'kind'),
  destination: text(row, 'destination'),
  fairnessKey: integer(row, 'fairness_key'),
  delayMs: integer(row, 'delay_ms'),
  body: text(row, 'body'),
});

/** Neighbours of the same kind and destination go out together. */
const runsOf = (entries: readonly Entry[]): readonly (readonly [Entry, ...Entry[]])[] => {
  const runs: [Entry, ...Entry[]][] = [];
  for (const entry of entries) {
    const run = runs.at(-1);
    if (run !== undefined && run[0].kind === entry.kind && run[0].destination === entry.destination) run.push(entry);
    else runs.push([entry]);
  }
  return runs;
};

export interface Relay {
  /** Relays one batch; how many entries left the outbox. 0 also when another relay is at work. */
  relayOnce(): Promise<number>;
  /** Relays until the signal aborts; then resolves. */
  run(signal: AbortSignal): Promise<void>;
}

/** First pause after something was written by this process. */
const soonMs = 15;

export const createRelay = (options: RelayOptions): Relay => {
  const {
    database,
    queues,
    topics,
    inTransaction,
    claimChecks,
    crashPoint,
    clock,
    log,
    random,
    batchSize = 500,
    pollMs = 200,
  } = options;

  const deliver = async (tx: Sql, run: readonly [Entry, ...Entry[]]): Promise<void> => {
    const { kind, destination } = run[0];
    if (kind === 'event') {
      const events = await Promise.all(
        run.map(async ({ body, delayMs }) =>
          claimChecks.checkEvent(outgoingEventOf(parseEvent(JSON.parse(body)), delayMs)),
        ),
      );
      await (inTransaction === undefined
        ? topics.publish(destination, events)
        : inTransaction.publish(tx, destination, events));
      return;
    }
    const messages = await Promise.all(
      run.map(async ({ body, fairnessKey, delayMs }) => claimChecks.check({ body, fairnessKey, delayMs })),
    );
    await (inTransaction === undefined
      ? queues.send(destination, messages)
      : inTransaction.send(tx, destination, messages));
  };

  /** Alone, so that what cannot be delivered is told from what can. A savepoint keeps the transaction usable after a refusal. */
  const deliverOrBury = async (tx: Sql, run: readonly [Entry, ...Entry[]]): Promise<void> => {
    await tx.query('SAVEPOINT relay_run');
    try {
      await deliver(tx, run);
      await tx.query('RELEASE SAVEPOINT relay_run');
    } catch (error) {
      const failure = classifyFailure(error);
      if (failure.family !== 'permanent') throw error;
      await tx.query('ROLLBACK TO SAVEPOINT relay_run');
      const [first, ...rest] = run;
      if (rest.length > 0) {
        for (const entry of run) await deliverOrBury(tx, [entry]);
        return;
      }
      const { destination, outboxId, fairnessKey, body } = first;
      await options.bury({ destination, outboxId, fairnessKey, body, code: failure.code, reason: failure.reason });
      log.warn('An entry of the outbox could not be delivered and was dead-lettered.', {
        queue: destination,
        errorCode: failure.code,
      });
    }
  };

  const relayWaiting = async (): Promise<number> =>
    database.transaction(async (tx) => {
      const { rows: locked } = await tx.query('SELECT pg_try_advisory_xact_lock(1128350533, 1) AS mine');
      if (locked[0]?.['mine'] !== true) return 0;
      const { rows } = await tx.query(
        'SELECT outbox_id::text, kind, destination, fairness_key, delay_ms, body FROM messaging.outbox ORDER BY messaging.outbox.outbox_id LIMIT $1',
        [batchSize],
      );
      if (rows.length === 0) return 0;
      const entries = rows.map(readEntry);
      await crashPoint('relay.before-deliver');
      for (const run of runsOf(entries)) await deliverOrBury(tx, run);
      await crashPoint('relay.after-deliver');
      await tx.query('DELETE FROM messaging.outbox WHERE outbox_id = ANY ($1::bigint[])', [
        entries.map(({ outboxId }) => outboxId),
      ]);
      return entries.length;
    });

  const relayOnce = async (): Promise<number> => {
    // Nearly always there is nothing: one round trip says so.
    const { rows } = await database.query('SELECT EXISTS (SELECT FROM messaging.outbox) AS waits', []);
    if (rows[0]?.['waits'] !== true) return 0;
    const relayed = await relayWaiting();
    if (relayed > 0) options.onCommitted?.();
    return relayed;
  };

  return {
    relayOnce,
    async run(signal) {
      let failures = 0;
      let pauseMs = pollMs;
      let turn = new AbortController();
      const ignore = options.appended?.listen(() => {
        // One that looks soon anyway goes on as it is, however much is written.
        if (pauseMs < pollMs) return;
        pauseMs = soonMs;
        turn.abort();
      });
      const pause = async (): Promise<void> => {
        turn = new AbortController();
        const ms = pauseMs;
        pauseMs = Math.min(pollMs, pauseMs * 2);
        await clock.sleep(ms, AbortSignal.any([signal, turn.signal])).catch(() => undefined);
      };
      signal.addEventListener('abort', () => ignore?.(), { once: true });
      while (!signal.aborted) {
        try {
          const relayed = await relayOnce();
          failures = 0;
          if (relayed === 0) await pause();
        } catch (error) {
          if (signal.aborted) return;
          failures += 1;
          log.error('The outbox could not be relayed; trying again.', { component: 'relay', attempt: failures }, error);
          const waitMs = fullJitter({ baseMs: pollMs, maxMs: 10_000 }, failures, random);
          await clock.sleep(Math.max(waitMs, 50), signal).catch(() => undefined);
        }
      }
    },
  };
};
