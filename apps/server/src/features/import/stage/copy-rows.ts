/** Rows into a table by COPY (PostgreSQL documentation, "COPY", text format). */
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

/** `text` is the COPY statement; each batch holds lines with their line feeds. */
export const writeAll = async (
  tx: Transaction,
  text: string,
  lines: AsyncIterable<readonly string[]>,
): Promise<void> => {
  const sink = tx.copyFrom(text);
  const done = finished(sink);
  done.catch(() => undefined);
  try {
    for await (const batch of lines) {
      if (batch.length === 0) continue;
      if (!sink.write(batch.join('')))
        await Promise.race([new Promise((resolve) => sink.once('drain', resolve)), done]);
    }
    sink.end();
    await done;
  } catch (error) {
    sink.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
};
