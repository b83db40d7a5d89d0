/**
 * From bytes to an object.
 *
 * - Size and SHA-256 are metadata, which an endpoint takes before the bytes only. What fits one part is in memory, so they are known.
 *   Larger bodies go straight to their key when the caller says both beforehand; else they are uploaded under a name of our own and copied
 *   to the key inside the store. Either way the key names a whole object with its hash, or what it named before.
 * - Memory: (partConcurrency + 1) * partBytes at most, whatever the length of the body.
 */
import { createHash, randomUUID } from 'node:crypto';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { CaseboundError } from '@casebound/contract';
import { checkContentType } from '../../check-arguments.ts';
import { checkExpected, checkNotLonger, chunksOf, sha256Hex } from '../../checked-body.ts';
import type { ObjectBody, ObjectKey, PutOptions, Stored } from '../../Port.ts';
import type { Written } from './conditional-writes.ts';
import { checkWritten, writeAs, type S3Writing } from './confirm-write.ts';
import { copyWithin } from './copy-object.ts';
import {
  abortUpload,
  beginUpload,
  completeUpload,
  confirmed,
  mostParts,
  uploadPart,
  type Upload,
} from './multi-part.ts';
import { toMetadata, type WriteRecord } from './object-metadata.ts';
import { aborting, bucketKey, ownPrefix, type S3Connection } from './s3-client.ts';
import { splitParts, type Part } from './split-parts.ts';

const putWhole = async (
  writing: S3Writing,
  key: ObjectKey,
  bytes: Uint8Array,
  record: WriteRecord,
  options: PutOptions,
): Promise<Written> => {
  const { connection } = writing;
  const { config } = connection;
  const checksum = Buffer.from(record.sha256, 'hex').toString('base64');
  return writeAs(writing, key, record, options, async (condition) => {
    const answer = await connection.send(`write ${key}`, (client) =>
      client.send(
        new PutObjectCommand({
          Bucket: config.bucket,
          Key: bucketKey(config, key),
          Body: bytes,
          ContentLength: bytes.byteLength,
          ContentType: record.contentType,
          Metadata: toMetadata(record),
          ...(config.checksums === 'sha256' ? { ChecksumSHA256: checksum } : {}),
          ...condition,
        }),
        aborting(options.signal),
      ),
    );
    if (answer.ChecksumSHA256 !== undefined && answer.ChecksumSHA256 !== checksum) {
      throw new CaseboundError(
        'object_corrupt',
        `${connection.address} stored the object ${key} with another SHA-256 than its bytes have.`,
      );
    }
    return confirmed(connection, answer.ETag, `writing ${key}`);
  });
};

/** Uploads the parts, a bounded number at once. Ends when all are stored; on a failure when the running ones have ended. */
const uploadParts = async (
  connection: S3Connection,
  upload: Upload,
  parts: AsyncIterable<Part>,
  free: Uint8Array[],
  signal: AbortSignal | undefined,
): Promise<void> => {
  const { partConcurrency, partBytes } = connection.config;
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let number = 0;
  try {
    for await (const { bytes, last } of parts) {
      if (last && bytes.byteLength === 0) break;
      number += 1;
      if (number > mostParts) {
        throw new CaseboundError(
          'validation_failed',
          `A body of unknown length may have ${mostParts} parts of ${partBytes} bytes. Pass expected.size, or raise objectStore.partBytes.`,
        );
      }
      const part = uploadPart(connection, upload, number, bytes, signal)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          running.delete(part);
          free.push(bytes);
        });
      running.add(part);
      if (running.size >= partConcurrency) await Promise.race(running);
      if (failure !== undefined) break;
    }
  } finally {
    await Promise.all(running);
  }
  if (failure !== undefined) throw failure.error;
};

interface Hashed {
  size: number;
  sha256: () => string;
}

/** Counts and hashes the chunks as they pass. */
const hashing = (
  key: ObjectKey,
  body: ObjectBody,
  options: PutOptions,
): { readonly chunks: AsyncIterable<Uint8Array>; readonly seen: Hashed } => {
  const hash = createHash('sha256');
  const seen: Hashed = { size: 0, sha256: () => hash.copy().digest('hex') };
  async function* pass(): AsyncGenerator<Uint8Array> {
    const chunks = body instanceof Uint8Array ? [body] : chunksOf(body, options.signal);
    for await (const chunk of chunks) {
      seen.size += chunk.byteLength;
      checkNotLonger(key, options.expected, seen.size);
      hash.update(chunk);
      yield chunk;
    }
  }
  return { chunks: pass(), seen };
};

