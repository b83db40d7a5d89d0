/** Reads a text file of a production: UTF-8 or UTF-16 by its mark, else strict UTF-8, else Windows-1252 with a word about it. */
import type { Readable } from 'node:stream';

/** Bytes of one text file; what comes after is not read. */
const maxTextBytes = 256 * 1024 * 1024;

export interface DecodedFile {
  /** Without byte-order mark; U+0000, which a text column cannot hold, is U+FFFD. */
  readonly text: string;
  readonly problem: string | null;
}

export const decodeText = async (source: Readable): Promise<DecodedFile> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    const bytes = chunk as Buffer;
    chunks.push(bytes);
    size += bytes.length;
    if (size > maxTextBytes) break;
  }
  const bytes = Buffer.concat(chunks);
  const tooLong = size > maxTextBytes ? `The text is cut after ${maxTextBytes} bytes.` : null;
  const { text, problem } = decode(bytes);
  return { text: text.replaceAll('\0', '\uFFFD'), problem: problem ?? tooLong };
};

const decode = (bytes: Buffer): DecodedFile => {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return { text: new TextDecoder('utf-16le').decode(bytes), problem: null };
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return { text: new TextDecoder('utf-16be').decode(bytes), problem: null };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), problem: null };
  } catch {
    return {
      text: new TextDecoder('windows-1252').decode(bytes),
      problem: 'The text is neither marked nor valid UTF-8; it is read as Windows-1252.',
    };
  }
};
