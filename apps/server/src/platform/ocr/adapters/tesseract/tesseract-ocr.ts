/**
 * Tesseract in a pool of worker threads.
 *
 * 1. A thread reads one page at a time; pages start in the order in which they came.
 * 2. A page ends exactly once. A thread that did not answer in time, or at all, is ended and never used again.
 * 3. A thread is replaced after so many pages: Tesseract's memory never shrinks.
 * 4. Threads start when they are needed, end when they have had nothing to do for a while, and do not keep the process alive.
 */
import { CaseboundError } from '@casebound/contract';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { OcrConfig } from '../../config.ts';
import type { Ocr, RecognisedPage } from '../../Port.ts';
import { findLanguageData, type LanguageData } from './language-data.ts';
import type { OcrAnswer, OcrStart } from './thread-messages.ts';

const PAGES_A_THREAD = 500;
const MAX_QUEUED = 1_000;

interface Job {
  readonly id: number;
  readonly png: Uint8Array;
  readonly languages: string;
  readonly resolve: (page: RecognisedPage) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

interface Thread {
  readonly worker: Worker;
  readonly languages: string;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
  pages: number;
}

const failed = (detail: string, cause?: unknown): CaseboundError =>
  new CaseboundError('ocr_failed', detail, cause === undefined ? {} : { cause });

/** Width and height in the header of a PNG; undefined when it is none. */
const sizeOf = (png: Uint8Array): readonly [number, number] | undefined => {
  const view = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  if (view.length < 33 || view.readUInt32BE(0) !== 0x89504e47 || view.toString('latin1', 12, 16) !== 'IHDR')
    return undefined;
  return [view.readUInt32BE(16), view.readUInt32BE(20)];
};

class Pool {
  readonly #config: OcrConfig;
  readonly #most: number;
  readonly #threads = new Set<Thread>();
  readonly #data = new Map<string, LanguageData>();
  #queue: Job[] = [];
  #nextId = 1;
  #closed = false;

  constructor(config: OcrConfig) {
    this.#config = config;
    this.#most = config.workers ?? Math.max(1, availableParallelism() - 1);
  }

