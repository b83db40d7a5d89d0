/**
 * Objects in a bucket of Amazon S3 or any endpoint that speaks its protocol.
 *
 * 1. The endpoint is not trusted to be right: what it delivers is compared with what the writer recorded (object-metadata.ts, read-object.ts).
 * 2. ETags are opaque. They tell versions apart; integrity rests on size and SHA-256.
 * 3. Nothing is sent when the store is opened; `probe` tells whether it works.
 */
import { CaseboundError } from '@casebound/contract';
import { checkPageSize } from '../../check-arguments.ts';
import { discardBody } from '../../checked-body.ts';
import type { S3ObjectStoreConfig } from '../../config.ts';
import type { ObjectStoreDependencies, S3Credentials } from '../../dependencies.ts';
import type { ObjectStore } from '../../Port.ts';
import { oneByOne } from '../../one-by-one.ts';
import { probePrefix, probeStore } from '../../probe-store.ts';
import { createConditionalWrites } from './conditional-writes.ts';
import { copyObject } from './copy-object.ts';
import { deleteNames, listObjects, sweepLeftovers } from './list-and-delete.ts';
import { createHead } from './object-metadata.ts';
import { readObject } from './read-object.ts';
import { bucketKey, connect } from './s3-client.ts';
import type { S3Writing } from './confirm-write.ts';
import { putObject } from './write-object.ts';

/** @param credentials resolves access keys; undefined for the SDK's default chain. */
export const openS3ObjectStore = async (
  config: S3ObjectStoreConfig,
  credentials: (() => Promise<S3Credentials>) | undefined,
  dependencies: ObjectStoreDependencies,
): Promise<ObjectStore> => {
  const connection = connect(config, credentials, dependencies);
  const head = createHead(connection);
  const conditional = createConditionalWrites(connection, head);
  const writing: S3Writing = { connection, conditional, head };
  let closed = false;
  const run = async <T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> => {
    if (closed) throw new CaseboundError('object_store_unavailable', 'The object store was closed.');
    signal?.throwIfAborted();
    try {
      return await task();
    } catch (error) {
      // The SDK reports an abort in its own words; the caller's reason says more.
      signal?.throwIfAborted();
      throw error;
    }
  };
  const deleteKeys: ObjectStore['delete'] = (keys, { signal } = {}) =>
    run(signal, () =>
      deleteNames(
        connection,
        [keys].flat().map((key) => bucketKey(config, key)),
        signal,
      ),
    );

  const single: Pick<ObjectStore, 'get' | 'head' | 'copy'> = {
    get: (key, options = {}) => run(options.signal, () => readObject(connection, key, options)),
    head: (key, { signal } = {}) =>
      run(signal, async () => {
        const found = await head(key, signal);
        if (found === undefined) return undefined;
        const { writeId: _writeId, ...info } = found;
        return info;
      }),
    copy: (source, destination, options = {}) =>
      run(options.signal, () => copyObject(writing, source, destination, options)),
  };
  const store: ObjectStore = {
    kind: 's3',
    ...single,
    ...oneByOne(single),
    put: async (key, body, options = {}) => {
      try {
        return await run(options.signal, () => putObject(writing, key, body, options));
      } catch (error) {
        discardBody(body);
        throw error;
      }
    },
    list: async function* list(prefix, { after, pageSize, signal } = {}) {
      const pages = listObjects(connection, prefix, after, checkPageSize(pageSize), signal);
      try {
        for (;;) {
          const page = await run(signal, () => pages.next());
          if (page.done === true) return;
          yield page.value;
        }
      } finally {
        await pages.return(undefined);
      }
    },
    delete: deleteKeys,
    deletePrefix: (prefix, { signal } = {}) =>
      run(signal, async () => {
        let removed = 0;
        for await (const page of listObjects(connection, prefix, undefined, 1_000, signal)) {
          await deleteNames(
            connection,
            page.map(({ key }) => bucketKey(config, key)),
            signal,
          );
          removed += page.length;
        }
        return removed;
      }),
    flush: async () => {},
    probe: ({ signal } = {}) =>
      run(signal, async () => {
        await conditional.checkSupport();
        const times = await probeStore(store, () => dependencies.clock.monotonicMs(), signal);
        return { address: connection.address, ...times };
      }),
    sweep: () => run(undefined, () => sweepLeftovers(connection, [probePrefix])),
    close: async () => {
      closed = true;
      connection.close();
    },
  };
  return store;
};
