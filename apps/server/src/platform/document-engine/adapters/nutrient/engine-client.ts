/**
 * Calls of the engine: token, breaker, repeats, and answers of the kind that was asked for.
 *
 * 1. A call is repeated only where it is safe to make it twice (`repeat`), at most `maxAttempts` times, with full jitter between the
 *    tries (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015) and never before `Retry-After`.
 * 2. Each try is one call of the breaker. When it is open the caller gets `circuit_open` at once and holds the work back.
 * 3. A refused token is renewed once for all calls that it was refused for, and each of them is made once more.
 * 4. A call is over when its body was read and understood: what breaks off on the way is a failed try, not half a result.
 */
import type { IncomingMessage } from 'node:http';
import { CaseboundError } from '@casebound/contract';
import type { Clock } from '../../../clock/Port.ts';
import {
  type AnswerContext,
  classifyStatus,
  garbage,
  readRetryAfter,
  TokenRefused,
  UnknownOutcome,
} from './classify-answer.ts';
import type { EngineBreaker } from './dependencies.ts';
import type { EngineMetrics } from './engine-metrics.ts';
import { createGate } from './exclusive-work.ts';
import type { RequestBody } from './multipart-body.ts';
import { parseWhole, readBytes } from './read-body.ts';
import { readNdjson } from './read-ndjson.ts';
import { createWire, type WireRequest, type WireSettings } from './send-request.ts';
import { authorization, type SharedToken } from './shared-token.ts';

export type Signal = AbortSignal | undefined;

export interface EngineRequest extends AnswerContext {
  readonly method: WireRequest['method'];
  readonly path: string;
  readonly body?: RequestBody;
  /** False when making it twice is not the same as making it once. Default: true. */
  readonly repeat?: boolean;
  readonly signal?: Signal;
}

/** Largest answers that are read, in bytes. */
export interface AnswerLimits {
  readonly json: number;
  readonly pdf: number;
  readonly image: number;
  readonly line: number;
  readonly records: number;
}

export const defaultAnswerLimits: AnswerLimits = {
  json: 256 * 1024 * 1024,
  pdf: 1_024 * 1024 * 1024,
  image: 256 * 1024 * 1024,
  line: 8 * 1024 * 1024,
  records: 1_000_000,
};

export interface EngineClient {
  readonly limits: AnswerLimits;
  /** The JSON of the answer; of an answer without a body, undefined. */
  json(request: EngineRequest): Promise<unknown>;
  /** The records of an NDJSON answer, each turned into what `take` makes of it. */
  records<T>(request: EngineRequest, take: (record: unknown) => T): Promise<T[]>;
  /** For answers whose body says nothing that is needed. */
  done(request: EngineRequest): Promise<void>;
  /** Waits before the next try of something that failed for the `tries`th time, or throws the error when there is none. */
  beforeNextTry(error: unknown, tries: number, signal: Signal): Promise<void>;
  /** The bytes of an answer and their content type. */
  bytes(
    request: EngineRequest,
    accept: string,
    maxBytes: number,
    check?: (bytes: Buffer) => Buffer,
  ): Promise<{ readonly bytes: Buffer; readonly contentType: string }>;
  close(): void;
}