const removeTemporary = (connection: S3Connection, target: string): Promise<unknown> =>
  connection
    .send('remove a temporary object', (client) =>
      client.send(new DeleteObjectCommand({ Bucket: connection.config.bucket, Key: target })),
    )
    // Left to the sweep.
    .catch(() => {});

/** Parts straight to the key, because size and hash are known beforehand. */
const putPartsDirectly = async (
  writing: S3Writing,
  key: ObjectKey,
  upload: Upload,
  record: WriteRecord,
  options: PutOptions,
  send: () => Promise<void>,
): Promise<Written> => {
  const { connection } = writing;
  try {
    await send();
    const written = await writeAs(writing, key, record, options, (condition) =>
      completeUpload(connection, upload, condition, options.signal),
    );
    if (!written.created) await abortUpload(connection, upload);
    else await checkWritten(writing, key, record, options.signal);
    return written;
  } catch (error) {
    // The answer to a completion that took place can be lost; then the upload is gone, and the object is there and ours.
    const found = await writing.head(key).catch(() => undefined);
    if (found?.writeId === record.writeId && found.sha256 === record.sha256) return { etag: found.etag, created: true };
    await abortUpload(connection, upload);
    throw error;
  }
};

/** Parts under a temporary name, then a copy to the key inside the store. */
const putPartsByCopy = async (
  writing: S3Writing,
  key: ObjectKey,
  upload: Upload,
  options: PutOptions,
  send: () => Promise<WriteRecord>,
): Promise<{ readonly record: WriteRecord; readonly written: Written }> => {
  const { connection } = writing;
  let completed = false;
  try {
    const record = await send();
    completed = true;
    const etag = await completeUpload(connection, upload, {}, options.signal);
    await connection.dependencies.crashPoint('object-store.upload.completed');
    const written = await copyWithin(writing, { name: upload.target, etag, size: record.size }, key, record, options);
    return { record, written };
  } finally {
    if (completed) await removeTemporary(connection, upload.target);
    else await abortUpload(connection, upload);
  }
};

export const putObject = async (
  writing: S3Writing,
  key: ObjectKey,
  body: ObjectBody,
  options: PutOptions,
): Promise<Stored> => {
  const { connection } = writing;
  const { config } = connection;
  options.signal?.throwIfAborted();
  const contentType = checkContentType(options.contentType);
  const writeId = randomUUID();
  const known: { readonly size?: number; readonly sha256?: string } =
    body instanceof Uint8Array ? { size: body.byteLength, sha256: sha256Hex(body) } : (options.expected ?? {});
  if (body instanceof Uint8Array && known.size !== undefined && known.sha256 !== undefined) {
    checkExpected(key, options.expected, { size: known.size, sha256: known.sha256 });
  }

  const { chunks, seen } = hashing(key, body, options);
  const partBytes = Math.max(config.partBytes, Math.ceil((known.size ?? 0) / mostParts));
  const free: Uint8Array[] = [];
  const parts = splitParts(chunks, partBytes, free);
  const finished = (): WriteRecord => {
    const record = { size: seen.size, sha256: seen.sha256(), contentType, writeId };
    checkExpected(key, options.expected, record);
    return record;
  };
  try {
    const first = await parts.next();
    if (first.done === true) throw new CaseboundError('internal', 'A body was cut into no parts.');
    if (first.value.last) {
      const record = finished();
      const written = await putWhole(writing, key, first.value.bytes, record, options);
      return { key, size: record.size, sha256: record.sha256, ...written };
    }
    const all = async function* all(): AsyncGenerator<Part> {
      yield first.value;
      yield* parts;
    };
    const direct = known.size !== undefined && known.sha256 !== undefined;
    const declared = direct ? { size: known.size ?? 0, sha256: known.sha256 ?? '', contentType, writeId } : undefined;
    const target = bucketKey(config, declared === undefined ? `${ownPrefix}${randomUUID()}` : key);
    const metadata = declared === undefined ? {} : toMetadata(declared);
    const upload = await beginUpload(connection, target, contentType, metadata, options.signal);
    const send = async (): Promise<WriteRecord> => {
      await uploadParts(connection, upload, all(), free, options.signal);
      return finished();
    };
    if (declared !== undefined) {
      const written = await putPartsDirectly(writing, key, upload, declared, options, async () => void (await send()));
      return { key, size: declared.size, sha256: declared.sha256, ...written };
    }
    const { record, written } = await putPartsByCopy(writing, key, upload, options, send);
    return { key, size: record.size, sha256: record.sha256, ...written };
  } finally {
    await parts.return(undefined);
  }
};
