/**
 * Reads from an endpoint that may drop connections, stall, or send something else than it says.
 *
 * - What the head of the answer says (length, range, metadata) is checked before a byte is given out; the bytes are then
 *   counted and hashed against what the writer recorded.
 * - A connection that drops or stalls in the middle is taken up where it ended, on the same version of the object (`If-Match`), a bounded
 *   number of times.
 */
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import { abortWith, checkRangeShape, resolveRange } from '../../check-arguments.ts';
import { checkedBody, type ByteSource } from '../../checked-body.ts';
import type { GetOptions, ObjectKey, ObjectReading } from '../../Port.ts';
import { parseAnswer } from './object-metadata.ts';
import { aborting, bucketKey, type S3Connection } from './s3-client.ts';
import { isStatus } from './s3-errors.ts';

const resumePauseMs = 100;

const corrupt = (key: ObjectKey, what: string): CaseboundError =>
  new CaseboundError('object_corrupt', `The endpoint answered a read of the object ${key} with ${what}.`);

/** First byte, last byte and size of the whole, from `bytes 0-99/1234`. */
const parseContentRange = (text: string | undefined): readonly [number, number, number] | undefined => {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(text ?? '');
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
};

const bodyOf = (key: ObjectKey, answer: GetObjectCommandOutput): Readable => {
  if (answer.Body instanceof Readable) return answer.Body;
  throw corrupt(key, 'no body');
};

const withoutBody = (answer: GetObjectCommandOutput): void => {
  if (answer.Body instanceof Readable) {
    answer.Body.on('error', () => {});
    answer.Body.destroy();
  }
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Part {
  /** Absolute positions, end exclusive. */
  readonly start: number;
  readonly end: number;
}

/** The bytes of a part; `reopen` requests what is left of it after a failure. */
const resumingSource = (
  connection: S3Connection,
  key: ObjectKey,
  first: Readable,
  part: Part,
  reopen: (start: number) => Promise<Readable>,
  signal: AbortSignal | undefined,
): ByteSource => {
  const { idleTimeoutMs, maxAttempts } = connection.config;
  let position = part.start;
  let attempts = 1;
  let closed = false;
  let current = first;
  let iterator = current[Symbol.asyncIterator]();

  /** The next chunk, or an error when none comes in time. */
  const nextInTime = async (): Promise<Uint8Array | undefined> => {
    const stream = current;
    const timer = setTimeout(() => stream.destroy(new Error(`no byte for ${idleTimeoutMs} ms`)), idleTimeoutMs);
    try {
      const step: IteratorResult<unknown> = await iterator.next();
      if (step.done === true) return undefined;
      if (step.value instanceof Uint8Array) return step.value;
      throw corrupt(key, 'a body that is not bytes');
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    read: async () => {
      for (;;) {
        try {
          const chunk = await nextInTime();
          position += chunk?.byteLength ?? 0;
          return chunk;
        } catch (error) {
          if (error instanceof CaseboundError) throw error;
          if (closed || signal?.aborted === true) throw error;
          if (position >= part.end) return undefined;
          if (attempts >= maxAttempts) {
            throw new CaseboundError(
              'object_store_unavailable',
              `The connection to ${connection.address} broke off ${attempts} times while the object ${key} was read; ${position - part.start} of ${part.end - part.start} bytes came. Try again.`,
              { cause: error },
            );
          }
          await wait(Math.random() * resumePauseMs * 2 ** attempts);
          attempts += 1;
          current.destroy();
          current = await reopen(position);
          if (closed) current.destroy();
          iterator = current[Symbol.asyncIterator]();
        }
      }
    },
    close: async () => {
      closed = true;
      // Destroying an answer that is not at its end raises an error on it that nobody waits for.
      current.on('error', () => {});
      current.destroy();
    },
  };
};

export const readObject = async (
  connection: S3Connection,
  key: ObjectKey,
  options: GetOptions,
): Promise<ObjectReading> => {
  const { range, signal } = options;
  if (range !== undefined) checkRangeShape(key, range);
  const target = { Bucket: connection.config.bucket, Key: bucketKey(connection.config, key) };
  const request = (start: number | undefined, end: number | undefined, etag: string | undefined) =>
    connection.send(`read ${key}`, (client) =>
      client.send(
        new GetObjectCommand({
          ...target,
          ...(start === undefined ? {} : { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` }),
          ...(etag === undefined ? {} : { IfMatch: etag }),
        }),
        aborting(signal),
      ),
    );

  const answer = await request(range?.start, range?.end, undefined);
  try {
    const body = bodyOf(key, answer);
    const contentRange = parseContentRange(answer.ContentRange);
    const info = parseAnswer(key, answer, range === undefined ? answer.ContentLength : contentRange?.[2]);
    const { start, end } = resolveRange(key, range, info.size);
    const length = end - start;
    if (range !== undefined && (contentRange?.[0] !== start || contentRange[1] !== end - 1)) {
      throw corrupt(key, `the range "${answer.ContentRange ?? 'none'}" where bytes ${start}-${end - 1} were asked for`);
    }
    if (answer.ContentLength !== undefined && answer.ContentLength !== length) {
      throw corrupt(key, `${answer.ContentLength} bytes where ${length} were asked for`);
    }
    const reopen = async (from: number): Promise<Readable> => {
      try {
        const rest = await request(from, end, answer.ETag);
        const got = parseContentRange(rest.ContentRange);
        if (got?.[0] === from && got[1] === end - 1) return bodyOf(key, rest);
        withoutBody(rest);
        throw corrupt(key, `the range "${rest.ContentRange ?? 'none'}" where bytes ${from}-${end - 1} were asked for`);
      } catch (error) {
        if (!(error instanceof CaseboundError) || !isStatus(error.cause, 404, 412)) throw error;
        throw new CaseboundError(
          'object_store_unavailable',
          `The object ${key} was replaced or deleted while it was read. Try again.`,
          { cause: error },
        );
      }
    };
    const source = resumingSource(connection, key, body, { start, end }, reopen, signal);
    const whole = length === info.size;
    const { writeId: _writeId, ...publicInfo } = info;
    const checked = checkedBody(source, { key, length, ...(whole ? { sha256: info.sha256 } : {}) });
    if (signal !== undefined) abortWith(checked, signal);
    return { info: publicInfo, length, body: checked };
  } catch (error) {
    withoutBody(answer);
    throw error;
  }
};
