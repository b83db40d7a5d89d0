/**
 * A thread for parsers that are synchronous or of unknown cost: the event loop goes on, time and heap are bounded, and what a
 * hostile file breaks is this thread alone.
 *
 * One task at a time, in order. A task that takes too long, or more heap than it may, ends the thread; the next task gets
 * a new one. Nothing is thrown for a file's content.
 */
import { Worker } from 'node:worker_threads';
import type { ParserRequest, ParserResponse, ParserTask, ParserTasks } from './parser-tasks.ts';
import type { SourceLimits } from './source-model.ts';

export type ParserOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: 'extraction_failed' | 'extraction_timeout'; readonly reason: string };

/** How long an idle thread is kept from ending the process: not at all. */
const workerFile = new URL('./parser-worker.ts', import.meta.url);

const failed = (reason: string): ParserOutcome<never> => ({ ok: false, code: 'extraction_failed', reason });

export class ParserThread {
  readonly #limits: Pick<SourceLimits, 'parseTimeoutMs' | 'workerHeapMegabytes'>;
  #worker: Worker | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(limits: Pick<SourceLimits, 'parseTimeoutMs' | 'workerHeapMegabytes'>) {
    this.#limits = limits;
  }

  /** @param transfer buffers that the thread may take over instead of copying. */
  run<Kind extends keyof ParserTasks>(
    kind: Kind,
    input: ParserTasks[Kind]['input'],
    transfer: ArrayBuffer[] = [],
  ): Promise<ParserOutcome<ParserTasks[Kind]['output']>> {
    const result = this.#tail.then(() => this.#runNow({ kind, input }, transfer));
    this.#tail = result;
    // The kind decides the output; the worker is written against the same table.
    return result as Promise<ParserOutcome<ParserTasks[Kind]['output']>>;
  }

  async #runNow(task: ParserTask, transfer: ArrayBuffer[]): Promise<ParserOutcome<unknown>> {
    if (this.#closed) return failed('The parser was closed.');
    const worker = this.#worker ?? this.#start();
    worker.ref();
    const { promise, resolve } = Promise.withResolvers<ParserOutcome<unknown>>();
    const onMessage = (response: ParserResponse): void => {
      resolve(response.ok ? { ok: true, value: response.value } : failed(response.reason));
    };
    const onError = (error: Error & { readonly code?: string }): void => {
      this.#worker = undefined;
      const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      const allowed = `${this.#limits.workerHeapMegabytes} MB`;
      resolve(failed(outOfMemory ? `Parsing needs more memory than ${allowed}.` : 'The parser broke down.'));
    };
    const onExit = (): void => {
      if (this.#worker === worker) this.#worker = undefined;
      resolve(failed('The parser ended.'));
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
    const timer = setTimeout(() => {
      if (this.#worker === worker) this.#worker = undefined;
      const reason = `Parsing took longer than ${this.#limits.parseTimeoutMs / 1000} s and was stopped.`;
      resolve({ ok: false, code: 'extraction_timeout', reason });
      void worker.terminate();
    }, this.#limits.parseTimeoutMs);
    try {
      const request: ParserRequest = task;
      worker.postMessage(request, transfer);
      return await promise;
    } finally {
      clearTimeout(timer);
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
      worker.unref();
    }
  }

  #start(): Worker {
    const worker = new Worker(workerFile, {
      resourceLimits: { maxOldGenerationSizeMb: this.#limits.workerHeapMegabytes },
      // What a library prints about a file is document text: it goes nowhere.
      stdout: true,
      stderr: true,
    });
    // An error between tasks has no one to tell; the next task finds no worker and starts one.
    worker.on('error', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}
