/** Compressed RTF of Outlook messages. Format: MS-OXRTFCP; the result is bounded by the size that its header declares. */

const headerBytes = 16;
const compressed = 0x75465a4c;
const uncompressed = 0x414c454d;
const windowBytes = 4096;
const maxBytes = 256 * 1024 * 1024;

const initialText =
  '{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx';

/** Null when the header is none, or nothing comes out. What came out before the data breaks is kept. */
export const decompressRtf = (data: Uint8Array): Uint8Array | null => {
  if (data.length < headerBytes) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const size = view.getUint32(4, true);
  const type = view.getUint32(8, true);
  if (size > maxBytes) return null;
  if (type === uncompressed) return data.slice(headerBytes, headerBytes + size);
  if (type !== compressed) return null;
  const window = new Uint8Array(windowBytes);
  for (let index = 0; index < initialText.length; index++) window[index] = initialText.charCodeAt(index);
  let write = initialText.length;
  // Twelve bytes are the least that says anything; a reference makes at most 17 of 2.
  const out = new Uint8Array(Math.min(size, (data.length - headerBytes) * 9));
  let length = 0;
  const put = (byte: number): void => {
    out[length++] = byte;
    window[write] = byte;
    write = (write + 1) % windowBytes;
  };
  let at = headerBytes;
  while (at < data.length && length < out.length) {
    const control = data[at++] ?? 0;
    for (let bit = 0; bit < 8 && at < data.length && length < out.length; bit++) {
      if ((control & (1 << bit)) === 0) {
        put(data[at++] ?? 0);
        continue;
      }
      const reference = ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
      at += 2;
      let read = reference >> 4;
      // A reference to where the next byte goes ends the text.
      if (read === write) return length === 0 ? null : out.slice(0, length);
      for (let left = (reference & 0xf) + 2; left > 0 && length < out.length; left--) {
        put(window[read] ?? 0);
        read = (read + 1) % windowBytes;
      }
    }
  }
  return length === 0 ? null : out.slice(0, length);
};