export interface EngineClientOptions extends WireSettings {
  readonly token: SharedToken;
  readonly breaker: EngineBreaker;
  readonly metrics: EngineMetrics;
  readonly clock: Clock;
  readonly maxAttempts: number;
  readonly random: () => number;
  readonly limits?: Partial<AnswerLimits>;
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;
/** What the engine wants us to wait longer than this for, the caller's queue waits for. */
const longestWaitMs = 15_000;
const errorBodyBytes = 64 * 1024;

/** A caller that left before its call can have told anything about the engine. */
class CallerLeft {
  readonly reason: unknown;
  constructor(reason: unknown) {
    this.reason = reason;
  }
}

const mediaType = (answer: IncomingMessage): string =>
  (answer.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

export const createEngineClient = (options: EngineClientOptions): EngineClient => {
  const { token, breaker, metrics, clock, maxAttempts, random } = options;
  const limits: AnswerLimits = { ...defaultAnswerLimits, ...options.limits };
  const wire = createWire(options);
  const gate = createGate(options.maxConnections);
  let closed = false;

  /** Reads an answer that is no success and throws its error. */
  const refuse = async (request: EngineRequest, answer: IncomingMessage): Promise<never> => {
    const retryAfter = readRetryAfter(answer.headers['retry-after'], clock.now());
    const status = answer.statusCode ?? 0;
    let body: unknown;
    try {
      body = parseWhole((await readBytes(answer, errorBodyBytes)).toString('utf8'), 'garbage');
    } catch {
      // The status says enough; a page of a proxy says nothing more.
      body = undefined;
    }
    throw classifyStatus(request, status, retryAfter, body);
  };

  /** One try with one token, behind the breaker. */
  const attempt = async <T>(
    request: EngineRequest,
    accept: string,
    read: (answer: IncomingMessage) => Promise<T>,
    authorized: string,
  ): Promise<T> => {
    const { method, path, body, signal } = request;
    const began = clock.monotonicMs();
    const took = (): number => (clock.monotonicMs() - began) / 1_000;
    const result = await breaker.run(async (): Promise<T | CallerLeft> => {
      try {
        const answered = await wire.send(
          {
            method,
            path,
            headers: { authorization: authorized, accept },
            ...(body === undefined ? {} : { body }),
          },
          signal,
          async (answer) => {
            const status = answer.statusCode ?? 0;
            return status >= 200 && status < 300 ? read(answer) : refuse(request, answer);
          },
        );
        metrics.tried(request.doing, took(), undefined);
        return answered;
      } catch (error) {
        metrics.tried(request.doing, took(), error);
        // An engine that let its caller wait for longer than a connection may take counts as silent.
        if (signal?.aborted === true && took() * 1_000 < options.connectTimeoutMs) return new CallerLeft(error);
        throw error;
      }
    });
    if (result instanceof CallerLeft) throw result.reason;
    return result;
  };

  const withToken = async <T>(
    request: EngineRequest,
    accept: string,
    read: (answer: IncomingMessage) => Promise<T>,
  ): Promise<T> => {
    const first = await token.get();
    try {
      return await attempt(request, accept, read, authorization(first));
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error;
      const second = await token.renew(first);
      if (second.equals(first)) throw error;
      return attempt(request, accept, read, authorization(second));
    }
  };

  const beforeNextTry: EngineClient['beforeNextTry'] = async (error, tries, signal) => {
    if (!(error instanceof UnknownOutcome) || tries >= maxAttempts) throw error;
    const jitter = random() * Math.min(longestPauseMs, firstPauseMs * 2 ** (tries - 1));
    const asked = (error.retryAfterSeconds ?? 0) * 1_000;
    if (asked > longestWaitMs) throw error;
    await clock.sleep(asked + jitter, signal);
  };

  const call = async <T>(
    request: EngineRequest,
    accept: string,
    read: (answer: IncomingMessage) => Promise<T>,
  ): Promise<T> => {
    for (let tries = 1; ; tries += 1) {
      if (closed) throw new CaseboundError('shutting_down', 'The connection to the document engine was closed.');
      request.signal?.throwIfAborted();
      try {
        return await gate(async () => withToken(request, accept, read));
      } catch (error) {
        if (request.repeat === false) throw error;
        await beforeNextTry(error, tries, request.signal);
        metrics.repeated(request.doing);
      }
    }
  };

  return {
    limits,
    beforeNextTry,
    done: async (request) =>
      call(request, 'application/json', async (answer) => {
        await readBytes(answer, limits.json);
      }),
    json: async (request) =>
      call(request, 'application/json', async (answer) => {
        const type = mediaType(answer);
        const text = (await readBytes(answer, limits.json)).toString('utf8');
        if (text.trim() === '' && type !== 'application/json') return undefined;
        if (type !== 'application/json') throw garbage('its answer is not JSON');
        return parseWhole(text, 'truncated');
      }),
    records: async (request, take) =>
      call(request, 'application/x-ndjson', async (answer) => {
        if (mediaType(answer) !== 'application/x-ndjson') throw garbage('its answer is not newline-delimited JSON');
        const records = [];
        for await (const record of readNdjson(answer, limits.line)) {
          if (records.length >= limits.records) throw garbage(`it has more than ${limits.records} records`);
          records.push(take(record));
        }
        return records;
      }),
    bytes: async (request, accept, maxBytes, check = (bytes) => bytes) =>
      call(request, accept, async (answer) => ({
        bytes: check(await readBytes(answer, maxBytes)),
        contentType: mediaType(answer),
      })),
    close: () => {
      closed = true;
      wire.close();
    },
  };
};
