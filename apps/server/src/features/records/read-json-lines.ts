/**
 * Splits a stream of bytes into lines of JSON.
 *
 * - Holds one line at a time, and none longer than the limit: a body without line ends cannot fill the memory.
 * - Bytes that are no UTF-8 are an error of their line; nothing is replaced silently.
 */
import { CaseboundError } from '@casebound/contract';

export type JsonLine =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly error: CaseboundError };

const lineFeed = 0x0a;

const toLine = (number: number, bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): JsonLine | null => {
  try {
    const text = decoder.decode(bytes);
    return text.trim() === '' ? null : { number, text };
  } catch {
    return { number, error: new CaseboundError('malformed_body', `Line ${number} is not valid UTF-8.`) };
  }
};

/** Lines that hold anything, numbered from 1. Throws `body_too_large` for a line of more than `maxBytes`. */
export async function* readJsonLines(body: AsyncIterable<unknown>, maxBytes: number): AsyncGenerator<JsonLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let held: Buffer[] = [];
  let size = 0;
  let number = 0;
  const add = (part: Buffer): void => {
    size += part.length;
    if (size > maxBytes)
      throw new CaseboundError(
        'body_too_large',
        `Line ${number + 1} is longer than the ${maxBytes} bytes of a document.`,
      );
    held.push(part);
  };
  const take = (): JsonLine | null => {
    number += 1;
    const line = toLine(number, Buffer.concat(held), decoder);
    held = [];
    size = 0;
    return line;
  };
  for await (const chunk of body) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    let from = 0;
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, from)) {
      add(bytes.subarray(from, end));
      from = end + 1;
      const line = take();
      if (line !== null) yield line;
    }
    if (from < bytes.length) add(bytes.subarray(from));
  }
  const line = size > 0 ? take() : null;
  if (line !== null) yield line;
}
