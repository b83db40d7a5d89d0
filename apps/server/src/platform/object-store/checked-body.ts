/**
 * Bytes on their way, counted and hashed.
 *
 * - A checked body ends only when its length, and its hash where one is known, are right. There is no other way to its end.
 * - Whatever way a body finishes (end, error, destroyed unread), its source is closed exactly once.
 */
import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import type { Expected, ObjectBody, ObjectKey } from './Port.ts';

/** Where a body's bytes come from. Errors it throws are of the taxonomy. */
export interface ByteSource {
  /** The next bytes, or undefined at the end. Never called twice at once. */
  read(): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

export interface BodyClaim {
  readonly key: ObjectKey;
  readonly length: number;
  /** Given for whole objects only. */
  readonly sha256?: string;
}

const wrongLength = (claim: BodyClaim, seen: string): CaseboundError =>
  new CaseboundError('object_corrupt', `The object ${claim.key} delivered ${seen} instead of ${claim.length} bytes.`);

/** A stream of the source's bytes that fails with `object_corrupt` when they are not what is claimed. */
export const checkedBody = (source: ByteSource, claim: BodyClaim): Readable => {
  const hash: Hash | undefined = claim.sha256 === undefined ? undefined : createHash('sha256');
  let seen = 0;
  const next = async (): Promise<Uint8Array | null> => {
    const chunk = await source.read();
    if (chunk !== undefined) {
      seen += chunk.byteLength;
      if (seen > claim.length) throw wrongLength(claim, 'more');
      hash?.update(chunk);
      return chunk;
    }
    if (seen !== claim.length) throw wrongLength(claim, `${seen}`);
    const actual = hash?.digest('hex');
    if (actual !== claim.sha256) {
      throw new CaseboundError(
        'object_corrupt',
        `The object ${claim.key} has the SHA-256 ${actual} instead of ${claim.sha256}.`,
      );
    }
    return null;
  };
  const close = async (closed: () => void): Promise<void> => {
    try {
      await source.close();
    } catch {
      // What closing fails with changes nothing of what was read.
    }
    closed();
  };
  const pull = async (stream: Readable): Promise<void> => {
    try {
      const chunk = await next();
      if (!stream.destroyed) stream.push(chunk);
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  return new Readable({
    highWaterMark: 256 * 1024,
    read() {
      void pull(this);
    },
    destroy(error, callback) {
      void close(() => callback(error));
    },
  });
};

/** A source for bytes that are in memory already. */
export const bytesSource = (bytes: Uint8Array): ByteSource => {
  let left: Uint8Array | undefined = bytes.byteLength === 0 ? undefined : bytes;
  return {
    read: async () => {
      const chunk = left;
      left = undefined;
      return chunk;
    },
    close: async () => {
      left = undefined;
    },
  };
};

/** @throws `object_corrupt` when the bytes are not what the caller expects. */
export const checkExpected = (key: ObjectKey, expected: Expected | undefined, actual: Required<Expected>): void => {
  if (expected?.size !== undefined && expected.size !== actual.size) {
    throw new CaseboundError(
      'object_corrupt',
      `The object ${key} has ${actual.size} bytes where ${expected.size} were expected; nothing was stored.`,
    );
  }
  if (expected?.sha256 !== undefined && expected.sha256 !== actual.sha256) {
    throw new CaseboundError(
      'object_corrupt',
      `The object ${key} has the SHA-256 ${actual.sha256} where ${expected.sha256} was expected; nothing was stored.`,
    );
  }
};

/** @throws `object_corrupt` as soon as a body is longer than expected, so that an endless one does not fill the store. */
export const checkNotLonger = (key: ObjectKey, expected: Expected | undefined, seen: number): void => {
  if (expected?.size !== undefined && seen > expected.size) {
    throw new CaseboundError(
      'object_corrupt',
      `The object ${key} has more than the ${expected.size} bytes that were expected; nothing was stored.`,
    );
  }
};

export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The chunks of a body that streams; ends with the signal's reason when it aborts. Leaving early destroys the body. */
export async function* chunksOf(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  let finished = false;
  let stopListening: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal === undefined) return;
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    stopListening = () => signal.removeEventListener('abort', onAbort);
  });
  aborted.catch(() => {});
  try {
    signal?.throwIfAborted();
    for (;;) {
      const step = await (signal === undefined ? iterator.next() : Promise.race([iterator.next(), aborted]));
      if (step.done === true) {
        finished = true;
        return;
      }
      if (step.value.byteLength > 0) yield step.value;
    }
  } finally {
    stopListening?.();
    if (!finished) {
      if (body instanceof Readable) body.destroy();
      // Not awaited: a generator that hangs in its own await would hold up the caller for ever.
      else void Promise.resolve(iterator.return?.()).catch(() => {});
    }
  }
}

/** Destroys a body that will not be read, so that whatever it holds open is freed. */
export const discardBody = (body: ObjectBody): void => {
  if (body instanceof Readable) body.destroy();
};
