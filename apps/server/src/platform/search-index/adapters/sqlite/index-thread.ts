/**
 * One thread of the search index, from outside.
 *
 * 1. A call ends exactly once: with its answer, its error, or `search_index_unavailable` when the thread ended first. What it did then is
 *    unknown: all of it, or nothing.
 * 2. The thread starts with the first call, and anew with the first one after it ended. One that has nothing to do does not keep the process alive.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CaseboundError, type CaseId } from '@casebound/contract';
import type {
  IndexAnswer,
  IndexCallName,
  IndexCalls,
  IndexRequest,
  IndexStart,
  SentDocument,
  SentError,
} from './thread-messages.ts';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface Running {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  readonly ended: Promise<void>;
}

const receiveError = ({ code, detail, cause }: SentError): CaseboundError =>
  new CaseboundError(code, detail, cause === undefined ? {} : { cause: new Error(cause) });

const post = ({ worker }: Running, request: IndexRequest): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker of Node has no origin
  worker.postMessage(request);
};

export class IndexThread {
  readonly #start: IndexStart;
  #running: Running | undefined;
  #nextId = 1;

  constructor(start: IndexStart) {
    this.#start = start;
  }

  async call<Name extends Exclude<IndexCallName, 'put'>>(
    name: Name,
    caseId: CaseId,
    input: IndexCalls[Name]['input'],
  ): Promise<IndexCalls[Name]['output']> {
    const output = await this.#ask(async (running, id) => {
      post(running, { id, name, caseId, input } as IndexRequest);
    });
    // The thread runs the handler of this name, whose output has this type.
    return output as IndexCalls[Name]['output'];
  }

  /** Sends the parts of a put in turns of the event loop of their own, so that copying them stops nothing for long. */
  async put(caseId: CaseId, parts: readonly (readonly SentDocument[])[]): Promise<void> {
    await this.#ask(async (running, id) => {
      for (const [at, documents] of parts.entries()) {
        if (at > 0) await nextTurn();
        if (!running.pending.has(id)) return;
        post(running, { id, name: 'put', caseId, input: { documents, isLast: at === parts.length - 1 } });
      }
    });
  }

  /** Closes the file of a case, where a thread may have it open. */
  async shut(caseId: CaseId): Promise<void> {
    if (this.#running !== undefined) await this.call('shut', caseId, {});
  }

  /** After the calls under way. */
  async close(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    running.worker.ref();
    post(running, { name: 'close' });
    await running.ended;
  }

  async #ask(send: (running: Running, id: number) => Promise<void>): Promise<unknown> {
    const running = (this.#running ??= this.#spawn());
    const id = this.#nextId;
    this.#nextId += 1;
    running.worker.ref();
    return new Promise<unknown>((resolve, reject) => {
      running.pending.set(id, { resolve, reject });
      send(running, id).catch((error: unknown) => {
        running.pending.delete(id);
        reject(error);
      });
    });
  }

  #spawn(): Running {
    const worker = new Worker(new URL('./index-worker.ts', import.meta.url), { workerData: this.#start, execArgv: [] });
    const pending = new Map<number, Pending>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const running: Running = { worker, pending, ended };
    worker.on('message', (answer: IndexAnswer) => {
      const call = pending.get(answer.id);
      pending.delete(answer.id);
      if (pending.size === 0) worker.unref();
      if (answer.ok) call?.resolve(answer.value);
      else call?.reject(receiveError(answer.error));
    });
    const fail = (cause?: unknown): void => {
      if (this.#running === running) this.#running = undefined;
      const error = new CaseboundError('search_index_unavailable', 'The thread of the search index ended.', { cause });
      for (const { reject } of pending.values()) reject(error);
      pending.clear();
    };
    worker.on('error', fail);
    worker.on('exit', () => {
      fail();
      end();
    });
    worker.unref();
    return running;
  }
}
