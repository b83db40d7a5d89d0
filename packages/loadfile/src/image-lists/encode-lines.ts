/** Lines of text to bytes, in pieces. UTF-8 without a mark: image viewers take a mark for part of the first key. */
export async function* encodeLines(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<Uint8Array> {
  let text = '';
  for await (const line of lines) {
    text += `${line}\r\n`;
    if (text.length >= 65_536) {
      yield Buffer.from(text, 'utf8');
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text, 'utf8');
}
