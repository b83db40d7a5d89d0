/**
 * Newline-delimited JSON from a stream, a record at a time.
 *
 * - A line longer than the bound, and a line that is no JSON, are garbage.
 * - A last line that breaks off is a truncated body: whoever asked asks again.
 */
import { garbage } from './classify-answer.ts';
import { parseWhole } from './read-body.ts';

const newline = 10;

export async function* readNdjson(
  body: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<unknown, void, undefined> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  const hold = (bytes: Uint8Array): void => {
    heldBytes += bytes.length;
    if (heldBytes > maxLineBytes) throw garbage(`a line of its answer has more than ${maxLineBytes} bytes`);
    if (bytes.length > 0) held.push(bytes);
  };
  const take = (): string => {
    const line = Buffer.concat(held).toString('utf8').trim();
    held = [];
    heldBytes = 0;
    return line;
  };
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      hold(chunk.subarray(start, end));
      const line = take();
      if (line !== '') yield parseWhole(line, 'garbage');
      start = end + 1;
    }
    hold(chunk.subarray(start));
  }
  const rest = take();
  if (rest === '') return;
  // A writer that ends its last record without a newline has ended it nevertheless.
  yield parseWhole(rest, 'truncated');
}
