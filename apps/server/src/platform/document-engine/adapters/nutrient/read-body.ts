/** Bodies of answers: bounded, whole, and of the kind that was asked for. */
import { garbage, truncated } from './classify-answer.ts';

/** @throws `garbage` when there is more than `maxBytes`. */
export const readBytes = async (body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw garbage(`its answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
};

/** Whether a text is the beginning of a JSON object or list whose end is missing. */
const breaksOff = (text: string): boolean => {
  if (!/^\s*[[{]/.test(text)) return text.trim() === '';
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (inString) {
      if (char === '\\') at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
  }
  return inString || depth > 0;
};

/** JSON, or an error that says nothing of what stands there instead. `otherwise`: what a text is that merely breaks off. */
export const parseWhole = (text: string, otherwise: 'garbage' | 'truncated'): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the text.
    throw otherwise === 'truncated' && breaksOff(text) ? truncated() : garbage('its answer is not JSON');
  }
};

const pngStart = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export const requirePng = (bytes: Buffer): Buffer => {
  if (!bytes.subarray(0, 8).equals(pngStart)) throw garbage('its answer is not a PNG');
  // The last chunk of every PNG: length, IEND, checksum.
  if (bytes.subarray(-8, -4).toString('latin1') !== 'IEND') throw truncated();
  return bytes;
};

export const requirePdf = (bytes: Buffer): Buffer => {
  if (bytes.length === 0) throw truncated();
  if (!bytes.subarray(0, 1_024).includes('%PDF-')) throw garbage('its answer is not a PDF');
  return bytes;
};
