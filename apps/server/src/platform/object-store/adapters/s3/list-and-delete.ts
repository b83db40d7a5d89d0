/** Listing and deleting in bulk. */
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { CaseboundError } from '@casebound/contract';
import { ObjectKey } from '../../key.ts';
import { forEachConcurrently } from '../../limit-concurrency.ts';
import type { ListedObject } from '../../Port.ts';
import { abortUpload } from './multi-part.ts';
import { aborting, bucketKey, ownPrefix, type S3Connection } from './s3-client.ts';
import { describeEndpointError } from './s3-errors.ts';

/** The limit of one request. */
const mostDeletes = 1_000;
const batchesAtOnce = 4;
const deletesAtOnce = 16;
const retryPauseMs = 100;

interface ListedName {
  readonly name: string;
  readonly size: number;
  readonly lastModified: Date;
}

/**
 * Pages of names in the bucket after a name.
 * @throws `object_store_denied` when the endpoint lists out of order or without end: then objects would be passed over in silence.
 */
async function* listNames(
  connection: S3Connection,
  prefix: string,
  after: string,
  pageSize: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly ListedName[]> {
  let token: string | undefined;
  let previous = after;
  for (;;) {
    const answer = await connection.send('list objects', (client) =>
      client.send(
        new ListObjectsV2Command({
          Bucket: connection.config.bucket,
          Prefix: prefix,
          MaxKeys: pageSize,
          ...(token === undefined ? {} : { ContinuationToken: token }),
          ...(token === undefined && after !== '' ? { StartAfter: after } : {}),
        }),
        aborting(signal),
      ),
    );
    // A page of some proxy parses as an empty listing; a listing always says whether it goes on.
    if (answer.IsTruncated === undefined) {
      throw new CaseboundError(
        'object_store_unavailable',
        `${connection.address} did not answer a listing with a listing. Check that the endpoint is an object store.`,
      );
    }
    const page: ListedName[] = [];
    for (const { Key: name, Size: size, LastModified: lastModified } of answer.Contents ?? []) {
      if (name === undefined || !name.startsWith(prefix)) continue;
      if (name <= previous) {
        throw new CaseboundError(
          'object_store_denied',
          `${connection.address} does not list objects in the order of their keys, so some could be missed. Use a general-purpose bucket or another endpoint.`,
        );
      }
      previous = name;
      page.push({ name, size: size ?? 0, lastModified: lastModified ?? new Date(0) });
    }
    if (page.length > 0) yield page;
    if (!answer.IsTruncated) return;
    const next = answer.NextContinuationToken;
    if (next === undefined || next === token) {
      throw new CaseboundError(
        'object_store_denied',
        `${connection.address} says that a listing goes on, but not where. Use another endpoint.`,
      );
    }
    token = next;
  }
}

/** Pages of objects; names in the bucket that are no object keys belong to somebody else and are passed over. */
export async function* listObjects(
  connection: S3Connection,
  prefix: string,
  after: string | undefined,
  pageSize: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly ListedObject[]> {
  const { config } = connection;
  const start = after === undefined ? '' : bucketKey(config, after);
  for await (const names of listNames(connection, bucketKey(config, prefix), start, pageSize, signal)) {
    const page: ListedObject[] = [];
    for (const { name, size, lastModified } of names) {
      const key = ObjectKey.safeParse(name.slice(config.keyPrefix.length));
      if (key.success) page.push({ key: key.data, size, lastModified });
    }
    if (page.length > 0) yield page;
  }
}

const deleteName = async (connection: S3Connection, name: string, signal: AbortSignal | undefined): Promise<void> => {
  try {
    await connection.send('delete an object', (client) =>
      client.send(new DeleteObjectCommand({ Bucket: connection.config.bucket, Key: name }), aborting(signal)),
    );
  } catch (error) {
    if (!(error instanceof CaseboundError) || error.code !== 'object_not_found') throw error;
  }
};

/** Deletes one batch and returns the names that the endpoint could not delete, with the error of one. */
const deleteBatch = async (
  connection: S3Connection,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ readonly left: readonly string[]; readonly error?: unknown }> => {
  try {
    const answer = await connection.sendRaw((client) =>
      client.send(
        new DeleteObjectsCommand({
          Bucket: connection.config.bucket,
          Delete: { Objects: names.map((Key) => ({ Key })) },
        }),
        aborting(signal),
      ),
    );
    const deleted = new Set((answer.Deleted ?? []).map(({ Key }) => Key));
    const failed = new Map((answer.Errors ?? []).map(({ Key, Code }) => [Key, Code]));
    // What is neither reported as deleted nor as missing is not taken for deleted.
    const left = names.filter((name) => !deleted.has(name) && failed.get(name) !== 'NoSuchKey');
    if (left.length === 0) return { left };
    const code = left.map((name) => failed.get(name)).find((each) => each !== undefined) ?? 'no confirmation';
    const error = connection.classify({ name: code, $metadata: { httpStatusCode: 500 } }, 'delete objects');
    return { left, error };
  } catch (error) {
    const { name, status } = describeEndpointError(error);
    if (name !== 'NotImplemented' && status !== 501) throw connection.classify(error, 'delete objects');
    await forEachConcurrently(names, deletesAtOnce, (each) => deleteName(connection, each, signal));
    return { left: [] };
  }
};

const deleteBatchWithRetry = async (
  connection: S3Connection,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> => {
  let left = names;
  for (let attempt = 1; ; attempt += 1) {
    const result = await deleteBatch(connection, left, signal);
    if (result.left.length === 0) return;
    const again = result.error instanceof CaseboundError && result.error.code === 'object_store_unavailable';
    if (!again || attempt >= connection.config.maxAttempts) throw result.error;
    left = result.left;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * retryPauseMs * 2 ** attempt));
  }
};

/** Deletes names in the bucket; those that do not exist count as deleted. */
export const deleteNames = async (
  connection: S3Connection,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> => {
  const [only] = names;
  if (only === undefined) return;
  if (names.length === 1) return deleteName(connection, only, signal);
  const batches: (readonly string[])[] = [];
  for (let start = 0; start < names.length; start += mostDeletes) batches.push(names.slice(start, start + mostDeletes));
  await forEachConcurrently(batches, batchesAtOnce, (batch) => deleteBatchWithRetry(connection, batch, signal));
};

/** Removes temporary objects and unfinished uploads that are older than the setting. Only those of this store's key prefix. */
export const sweepLeftovers = async (
  connection: S3Connection,
  prefixes: readonly string[],
): Promise<{ readonly temporary: number; readonly uploads: number }> => {
  const { config, dependencies } = connection;
  const oldest = dependencies.clock.now().getTime() - config.sweepAfterSeconds * 1_000;
  let temporary = 0;
  for (const prefix of [ownPrefix, ...prefixes]) {
    for await (const page of listNames(connection, bucketKey(config, prefix), '', mostDeletes, undefined)) {
      const old = page.filter(({ lastModified }) => lastModified.getTime() < oldest).map(({ name }) => name);
      await deleteNames(connection, old, undefined);
      temporary += old.length;
    }
  }
  let uploads = 0;
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (marker !== undefined) {
    const from: { KeyMarker?: string; UploadIdMarker?: string } = marker;
    const answer = await connection.send('list unfinished uploads', (client) =>
      client.send(new ListMultipartUploadsCommand({ Bucket: config.bucket, Prefix: config.keyPrefix, ...from })),
    );
    for (const { Key: target, UploadId: id, Initiated: begun } of answer.Uploads ?? []) {
      if (target === undefined || id === undefined || begun === undefined || begun.getTime() >= oldest) continue;
      if (!target.startsWith(config.keyPrefix)) continue;
      const key = target.slice(config.keyPrefix.length);
      if (!key.startsWith(ownPrefix) && !ObjectKey.safeParse(key).success) continue;
      await abortUpload(connection, { target, id, parts: [] });
      uploads += 1;
    }
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = answer;
    const moved = NextKeyMarker !== from.KeyMarker || NextUploadIdMarker !== from.UploadIdMarker;
    marker =
      IsTruncated === true && NextKeyMarker !== undefined && moved
        ? {
            KeyMarker: NextKeyMarker,
            ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
          }
        : undefined;
  }
  return { temporary, uploads };
};
