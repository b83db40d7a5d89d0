/** Rows into a table by COPY (PostgreSQL documentation, "COPY", text format). */
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Transaction } from '../../../database/index.ts';

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\0': '\uFFFD',
};
const special = /[\\\t\n\r\0]/;
const everySpecial = /[\\\t\n\r\0]/g;

/** A value as text of COPY. NUL cannot be stored. */
export const copyText = (value: string | number | boolean | null): string => {
  if (value === null) return '\\N';
  const text = String(value);
  return special.test(text) ? text.replaceAll(everySpecial, (it) => escapes[it] ?? it) : text;
};

/** What has to be done on the connection between two COPYs. */
export interface Pause {
  readonly isDue: boolean;
  write(): Promise<void>;
}

/** One COPY; ended, or destroyed with what went wrong. */
class OpenCopy {
  readonly #sink: Writable;
  readonly #done: Promise<void>;

  constructor(tx: Transaction, text: string) {
    this.#sink = tx.copyFrom(text);
    this.#done = finished(this.#sink);
    this.#done.catch(() => undefined);
  }

  async write(batch: readonly string[]): Promise<void> {
    if (batch.length === 0 || this.#sink.write(batch.join(''))) return;
    await Promise.race([new Promise((resolve) => this.#sink.once('drain', resolve)), this.#done]);
  }

  async end(): Promise<void> {
    this.#sink.end();
    await this.#done;
  }

  destroy(error: unknown): void {
    this.#sink.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** `text` is the COPY statement, which is begun anew after each pause; each batch holds lines with their line feeds. */
export const writeAll = async (
  tx: Transaction,
  text: string,
  lines: AsyncIterable<readonly string[]>,
  pause?: Pause,
): Promise<void> => {
  let copy = new OpenCopy(tx, text);
  try {
    for await (const batch of lines) {
      await copy.write(batch);
      if (pause?.isDue !== true) continue;
      await copy.end();
      await pause.write();
      copy = new OpenCopy(tx, text);
    }
    await copy.end();
  } catch (error) {
    copy.destroy(error);
    throw error;
  }
};
