import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeObjectStore, type ConformanceTarget } from '../../conformance.ts';
import { filesystemObjectStoreConfig } from '../../config.ts';
import { openFilesystemObjectStore } from './filesystem-object-store.ts';
import { testDependencies } from '../../testing/test-dependencies.ts';

const openTarget = async (settings: Record<string, unknown>): Promise<ConformanceTarget> => {
  const folder = await mkdtemp(join(tmpdir(), 'casebound-objects-'));
  const root = join(folder, 'objects');
  const config = filesystemObjectStoreConfig.parse({ kind: 'filesystem', ...settings });
  const store = await openFilesystemObjectStore({ ...config, root }, testDependencies());
  return {
    store,
    leftovers: () => readdir(join(root, '%tmp')),
    dispose: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
};

const options = { largeBytes: 700_001, propertyRuns: 60, abandonedReads: 200, creators: 1_000, manyObjects: 1_203 };

describeObjectStore('files, hard links', () => openTarget({ fsync: 'never' }), options);
describeObjectStore('files, reflinks, batched fsync', () => openTarget({ fsync: 'batch', copies: 'reflink' }), options);
describeObjectStore('files, bytes copied, fsync at once', () => openTarget({ fsync: 'always', copies: 'bytes' }), {
  ...options,
  propertyRuns: 10,
});
