/**
 * Create-only on an endpoint.
 *
 * - `native`: the write carries `If-None-Match: *`. An endpoint that ignores the header would overwrite, so before the first such write
 *   it is tried out on an object of our own; an endpoint that fails the trial gets no create-only write at all.
 * - `check-then-write`: look, then write, one writer of a key at a time within this process.
 * - A repeated request whose first answer was lost meets its own object; it is recognised by the id of the write.
 */
import { randomUUID } from 'node:crypto';
import { CopyObjectCommand, DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { CaseboundError } from '@casebound/contract';
import { checkSameOrExists } from '../../check-arguments.ts';
import type { ObjectKey } from '../../Port.ts';
import type { S3ObjectInfo, WriteRecord } from './object-metadata.ts';
import { bucketKey, ownPrefix, type S3Connection } from './s3-client.ts';
import { isStatus } from './s3-errors.ts';

export interface Written {
  readonly etag: string;
  readonly created: boolean;
}

export type IfNoneMatch = { readonly IfNoneMatch?: '*' };

export interface ConditionalWrites {
  /**
   * Runs a write that must not replace anything. `write` sends the request with the given members and returns the ETag.
   * @throws `object_exists` when the key has other bytes.
   */
  createOnly(
    key: ObjectKey,
    record: WriteRecord,
    write: (condition: IfNoneMatch) => Promise<string>,
    signal: AbortSignal | undefined,
  ): Promise<Written>;
  /** @throws `object_store_denied` when the endpoint ignores conditions although the setting says `native`. */
  checkSupport(): Promise<void>;
}

const conflictPauseMs = 50;

const tryOut = async (connection: S3Connection): Promise<void> => {
  const { bucket } = connection.config;
  const key = bucketKey(connection.config, `${ownPrefix}${randomUUID()}`);
  const target = { Bucket: bucket, Key: key };
  const ignores = async (request: (client: S3Client) => Promise<unknown>): Promise<boolean> => {
    try {
      await connection.sendRaw(request);
      return true;
    } catch (error) {
      if (isStatus(error, 412, 409)) return false;
      throw connection.classify(error, 'try out conditional writes');
    }
  };
  await connection.send('try out conditional writes', (client) =>
    client.send(new PutObjectCommand({ ...target, Body: Buffer.from('1') })),
  );
  try {
    const put = await ignores((client) =>
      client.send(new PutObjectCommand({ ...target, Body: Buffer.from('2'), IfNoneMatch: '*' })),
    );
    const copy = await ignores((client) =>
      client.send(
        new CopyObjectCommand({
          ...target,
          CopySource: `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`,
          MetadataDirective: 'REPLACE',
          Metadata: { trial: '1' },
          IfNoneMatch: '*',
        }),
      ),
    );
    if (put || copy) {
      throw new CaseboundError(
        'object_store_denied',
        `The endpoint ${connection.address} ignores "If-None-Match: *" on ${put ? 'puts' : 'copies'}, so it would overwrite objects that must not be. Set objectStore.conditionalWrites to "check-then-write" if a single process writes to this bucket, or use another endpoint.`,
      );
    }
  } finally {
    await connection
      .send('remove its trial object', (client) => client.send(new DeleteObjectCommand(target)))
      .catch(() => {});
  }
};

export const createConditionalWrites = (
  connection: S3Connection,
  head: (key: ObjectKey, signal?: AbortSignal) => Promise<S3ObjectInfo | undefined>,
): ConditionalWrites => {
  const { conditionalWrites, maxAttempts } = connection.config;
  let support: Promise<void> | undefined;
  const checkSupport = async (): Promise<void> => {
    if (conditionalWrites !== 'native') return;
    support ??= tryOut(connection);
    try {
      await support;
    } catch (error) {
      support = undefined;
      throw error;
    }
  };

  const native: ConditionalWrites['createOnly'] = async (key, record, write, signal) => {
    await checkSupport();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return { etag: await write({ IfNoneMatch: '*' }), created: true };
      } catch (error) {
        const original = error instanceof CaseboundError ? error.cause : error;
        if (!isStatus(original, 409, 412)) throw error;
        const found = await head(key, signal);
        if (found?.writeId === record.writeId && found.sha256 === record.sha256)
          return { etag: found.etag, created: true };
        if (found !== undefined) return { etag: checkSameOrExists(key, record, found).etag, created: false };
        // 409: another conditional write of the key is under way. Or the object was deleted since the 412.
        if (attempt >= maxAttempts) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * conflictPauseMs * 2 ** attempt));
      }
    }
  };

  const writing = new Map<ObjectKey, Promise<unknown>>();
  const oneAtATime = async <T>(key: ObjectKey, task: () => Promise<T>): Promise<T> => {
    const before = writing.get(key) ?? Promise.resolve();
    const own = before.then(task, task);
    writing.set(key, own);
    try {
      return await own;
    } finally {
      if (writing.get(key) === own) writing.delete(key);
    }
  };
  const checkThenWrite: ConditionalWrites['createOnly'] = (key, record, write, signal) =>
    oneAtATime(key, async () => {
      const found = await head(key, signal);
      if (found !== undefined) return { etag: checkSameOrExists(key, record, found).etag, created: false };
      return { etag: await write({}), created: true };
    });

  return { createOnly: conditionalWrites === 'native' ? native : checkThenWrite, checkSupport };
};
