/**
 * The pool of worker threads for PDF work.
 *
 * 1. A worker has one task at a time; tasks start in the order in which they came.
 * 2. A task ends exactly once: with its output, its error, `pdf_timeout`, `pdf_engine_failed`, `pdf_too_large` (out of memory), or
 *    the reason of its signal. A worker that did not answer in order is ended and never used again; the pool goes on.
 * 3. Memory is watched from here: a worker whose JavaScript heap stays above its bound is ended. V8's own limit lies far above, because
 *    reaching that one can end the whole process (an allocation larger than the last reserve is fatal, in a worker too).
 * 4. Workers start when they are needed and end when they have had nothing to do for a while. Idle ones do not keep the process alive.
 */
import { CaseboundError } from '@casebound/contract';
import { compilePdfium, locatePdfiumWasm } from '@casebound/pdf';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { PdfWorkersConfig } from '../config.ts';
import type { PdfTaskName, PdfTaskOptions, PdfTasks, PdfWorkers } from './pdf-tasks.ts';
import { giveInput, receiveError, type TaskAnswer, type WorkerStart } from './thread-messages.ts';

const KEEP_ENGINE_BYTES = 256 * 1024 * 1024;
const HEAP_RESERVE_BYTES = 1024 * 1024 * 1024;
const WATCH_MS = 100;
/** Looks in a row that must find the heap above its bound: what one finds may be garbage. */
const LOOKS = 3;

interface Job {
  readonly id: number;
  readonly name: PdfTaskName;
  readonly input: object;
  readonly timeoutMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
  watch: NodeJS.Timeout | undefined;
}

const unavailable = (detail: string): CaseboundError => new CaseboundError('document_engine_unavailable', detail);

const mebibytes = (bytes: number): number => Math.round(bytes / 1_048_576);

class Pool {
  readonly #config: PdfWorkersConfig;
  readonly #most: number;
  readonly #threads = new Set<Thread>();
  readonly #idle: Thread[] = [];
  #queue: Job[] = [];
  #module: Promise<WorkerStart['module']> | undefined;
  #starting = 0;
  #nextId = 1;
  #finished = 0;
  #recycled = 0;
  #closed = false;

  constructor(config: PdfWorkersConfig) {
    this.#config = config;
    this.#most = config.workers ?? Math.max(1, availableParallelism() - 1);
  }

