/**
 * A sample as one zip, with the truth beside it.
 *
 * - Files that grow while others are written (load files) wait in a spool folder and go in last.
 * - At most 32 MB wait for the archive; a writer is held up beyond that.
 */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { fileNames } from '../prepare-folder.ts';
import type { SampleSink } from './Sink.ts';
import { createFolderSink } from './write-folder.ts';

const MAX_WAITING = 32 * 1024 * 1024;
/** The same in every time zone: zip has local times. */
const options = { mtime: new Date(2021, 0, 1), mode: 0o100644, forceDosTimestamp: true, compressionLevel: 6 } as const;

export const createZipSink = (root: string): SampleSink => {
  const zip = new ZipFile();
  const spool = path.join(root, fileNames.spool);
  const spooled = createFolderSink(spool);
  const beside = createFolderSink(root);
  const growing = new Set<string>();
  const abandoned = new AbortController();
  /** Bytes that the archive has not taken yet. */
  const queue = { waiting: 0, failure: undefined as { readonly error: unknown } | undefined };
  let roomier = Promise.withResolvers<void>();
  const written = pipeline(zip.outputStream, createWriteStream(path.join(root, fileNames.archive)), {
    signal: abandoned.signal,
  });
  // Awaited in `finish`; until then a failure is noticed by whoever writes next.
  written.catch((error: unknown) => {
    queue.failure = { error };
    roomier.resolve();
  });

  return {
    write: async (name, bytes) => {
      queue.waiting += bytes.length;
      zip.addReadStreamLazy(name, options, (deliver) => {
        queue.waiting -= bytes.length;
        roomier.resolve();
        deliver(null, Readable.from([bytes], { objectMode: false }));
      });
      while (queue.waiting > MAX_WAITING && queue.failure === undefined) {
        roomier = Promise.withResolvers<void>();
        await roomier.promise;
      }
      if (queue.failure !== undefined) throw queue.failure.error;
    },
    append: (name, bytes) => {
      if (name === fileNames.truth) return beside.append(name, bytes);
      growing.add(name);
      return spooled.append(name, bytes);
    },
    finish: async () => {
      await spooled.finish();
      for (const name of growing) zip.addFile(path.join(spool, name), name, options);
      zip.end();
      await written;
      await beside.finish();
      await rm(spool, { recursive: true, force: true });
    },
    abandon: async () => {
      abandoned.abort();
      await spooled.abandon();
      await beside.abandon();
    },
  };
};
