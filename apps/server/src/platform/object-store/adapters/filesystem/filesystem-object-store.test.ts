import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeObjectStore, type ConformanceTarget } from '../../conformance.ts';
import { filesystemObjectStoreConfig } from '../../config.ts';
import { openFilesystemObjectStore } from './filesystem-object-store.ts';
import { createKnownFolders } from './folders.ts';
import { flatLayout, mirroredLayout } from './object-path.ts';
import { walkObjects } from './walk-objects.ts';
import { compareKeys, objectKey, objectPrefix } from '../../key.ts';
import { testDependencies } from '../../testing/test-dependencies.ts';

const openTarget = async (
  settings: Record<string, unknown>,
  format?: number,
): Promise<ConformanceTarget & { readonly root: string }> => {
  const folder = await mkdtemp(join(tmpdir(), 'casebound-objects-'));
  const root = join(folder, 'objects');
  if (format !== undefined) {
    await mkdir(root);
    await writeFile(join(root, '%casebound-object-store.json'), `{"format":${format}}\n`);
  }
  const config = filesystemObjectStoreConfig.parse({ kind: 'filesystem', ...settings });
  const store = await openFilesystemObjectStore({ ...config, root }, testDependencies());
  return {
    store,
    root,
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
describeObjectStore('files of a store of format 1', () => openTarget({ fsync: 'never' }, 1), {
  ...options,
  propertyRuns: 10,
});

describe.each([
  ['of a store of format 1', mirroredLayout],
  ['of a new store', flatLayout],
])('listing files %s', (_title, layout) => {
  const segment = fc.oneof(
    fc.constantFrom('a', 'b', 'A', 'a-', 'a.b'),
    fc.constantFrom('l', 'm').map((letter) => letter.repeat(120)),
  );
  const keys = fc.uniqueArray(
    fc.array(segment, { minLength: 5, maxLength: 7 }).map((parts) => ['c', 'p', ...parts.slice(2)].join('/')),
    { minLength: 1, maxLength: 60 },
  );

  it('gives all keys of a prefix in their order, whatever their depth and length, in passes of any size', async () => {
    await fc.assert(
      fc.asyncProperty(keys, fc.integer({ min: 1, max: 7 }), fc.nat(), async (texts, mostNames, pick) => {
        const target = await openTarget({ fsync: 'never' }, layout === mirroredLayout ? 1 : 2);
        try {
          for (const text of texts) await target.store.put(objectKey(text), Buffer.from('x'));
          const place = {
            root: await realpath(target.root),
            layout,
            known: createKnownFolders(testDependencies().clock),
          };
          const chosen = texts[pick % texts.length] ?? '';
          const prefixes = [
            'c/',
            ...chosen
              .split('/')
              .map((_, at, all) => `${all.slice(0, at).join('/')}/`)
              .slice(1),
          ];
          for (const prefix of prefixes) {
            for (const after of ['', chosen]) {
              const found: string[] = [];
              for await (const { key } of walkObjects(place, objectPrefix(prefix), after, mostNames)) found.push(key);
              expect(found).toEqual(texts.filter((one) => one.startsWith(prefix) && one > after).toSorted(compareKeys));
            }
          }
        } finally {
          await target.dispose();
        }
      }),
      { numRuns: 25 },
    );
  });
});
