/**
 * One request with its answer, from its headers to the close of the answer.
 *
 * 1. Every request gets exactly one exchange, whether or not a route is found for it.
 * 2. An exchange ends once: when its answer has been sent or its connection is gone, and its work has settled. It counts as
 *    in flight until then, so that work whose client left still counts against the limit and is waited for on shutdown.
 * 3. Its signal aborts when the client goes, time runs out or the server gives up; the reason is a `CaseboundError`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CaseboundError } from '@casebound/contract';
import type { Actor } from '@casebound/contract';
import type { Clock } from '../platform/clock/Port.ts';
import type { Log } from '../platform/log/Port.ts';
import type { HttpMetrics } from './http-metrics.ts';
import { chooseRequestId } from './request-id.ts';

/** Of a request for which no route was found. */
export const UNMATCHED = 'unmatched';
const STATUS_CLIENT_GONE = 499;

export interface Exchange {
  readonly requestId: string;
  /** Aborts with a `CaseboundError`. */
  readonly signal: AbortSignal;
  /** Name of the operation, for logs and metrics. */
  operation: string;
  /** Health checks and the like: logged only when they fail. */
  quiet: boolean;
  actor: Actor;
  /** What is answered, when it is an error. */
  failure: CaseboundError | undefined;
  abort(reason: CaseboundError): void;
  /** The result of the work, or the abort reason as soon as there is one; the work is told by the signal. */
  within<T>(milliseconds: number, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

export interface Exchanges {
  begin(request: IncomingMessage, response: ServerResponse): Exchange;
  of(request: IncomingMessage): Exchange;
  inFlight(): number;
  abortAll(reason: CaseboundError): void;
  /** Resolves when none is in flight. */
  idle(): Promise<void>;
}

interface Dependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: HttpMetrics;
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const fail = (): void => {
      const reason: unknown = signal.reason;
      reject(reason instanceof Error ? reason : new CaseboundError('request_aborted', 'The request was given up.'));
    };
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });

const createExchange = (request: IncomingMessage, onSettled: () => void): Exchange & { working(): boolean } => {
  const controller = new AbortController();
  let working = 0;
  return {
    requestId: chooseRequestId(request.headers['x-request-id']),
    signal: controller.signal,
    operation: UNMATCHED,
    quiet: false,
    actor: { kind: 'anonymous' },
    failure: undefined,
    working: () => working > 0,
    abort: (reason) => controller.abort(reason),
    async within(milliseconds, work) {
      controller.signal.throwIfAborted();
      const timer = setTimeout(() => {
        controller.abort(
          new CaseboundError('operation_timeout', `The operation did not finish within ${milliseconds} ms.`),
        );
      }, milliseconds);
      working += 1;
      const settled = (async () => work(controller.signal))().finally(() => {
        clearTimeout(timer);
        working -= 1;
        onSettled();
      });
      return Promise.race([settled, aborted(controller.signal)]);
    },
  };
};

/** Whether somebody has to look into it, rather than the caller try again or correct the request. */
const isDefect = (failure: CaseboundError): boolean =>
  failure.code === 'internal' || (failure.status >= 500 && failure.family === 'permanent');

export const createExchanges = ({ clock, log, metrics }: Dependencies): Exchanges => {
  const byRequest = new WeakMap<IncomingMessage, Exchange>();
  const active = new Set<Exchange>();
  let waiting: (() => void)[] = [];

  const end = (exchange: Exchange): void => {
    if (!active.delete(exchange)) return;
    metrics.inFlight.add({}, -1);
    if (active.size > 0) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };

  const record = (exchange: Exchange, request: IncomingMessage, response: ServerResponse, startedMs: number): void => {
    const durationMs = clock.monotonicMs() - startedMs;
    const status = response.writableFinished ? response.statusCode : STATUS_CLIENT_GONE;
    const labels = { operation: exchange.operation, method: request.method ?? '', status: String(status) };
    metrics.duration.observe(labels, durationMs / 1000);
    const fields = {
      operation: exchange.operation,
      status,
      durationMs: Math.round(durationMs * 10) / 10,
      requestId: exchange.requestId,
      ...(exchange.actor.kind === 'account' ? { accountId: exchange.actor.accountId } : {}),
      ...(exchange.failure === undefined ? {} : { errorCode: exchange.failure.code }),
    };
    if (exchange.failure !== undefined && isDefect(exchange.failure)) {
      log.error('Request failed', fields, exchange.failure);
    } else if (status >= 500) log.warn('Request could not be served', fields);
    else if (exchange.quiet) log.debug('Request answered', fields);
    else log.info('Request answered', fields);
  };

  return {
    begin(request, response) {
      const startedMs = clock.monotonicMs();
      let closed = false;
      const exchange = createExchange(request, () => {
        if (closed && !exchange.working()) end(exchange);
      });
      byRequest.set(request, exchange);
      active.add(exchange);
      metrics.inFlight.add({}, 1);
      response.once('close', () => {
        closed = true;
        record(exchange, request, response, startedMs);
        exchange.abort(new CaseboundError('request_aborted', 'The client closed the connection.'));
        if (!exchange.working()) end(exchange);
      });
      return exchange;
    },
    of(request) {
      const exchange = byRequest.get(request);
      if (exchange === undefined) throw new CaseboundError('internal', 'A request was served that never began.');
      return exchange;
    },
    inFlight: () => active.size,
    abortAll(reason) {
      for (const exchange of active) exchange.abort(reason);
    },
    idle: async () => (active.size === 0 ? undefined : new Promise((resolve) => void waiting.push(resolve))),
  };
};