  async recognise(
    png: Uint8Array,
    languages: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<RecognisedPage> {
    if (this.#closed) throw failed('Text recognition is closed.');
    signal?.throwIfAborted();
    const key = languages.join('+');
    if (!this.#data.has(key)) this.#data.set(key, await findLanguageData(languages, this.#config.languageFolder));
    if (this.#queue.length >= MAX_QUEUED) throw failed(`${MAX_QUEUED} pages wait for recognition already.`);
    return new Promise((resolve, reject) => {
      const job: Job = {
        id: this.#nextId,
        png,
        languages: key,
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
  }

  async close(): Promise<void> {
    this.#closed = true;
    const waiting = this.#queue;
    this.#queue = [];
    for (const job of waiting) this.#settle(job, () => job.reject(failed('Text recognition was closed.')));
    const threads = [...this.#threads];
    for (const thread of threads) this.#fail(thread, failed('Text recognition was closed.'));
    await Promise.all(threads.map(async ({ worker }) => worker.terminate()));
    await Promise.all([...this.#data.values()].map(async (data) => data.dispose()));
  }

  #pump(): void {
    for (const job of this.#queue.slice()) {
      const thread = this.#threadFor(job.languages);
      if (thread === undefined) return;
      this.#queue.splice(this.#queue.indexOf(job), 1);
      this.#assign(thread, job);
    }
  }

  /** An idle thread of these languages, or a new one in the place of an idle one of others. */
  #threadFor(languages: string): Thread | undefined {
    const idle = [...this.#threads].filter(({ job }) => job === undefined);
    const same = idle.find((thread) => thread.languages === languages);
    if (same !== undefined) return same;
    const [other] = idle;
    if (this.#threads.size >= this.#most) {
      if (other === undefined) return undefined;
      this.#end(other, undefined);
    }
    return this.#spawn(languages);
  }

  #spawn(languages: string): Thread {
    const start: OcrStart = { languages: languages.split('+'), folder: this.#data.get(languages)?.folder ?? '' };
    const worker = new Worker(new URL('./ocr-worker.ts', import.meta.url), {
      workerData: start,
      execArgv: [],
      stdout: true,
      stderr: true,
    });
    // Tesseract remarks on pictures there; nothing of it is for the log.
    worker.stdout.resume();
    worker.stderr.resume();
    const thread: Thread = { worker, languages, job: undefined, timer: undefined, pages: 0 };
    worker.on('message', (answer: OcrAnswer) => this.#receive(thread, answer));
    worker.on('error', (error) => this.#fail(thread, failed('The worker for text recognition failed.', error)));
    worker.on('exit', () => this.#fail(thread, failed('The worker for text recognition ended.')));
    this.#threads.add(thread);
    return thread;
  }

  #assign(thread: Thread, job: Job): void {
    clearTimeout(thread.timer);
    thread.job = job;
    thread.worker.ref();
    const png = job.png.byteLength === job.png.buffer.byteLength ? job.png : Uint8Array.from(job.png);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker of Node has no origin
    thread.worker.postMessage({ id: job.id, png }, png.buffer instanceof ArrayBuffer ? [png.buffer] : []);
    const { pageTimeoutMs } = this.#config;
    thread.timer = setTimeout(() => {
      this.#end(
        thread,
        new CaseboundError(
          'pdf_timeout',
          `Recognising the page took longer than ${pageTimeoutMs} ms; the limit is \`ocr.pageTimeoutMs\`.`,
        ),
      );
    }, pageTimeoutMs);
  }

  #receive(thread: Thread, answer: OcrAnswer): void {
    const { job } = thread;
    if (job?.id !== answer.id) return;
    clearTimeout(thread.timer);
    thread.job = undefined;
    thread.pages += 1;
    this.#settle(job, () => {
      if (answer.ok) job.resolve(answer.page);
      else if (answer.unreadable)
        job.reject(new CaseboundError('image_unreadable', 'The picture of the page cannot be read for recognition.'));
      else job.reject(failed('The page could not be recognised.'));
    });
    if (thread.pages >= PAGES_A_THREAD || !(answer.ok || answer.unreadable)) this.#end(thread, undefined);
    else {
      thread.worker.unref();
      thread.timer = setTimeout(() => this.#end(thread, undefined), this.#config.idleMs);
      thread.timer.unref();
    }
    this.#pump();
  }

  #abort(job: Job): void {
    const waiting = this.#queue.indexOf(job);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      this.#settle(job, () => job.reject(job.signal?.reason));
      return;
    }
    for (const thread of this.#threads) if (thread.job === job) this.#end(thread, job.signal?.reason);
  }

  #end(thread: Thread, reason: unknown): void {
    this.#fail(thread, reason);
    void thread.worker.terminate();
  }

  /** The thread is of no more use. Its page, if it has one, fails. */
  #fail(thread: Thread, reason: unknown): void {
    clearTimeout(thread.timer);
    if (!this.#threads.delete(thread)) return;
    const { job } = thread;
    thread.job = undefined;
    if (job === undefined) return;
    this.#settle(job, () => job.reject(reason));
    if (!this.#closed) this.#pump();
  }

  #settle(job: Job, end: () => void): void {
    job.signal?.removeEventListener('abort', job.onAbort);
    end();
  }
}

/** Opens the pool. Throws `ocr_language_missing` at once, not with the first page. The caller closes it. */
export const openTesseractOcr = async (config: OcrConfig): Promise<Ocr> => {
  const found = await findLanguageData(config.languages, config.languageFolder);
  await found.dispose();
  const pool = new Pool(config);
  return {
    kind: 'tesseract',
    recognise: async (png, options = {}) => {
      const size = sizeOf(png);
      if (size === undefined) throw new CaseboundError('image_unreadable', 'The picture of the page is no PNG.');
      if (size[0] * size[1] > config.maxPixels)
        throw new CaseboundError(
          'pdf_too_large',
          `The picture of the page has ${size[0]} x ${size[1]} pixels; the limit is \`ocr.maxPixels\`, ${config.maxPixels}.`,
        );
      const languages = options.languages ?? config.languages;
      const unknown = languages.find((one) => !config.languages.includes(one));
      if (unknown !== undefined || languages.length === 0)
        throw new CaseboundError(
          'ocr_language_missing',
          `The language \`${unknown ?? ''}\` is not among \`ocr.languages\`.`,
        );
      return pool.recognise(png, languages, options.signal);
    },
    close: async () => pool.close(),
  };
};
