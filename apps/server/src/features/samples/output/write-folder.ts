/** A sample as files in a folder: some writes at a time, so that the disk and the processor work side by side. */
import { CaseboundError } from '@casebound/contract';
import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SampleSink } from './Sink.ts';

const WRITES_AT_A_TIME = 16;

/** What to tell of a file that could not be written; the system's own code says why. */
const unwritable = (file: string, error: unknown): CaseboundError => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const reason = code === 'ENOSPC' || code === 'EDQUOT' ? `the disk is full (${code})` : `the system answers ${code}`;
  return new CaseboundError(
    'data_folder_unusable',
    `\`${file}\` cannot be written: ${reason}. The sample is not whole.`,
    {
      cause: error,
    },
  );
};

export const createFolderSink = (root: string): SampleSink => {
  const folders = new Map<string, Promise<unknown>>();
  const growing = new Map<string, FileHandle>();
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;

  const target = async (name: string): Promise<string> => {
    const full = path.join(root, ...name.split('/'));
    const folder = path.dirname(full);
    let made = folders.get(folder);
    if (made === undefined) folders.set(folder, (made = mkdir(folder, { recursive: true })));
    await made;
    return full;
  };
  const rethrow = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  const close = async (): Promise<void> => {
    await Promise.all(running);
    for (const file of growing.values()) await file.close();
    growing.clear();
  };

  return {
    write: async (name, bytes) => {
      const job = target(name)
        .then((full) => writeFile(full, bytes))
        .catch((error: unknown) => {
          failure ??= { error: unwritable(path.join(root, name), error) };
        })
        .finally(() => running.delete(job));
      running.add(job);
      while (running.size >= WRITES_AT_A_TIME) await Promise.race(running);
      rethrow();
    },
    append: async (name, bytes) => {
      try {
        let file = growing.get(name);
        if (file === undefined) growing.set(name, (file = await open(await target(name), 'w')));
        await file.writeFile(bytes);
      } catch (error) {
        throw unwritable(path.join(root, name), error);
      }
    },
    finish: async () => {
      await close();
      rethrow();
    },
    abandon: close,
  };
};