  async run<Name extends PdfTaskName>(
    name: Name,
    input: PdfTasks[Name]['input'],
    { signal, timeoutMs }: PdfTaskOptions,
  ): Promise<PdfTasks[Name]['output']> {
    if (this.#closed) throw unavailable('The PDF workers are closed.');
    signal?.throwIfAborted();
    if (this.#queue.length >= this.#config.maxQueued)
      throw new CaseboundError(
        'document_engine_unavailable',
        `${this.#queue.length} PDF tasks wait already; the limit is \`pdfWorkers.maxQueued\`.`,
        { retryAfterSeconds: 5 },
      );
    const output = await new Promise<unknown>((resolve, reject) => {
      const job: Job = {
        id: this.#nextId,
        name,
        input,
        timeoutMs: timeoutMs ?? this.#config.taskTimeoutMs,
        resolve,
        reject,
        signal,
        onAbort: () => this.#abort(job),
      };
      this.#nextId += 1;
      signal?.addEventListener('abort', job.onAbort, { once: true });
      this.#queue.push(job);
      this.#pump();
    });
    // The worker runs the handler of this name, whose output has this type.
    return output as PdfTasks[Name]['output'];
  }

  statistics(): ReturnType<PdfWorkers['statistics']> {
    return {
      workers: this.#threads.size,
      busy: this.#threads.size - this.#idle.length,
      queued: this.#queue.length,
      finished: this.#finished,
      recycled: this.#recycled,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const waiting = this.#queue;
    this.#queue = [];
    for (const job of waiting) this.#settle(job, () => job.reject(unavailable('The PDF workers were closed.')));
    const threads = [...this.#threads];
    for (const thread of threads) this.#fail(thread, unavailable('The PDF workers were closed.'));
    await Promise.all(threads.map(async ({ worker }) => worker.terminate()));
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#idle.length > 0) {
      const thread = this.#idle.pop();
      const job = this.#queue.shift();
      if (thread === undefined || job === undefined) return;
      this.#assign(thread, job);
    }
    const wanted = Math.min(this.#queue.length - this.#starting, this.#most - this.#threads.size - this.#starting);
    for (let count = 0; count < wanted; count += 1) void this.#start();
  }

  async #start(): Promise<void> {
    this.#starting += 1;
    try {
      this.#module ??= readFile(locatePdfiumWasm()).then(compilePdfium);
      const module = await this.#module;
      this.#starting -= 1;
      if (this.#closed) return;
      this.#spawn(module);
      this.#pump();
    } catch (error) {
      this.#starting -= 1;
      this.#module = undefined;
      const job = this.#queue.shift();
      if (job !== undefined)
        this.#settle(job, () =>
          job.reject(new CaseboundError('pdf_engine_failed', 'No PDF worker could be started.', { cause: error })),
        );
    }
  }

  #spawn(module: WorkerStart['module']): void {
    const { maxEngineBytes, maxHeapBytes, maxDocumentBytes, maxObjects } = this.#config;
    const workerData: WorkerStart = {
      module,
      limits: { maxEngineBytes, maxBytes: maxDocumentBytes, maxObjects },
      keepEngineBytes: Math.min(KEEP_ENGINE_BYTES, maxEngineBytes),
    };
    const worker = new Worker(new URL('./pdf-worker.ts', import.meta.url), {
      workerData,
      execArgv: [],
      resourceLimits: {
        maxOldGenerationSizeMb: mebibytes(maxHeapBytes + Math.max(maxHeapBytes, HEAP_RESERVE_BYTES)),
      },
    });
    const thread: Thread = { worker, job: undefined, timer: undefined, watch: undefined };
    worker.on('message', (answer: TaskAnswer) => this.#receive(thread, answer));
    worker.on('error', (error) => {
      this.#fail(thread, new CaseboundError('pdf_engine_failed', 'The PDF worker failed.', { cause: error }));
    });
    worker.on('exit', () => this.#fail(thread, new CaseboundError('pdf_engine_failed', 'The PDF worker ended.')));
    this.#threads.add(thread);
    this.#rest(thread);
  }

  /** Puts a thread among the idle ones. */
  #rest(thread: Thread): void {
    thread.worker.unref();
    this.#idle.push(thread);
    thread.timer = setTimeout(() => this.#retire(thread), this.#config.idleMs);
    thread.timer.unref();
  }

  #assign(thread: Thread, job: Job): void {
    clearTimeout(thread.timer);
    thread.job = job;
    thread.worker.ref();
    try {
      const { input, moved } = giveInput(job.input as PdfTasks[PdfTaskName]['input']);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker of Node has no origin
      thread.worker.postMessage({ id: job.id, name: job.name, input }, [...new Set(moved)]);
    } catch (error) {
      thread.job = undefined;
      this.#settle(job, () =>
        job.reject(new CaseboundError('internal', 'The PDF task cannot be sent to its worker.', { cause: error })),
      );
      this.#rest(thread);
      return;
    }
    thread.timer = setTimeout(() => {
      this.#recycle(
        thread,
        new CaseboundError(
          'pdf_timeout',
          `The PDF took longer than ${job.timeoutMs} ms to ${job.name}; the limit is \`pdfWorkers.taskTimeoutMs\`.`,
        ),
      );
    }, job.timeoutMs);
    this.#watch(thread, job, 0);
  }

  /** Looks at the heap of a busy worker now and then. */
  #watch(thread: Thread, job: Job, above: number): void {
    const { maxHeapBytes } = this.#config;
    thread.watch = setTimeout(() => {
      thread.worker.getHeapStatistics().then(
        ({ used_heap_size: used }) => {
          if (thread.job !== job) return;
          const looks = used > maxHeapBytes ? above + 1 : 0;
          if (looks < LOOKS && used < maxHeapBytes + HEAP_RESERVE_BYTES / 2) this.#watch(thread, job, looks);
          else
            this.#recycle(
              thread,
              new CaseboundError(
                'pdf_too_large',
                `The PDF needs more than ${mebibytes(maxHeapBytes)} MiB of heap; the limit is \`pdfWorkers.maxHeapBytes\`.`,
              ),
            );
        },
        // It has not begun to run, or has ended, which is told otherwise.
        () => {
          if (thread.job === job) this.#watch(thread, job, 0);
        },
      );
    }, WATCH_MS);
    thread.watch.unref();
  }

  #receive(thread: Thread, answer: TaskAnswer): void {
    const { job } = thread;
    if (job?.id !== answer.id) return;
    clearTimeout(thread.timer);
    clearTimeout(thread.watch);
    thread.job = undefined;
    this.#finished += 1;
    this.#settle(job, () => (answer.ok ? job.resolve(answer.value) : job.reject(receiveError(answer.error))));
    if (answer.retire) {
      this.#recycled += 1;
      this.#retire(thread);
    } else this.#rest(thread);
    this.#pump();
  }

  #abort(job: Job): void {
    const waiting = this.#queue.indexOf(job);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      this.#settle(job, () => job.reject(job.signal?.reason));
      return;
    }
    for (const thread of this.#threads) if (thread.job === job) this.#recycle(thread, job.signal?.reason);
  }

  /** Ends a thread in the middle of its task. */
  #recycle(thread: Thread, reason: unknown): void {
    this.#fail(thread, reason);
    void thread.worker.terminate();
  }

  /** The thread is of no more use. Its task, if it has one, fails. */
  #fail(thread: Thread, reason: unknown): void {
    clearTimeout(thread.timer);
    clearTimeout(thread.watch);
    if (!this.#threads.delete(thread)) return;
    const at = this.#idle.indexOf(thread);
    if (at >= 0) this.#idle.splice(at, 1);
    const { job } = thread;
    thread.job = undefined;
    if (job !== undefined) {
      this.#recycled += 1;
      this.#settle(job, () => job.reject(reason));
    }
    if (!this.#closed) this.#pump();
  }

  /** Ends a thread without a task. */
  #retire(thread: Thread): void {
    this.#fail(thread, undefined);
    void thread.worker.terminate();
  }

  #settle(job: Job, end: () => void): void {
    job.signal?.removeEventListener('abort', job.onAbort);
    end();
  }
}

/** Opens the pool; no worker runs before the first task. The caller closes it. */
export const createPdfWorkers = (config: PdfWorkersConfig): PdfWorkers => {
  const pool = new Pool(config);
  return {
    pageInfo: async (input, options = {}) => pool.run('pageInfo', input, options),
    pageSizes: async (input, options = {}) => pool.run('pageSizes', input, options),
    text: async (input, options = {}) => pool.run('text', input, options),
    search: async (input, options = {}) => pool.run('search', input, options),
    render: async (input, options = {}) => pool.run('render', input, options),
    burnIn: async (input, options = {}) => pool.run('burnIn', input, options),
    redact: async (input, options = {}) => pool.run('redact', input, options),
    flatten: async (input, options = {}) => pool.run('flatten', input, options),
    layer: async (input, options = {}) => pool.run('layer', input, options),
    stamp: async (input, options = {}) => pool.run('stamp', input, options),
    verify: async (input, options = {}) => pool.run('verify', input, options),
    mergeImages: async (input, options = {}) => pool.run('mergeImages', input, options),
    readAnnotations: async (input, options = {}) => pool.run('readAnnotations', input, options),
    statistics: () => pool.statistics(),
    close: async () => pool.close(),
  };
};
