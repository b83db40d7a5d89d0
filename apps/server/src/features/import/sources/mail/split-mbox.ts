/**
 * Messages of an mbox as spans of it, one at a time: constant memory, whatever the mailbox's size.
 *
 * A message starts after a line `From sender date`. Text of messages may have such lines too; writers quote them with `>`, but not
 * all do. So a line counts when it has a date in it, stands at the start or after an empty line, and a header line follows.
 */
import { Readable } from 'node:stream';
import { fromLine } from '../file-type.ts';
import type { ByteSpan, RandomBytes } from '../random-bytes.ts';
import { LineReader } from './line-reader.ts';

export interface MboxMessage {
  /** Of the message, without its separator line and the empty line that ends it. */
  readonly span: ByteSpan;
  /** Some line starts with `>From ` (or `>>From `, ...): one `>` is to be taken off each. */
  readonly hasQuotedLines: boolean;
}

const maxLineBytes = 4096;
const fromPrefix = Buffer.from('From ');
const header = /^(?:[\x21-\x39\x3b-\x7e]+[ \t]*:|>?From )/u;
const quotedLine = /^>+From /u;

/** @throws what the source's stream ends with. */
export const splitMbox = async function* (bytes: RandomBytes): AsyncGenerator<MboxMessage> {
  const lines = new LineReader(await bytes.open(), maxLineBytes);
  try {
    let start: number | undefined;
    let hasQuotedLines = false;
    let textEnd = 0;
    let blankBefore = true;
    for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
      const [first] = line.bytes;
      if (
        first === 0x46 &&
        blankBefore &&
        line.bytes.subarray(0, fromPrefix.length).equals(fromPrefix) &&
        fromLine.test(line.bytes.toString('latin1'))
      ) {
        const separator = line;
        const next = (await lines.peek(maxLineBytes)).toString('latin1').split(/\r?\n/u, 1)[0] ?? '';
        if (next === '' || header.test(next)) {
          if (start !== undefined) yield { span: { start, end: Math.max(start, textEnd) }, hasQuotedLines };
          start = separator.end;
          textEnd = start;
          hasQuotedLines = false;
          blankBefore = false;
          continue;
        }
      }
      if (first === 0x3e && quotedLine.test(line.bytes.subarray(0, 256).toString('latin1'))) hasQuotedLines = true;
      // The empty line before a separator belongs to the mailbox, and one at the end of the file as well.
      if (line.bytes.length > 0) textEnd = line.end;
      else if (blankBefore) textEnd = line.start;
      blankBefore = line.bytes.length === 0;
    }
    if (start !== undefined) yield { span: { start, end: Math.max(start, textEnd) }, hasQuotedLines };
  } finally {
    await lines.close();
  }
};

const lineFeed = 0x0a;
const greater = 0x3e;

/** Takes one `>` off each line that has any number of them before `From `. */
export const unquoteFromLines = (stream: Readable): Readable => {
  const unquote = async function* (): AsyncGenerator<Buffer> {
    let carried: Buffer = Buffer.alloc(0);
    let withinLine = false;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const data = carried.length === 0 ? chunk : Buffer.concat([carried, chunk]);
      // Cut where a line ends, so that a quoted line is seen whole; a line that is all `>` and long is let go of.
      const end = data.lastIndexOf(lineFeed) + 1;
      if (end === 0 && data.length < 65_536) {
        carried = data;
        continue;
      }
      const cut = end === 0 ? data.length : end;
      carried = Buffer.from(data.subarray(cut));
      yield* unquoted(data.subarray(0, cut), withinLine);
      withinLine = end === 0;
    }
    if (carried.length > 0) yield* unquoted(carried, withinLine);
  };
  return Readable.from(unquote(), { objectMode: false });
};

/** @param withinLine true when the data starts within a line. */
const unquoted = function* (data: Buffer, withinLine: boolean): Generator<Buffer> {
  let from = 0;
  let start = 0;
  if (withinLine) {
    const next = data.indexOf(lineFeed);
    start = next < 0 ? data.length : next + 1;
  }
  for (let line = start; line < data.length;) {
    let at = line;
    while (data[at] === greater) at++;
    if (at > line && data.subarray(at, at + fromPrefix.length).equals(fromPrefix)) {
      if (line > from) yield data.subarray(from, line);
      from = line + 1;
    }
    const next = data.indexOf(lineFeed, at);
    if (next < 0) break;
    line = next + 1;
  }
  if (from < data.length) yield data.subarray(from);
};
