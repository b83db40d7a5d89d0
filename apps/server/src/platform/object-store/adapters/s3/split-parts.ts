/**
 * A stream cut into parts of one size.
 *
 * - Buffers are used again, so memory is bounded by the parts on their way, plus the one being filled.
 * - The first buffer grows with what arrives: a small object does not take a large one.
 */

const firstBytes = 64 * 1024;

export interface Part {
  readonly bytes: Uint8Array;
  /** True when nothing comes after it. */
  readonly last: boolean;
}

/**
 * Cuts the chunks into parts; every part but the last has `partBytes`. There is always at least one part, an empty one for an empty stream.
 * @param free buffers of `partBytes` that may be used again; the caller puts the bytes of a part back when they are sent.
 */
export async function* splitParts(
  chunks: AsyncIterable<Uint8Array>,
  partBytes: number,
  free: Uint8Array[],
): AsyncGenerator<Part> {
  let buffer: Uint8Array = Buffer.allocUnsafeSlow(Math.min(firstBytes, partBytes));
  let filled = 0;
  const makeRoom = (needed: number): void => {
    if (buffer.byteLength >= needed) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(partBytes, Math.max(needed, buffer.byteLength * 2)));
    larger.set(buffer.subarray(0, filled));
    buffer = larger;
  };
  for await (const chunk of chunks) {
    for (let taken = 0; taken < chunk.byteLength;) {
      if (filled === partBytes) {
        yield { bytes: buffer, last: false };
        buffer = free.pop() ?? Buffer.allocUnsafeSlow(partBytes);
        filled = 0;
      }
      const take = Math.min(chunk.byteLength - taken, partBytes - filled);
      makeRoom(filled + take);
      buffer.set(chunk.subarray(taken, taken + take), filled);
      filled += take;
      taken += take;
    }
  }
  yield { bytes: buffer.subarray(0, filled), last: true };
}
