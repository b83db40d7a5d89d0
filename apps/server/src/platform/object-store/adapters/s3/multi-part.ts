/**
 * Multi-part uploads and copies.
 *
 * - An upload is completed or aborted; one whose process died is found by the sweep.
 * - Parts travel in parallel, a bounded number at once. A failure lets the running ones end, then aborts.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { CaseboundError } from '@casebound/contract';
import { forEachConcurrently } from '../../limit-concurrency.ts';
import type { IfNoneMatch } from './conditional-writes.ts';
import { aborting, type S3Connection } from './s3-client.ts';

/** The limit of S3. */
export const mostParts = 10_000;

/** @throws `object_store_unavailable` when the answer to a write lacks the ETag that confirms it: then something else answered. */
export const confirmed = (connection: S3Connection, etag: string | undefined, doing: string): string => {
  if (etag !== undefined) return etag;
  throw new CaseboundError(
    'object_store_unavailable',
    `${connection.address} did not confirm ${doing}. Check that the endpoint is an object store, and try again.`,
  );
};

export interface Upload {
  /** Name in the bucket. */
  readonly target: string;
  readonly id: string;
  readonly parts: CompletedPart[];
}

export const beginUpload = async (
  connection: S3Connection,
  target: string,
  contentType: string,
  metadata: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Upload> => {
  const answer = await connection.send('begin an upload', (client) =>
    client.send(
      new CreateMultipartUploadCommand({
        Bucket: connection.config.bucket,
        Key: target,
        ContentType: contentType,
        Metadata: metadata,
      }),
      aborting(signal),
    ),
  );
  if (answer.UploadId === undefined) {
    throw new CaseboundError(
      'object_store_unavailable',
      `${connection.address} began an upload without naming it. Try again.`,
    );
  }
  return { target, id: answer.UploadId, parts: [] };
};

export const uploadPart = async (
  connection: S3Connection,
  upload: Upload,
  number: number,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const answer = await connection.send(`store part ${number} of an upload`, (client) =>
    client.send(
      new UploadPartCommand({
        Bucket: connection.config.bucket,
        Key: upload.target,
        UploadId: upload.id,
        PartNumber: number,
        Body: bytes,
        ContentLength: bytes.byteLength,
      }),
      aborting(signal),
    ),
  );
  upload.parts.push({ PartNumber: number, ETag: confirmed(connection, answer.ETag, 'storing a part') });
};

export interface CopySource {
  /** `bucket/key`, percent-encoded. */
  readonly path: string;
  readonly etag: string;
  readonly size: number;
}

/** Copies an object into an upload inside the store, in parts of the configured size or larger where there would be too many. */
export const copyIntoUpload = async (
  connection: S3Connection,
  upload: Upload,
  source: CopySource,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const { copyPartBytes, partConcurrency, bucket } = connection.config;
  const partBytes = Math.max(copyPartBytes, Math.ceil(source.size / mostParts));
  const numbers = Array.from({ length: Math.ceil(source.size / partBytes) }, (_, i) => i + 1);
  await forEachConcurrently(numbers, partConcurrency, async (number) => {
    const start = (number - 1) * partBytes;
    const end = Math.min(source.size, start + partBytes);
    const answer = await connection.send(`copy part ${number} of an object`, (client) =>
      client.send(
        new UploadPartCopyCommand({
          Bucket: bucket,
          Key: upload.target,
          UploadId: upload.id,
          PartNumber: number,
          CopySource: source.path,
          CopySourceIfMatch: source.etag,
          CopySourceRange: `bytes=${start}-${end - 1}`,
        }),
        aborting(signal),
      ),
    );
    const etag = confirmed(connection, answer.CopyPartResult?.ETag, 'copying a part');
    upload.parts.push({ PartNumber: number, ETag: etag });
  });
};

/** Makes the upload an object and returns its ETag. */
export const completeUpload = async (
  connection: S3Connection,
  upload: Upload,
  condition: IfNoneMatch,
  signal: AbortSignal | undefined,
): Promise<string> => {
  const parts = upload.parts.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
  const answer = await connection.send('complete an upload', (client) =>
    client.send(
      new CompleteMultipartUploadCommand({
        Bucket: connection.config.bucket,
        Key: upload.target,
        UploadId: upload.id,
        MultipartUpload: { Parts: parts },
        ...condition,
      }),
      aborting(signal),
    ),
  );
  return confirmed(connection, answer.ETag, 'completing an upload');
};

/** Takes an upload back. What cannot be taken back now is left to the sweep. */
export const abortUpload = async (connection: S3Connection, upload: Upload): Promise<void> => {
  try {
    await connection.send('abort an upload', (client) =>
      client.send(
        new AbortMultipartUploadCommand({
          Bucket: connection.config.bucket,
          Key: upload.target,
          UploadId: upload.id,
        }),
      ),
    );
  } catch (error) {
    connection.dependencies.log.warn('An upload could not be aborted; the next sweep removes it', {
      component: 'object-store',
      errorCode: error instanceof CaseboundError ? error.code : 'internal',
    });
  }
};
