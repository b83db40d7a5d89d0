/**
 * Copies inside the store.
 *
 * - A copy is of the very version of the source that was described (`CopySourceIfMatch`).
 * - It is checked: by the ETag when the endpoint gives the copy that of its source, else by the copy's own size and metadata.
 */
import { randomUUID } from 'node:crypto';
import { CopyObjectCommand } from '@aws-sdk/client-s3';
import { CaseboundError } from '@casebound/contract';
import { checkExpected } from '../../checked-body.ts';
import type { CopyOptions, ObjectKey, Stored } from '../../Port.ts';
import type { Written } from './conditional-writes.ts';
import { abortUpload, beginUpload, completeUpload, confirmed, copyIntoUpload } from './multi-part.ts';
import { toMetadata, type WriteRecord } from './object-metadata.ts';
import { aborting, bucketKey } from './s3-client.ts';
import { isStatus } from './s3-errors.ts';
import { checkWritten, writeAs, type S3Writing } from './confirm-write.ts';

export interface NamedSource {
  /** Name in the bucket. */
  readonly name: string;
  readonly etag: string;
  readonly size: number;
}

/** Copies what has a name in the bucket to a key, with the metadata of the record. */
export const copyWithin = async (
  writing: S3Writing,
  source: NamedSource,
  destination: ObjectKey,
  record: WriteRecord,
  options: CopyOptions,
): Promise<Written> => {
  const { connection } = writing;
  const { config } = connection;
  const target = bucketKey(config, destination);
  const path = `${config.bucket}/${source.name.split('/').map(encodeURIComponent).join('/')}`;

  if (source.size <= config.copyPartBytes) {
    let sameEtag = false;
    const written = await writeAs(writing, destination, record, options, async (condition) => {
      const answer = await connection.send(`copy to ${destination}`, (client) =>
        client.send(
          new CopyObjectCommand({
            Bucket: config.bucket,
            Key: target,
            CopySource: path,
            CopySourceIfMatch: source.etag,
            MetadataDirective: 'REPLACE',
            Metadata: toMetadata(record),
            ContentType: record.contentType,
            ...condition,
          }),
          aborting(options.signal),
        ),
      );
      const etag = confirmed(connection, answer.CopyObjectResult?.ETag, `copying to ${destination}`);
      sameEtag = etag === source.etag;
      return etag;
    });
    if (written.created && !sameEtag) await checkWritten(writing, destination, record, options.signal);
    return written;
  }

  const upload = await beginUpload(connection, target, record.contentType, toMetadata(record), options.signal);
  let completed = false;
  try {
    await copyIntoUpload(connection, upload, { path, etag: source.etag, size: source.size }, options.signal);
    const written = await writeAs(writing, destination, record, options, (condition) =>
      completeUpload(connection, upload, condition, options.signal),
    );
    completed = written.created;
    if (written.created) await checkWritten(writing, destination, record, options.signal);
    return written;
  } finally {
    if (!completed) await abortUpload(connection, upload);
  }
};

export const copyObject = async (
  writing: S3Writing,
  sourceKey: ObjectKey,
  destination: ObjectKey,
  options: CopyOptions,
): Promise<Stored> => {
  const { connection, head } = writing;
  options.signal?.throwIfAborted();
  const source = await head(sourceKey, options.signal);
  if (source === undefined) {
    throw new CaseboundError('object_not_found', `There is no object ${sourceKey} to copy.`);
  }
  checkExpected(sourceKey, options.expected, source);
  const { size, sha256, contentType, etag } = source;
  const record = { size, sha256, contentType, writeId: randomUUID() };
  const named = { name: bucketKey(connection.config, sourceKey), etag, size };
  try {
    const written = await copyWithin(writing, named, destination, record, options);
    return { key: destination, size, sha256, ...written };
  } catch (error) {
    const original = error instanceof CaseboundError ? error.cause : undefined;
    if (!isStatus(original, 412)) throw error;
    throw new CaseboundError(
      'object_store_unavailable',
      `The object ${sourceKey} was replaced while it was being copied. Try again.`,
      { cause: error },
    );
  }
};
