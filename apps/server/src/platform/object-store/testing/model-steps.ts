/** Random operations on a store and on a Map, for the property that the two cannot be told apart. */
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { compareKeys, objectKey, objectPrefix, type ObjectKey, type ObjectPrefix, type ObjectStore } from '../Port.ts';
import { readBytes } from '../read-bytes.ts';
import { codeOf, keysOf, listAll, sha256Of } from './test-objects.ts';

const segment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'A', 'b', 'a-b', 'a.b', 'ab', 'a0', 'B', '.a', '-') },
  {
    weight: 1,
    arbitrary: fc.stringMatching(/^[A-Za-z0-9._=@+,-]{1,12}$/).filter((text) => text !== '.' && text !== '..'),
  },
);
const relativeKey = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join('/'));

export type Step =
  | { readonly do: 'put'; readonly key: string; readonly bytes: Uint8Array; readonly ifAbsent: boolean }
  | { readonly do: 'copy'; readonly from: string; readonly to: string; readonly ifAbsent: boolean }
  | { readonly do: 'delete'; readonly keys: readonly string[] }
  | { readonly do: 'deletePrefix'; readonly prefix: string }
  | { readonly do: 'list'; readonly prefix: string; readonly after: string | undefined; readonly pageSize: number }
  | { readonly do: 'read'; readonly key: string };

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      key: relativeKey,
      bytes: fc.uint8Array({ maxLength: 40 }),
      ifAbsent: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('copy' as const),
      from: relativeKey,
      to: relativeKey,
      ifAbsent: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      keys: fc.array(relativeKey, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deletePrefix' as const), prefix: relativeKey }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      prefix: fc.oneof(
        fc.constant(''),
        relativeKey.map((key) => `${key}/`),
      ),
      after: fc.option(relativeKey, { nil: undefined }),
      pageSize: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const), key: relativeKey }) },
);

/** Does a step in the store and in a Map, and expects the same of both. */
export const runStep = async (
  store: ObjectStore,
  model: Map<string, Uint8Array>,
  base: ObjectPrefix,
  { ...action }: Step,
): Promise<void> => {
  const at = (key: string): ObjectKey => objectKey(`${base}${key}`);
  const create = async (
    key: string,
    bytes: Uint8Array,
    ifAbsent: boolean,
    write: () => Promise<{ created: boolean; sha256: string; size: number }>,
  ): Promise<void> => {
    const present = model.get(key);
    if (ifAbsent && present !== undefined && sha256Of(present) !== sha256Of(bytes)) {
      expect(await codeOf(write())).toBe('object_exists');
      return;
    }
    const stored = await write();
    expect(stored).toMatchObject({ sha256: sha256Of(bytes), size: bytes.byteLength });
    expect(stored.created).toBe(!(ifAbsent && present !== undefined));
    model.set(key, bytes);
  };
  switch (action.do) {
    case 'put':
      return create(action.key, action.bytes, action.ifAbsent, () =>
        store.put(at(action.key), action.bytes, { ifAbsent: action.ifAbsent }),
      );
    case 'copy': {
      const source = model.get(action.from);
      const copy = () => store.copy(at(action.from), at(action.to), { ifAbsent: action.ifAbsent });
      if (source === undefined) expect(await codeOf(copy())).toBe('object_not_found');
      else await create(action.to, source, action.ifAbsent, copy);
      return;
    }
    case 'delete':
      await store.delete(action.keys.map(at));
      for (const key of action.keys) model.delete(key);
      return;
    case 'deletePrefix': {
      const doomed = [...model.keys()].filter((key) => key.startsWith(`${action.prefix}/`));
      expect(await store.deletePrefix(objectPrefix(`${base}${action.prefix}/`))).toBe(doomed.length);
      for (const key of doomed) model.delete(key);
      return;
    }
    case 'list': {
      const { after, pageSize } = action;
      const wanted = [...model.keys()]
        .filter((key) => key.startsWith(action.prefix) && (after === undefined || key > after))
        .sort(compareKeys);
      const options = { pageSize, ...(after === undefined ? {} : { after: at(after) }) };
      const found = await listAll(store, objectPrefix(`${base}${action.prefix}`), options);
      expect(keysOf(found)).toEqual(wanted.map(at));
      expect(found.map(({ size }) => size)).toEqual(wanted.map((key) => model.get(key)?.byteLength));
      return;
    }
    case 'read': {
      const bytes = model.get(action.key);
      if (bytes === undefined) {
        expect(await store.head(at(action.key))).toBeUndefined();
        expect(await codeOf(store.get(at(action.key)))).toBe('object_not_found');
        return;
      }
      expect(new Uint8Array(await readBytes(store, at(action.key), { maxBytes: 100 }))).toEqual(bytes);
      expect(await store.head(at(action.key))).toMatchObject({ size: bytes.byteLength, sha256: sha256Of(bytes) });
      return;
    }
  }
};
