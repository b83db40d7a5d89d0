/**
 * What every adapter must do. An adapter's own test file opens a store and passes it here; failure injection, which differs, is
 * tested there.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { hasCode } from '@casebound/contract';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runStep, step } from './testing/model-steps.ts';
import { compareKeys, objectKey, objectPrefix, type ObjectKey, type ObjectPrefix, type ObjectStore } from './Port.ts';
import { readBytes } from './read-bytes.ts';
import { codeOf, keysOf, listAll, sha256Of, streamOf } from './testing/test-objects.ts';

export interface ConformanceTarget {
  readonly store: ObjectStore;
  /** What the adapter left besides objects: temporary files, unfinished uploads. Empty when all is well. */
  leftovers(): Promise<readonly string[]>;
  dispose(): Promise<void>;
}

export interface ConformanceOptions {
  /** Bytes of an object that the adapter does not hold in memory or send at once. */
  readonly largeBytes: number;
  readonly propertyRuns: number;
  /** Reads that are opened and destroyed; more than the files or connections that may be open at once. */
  readonly abandonedReads: number;
  /** Concurrent create-only puts of one key. */
  readonly creators: number;
  /** Objects deleted in bulk; above 1,000 for an adapter that does so in batches. */
  readonly manyObjects: number;
}

export const describeObjectStore = (
  name: string,
  open: () => Promise<ConformanceTarget>,
  { largeBytes, propertyRuns, abandonedReads, creators, manyObjects }: ConformanceOptions,
): void => {
  describe(`object store: ${name}`, () => {
    let target: ConformanceTarget;
    let store: ObjectStore;
    let caseNumber = 0;
    const newPrefix = (): ObjectPrefix => objectPrefix(`case_${(caseNumber += 1)}/`);
    const newKey = (rest = 'a.txt'): ObjectKey => objectKey(`${newPrefix()}${rest}`);
    beforeAll(async () => {
      target = await open();
      store = target.store;
    });
    afterAll(async () => {
      const left = await target.leftovers();
      await target.dispose();
      expect(left).toEqual([]);
    });

    it('gives back what was put, with size, hash and content type', async () => {
      for (const bytes of [Buffer.alloc(0), Buffer.from('a'), randomBytes(65_536), randomBytes(300_001)]) {
        const key = newKey();
        const stored = await store.put(key, bytes, { contentType: 'text/plain; charset=utf-8' });
        expect(stored).toMatchObject({ key, size: bytes.byteLength, sha256: sha256Of(bytes), created: true });
        const reading = await store.get(key);
        expect(reading.info).toMatchObject({
          key,
          size: bytes.byteLength,
          sha256: sha256Of(bytes),
          contentType: 'text/plain; charset=utf-8',
          etag: stored.etag,
        });
        expect(Math.abs(reading.info.lastModified.getTime() - Date.now())).toBeLessThan(60_000);
        expect(Buffer.concat(await reading.body.toArray()).equals(bytes)).toBe(true);
        expect(await store.head(key)).toEqual(reading.info);
      }
    });

    it('takes streams, small, empty and large, with and without knowing their length', async () => {
      for (const bytes of [Buffer.alloc(0), randomBytes(1_000), randomBytes(largeBytes)]) {
        const expected = { size: bytes.byteLength, sha256: sha256Of(bytes) };
        for (const options of [{}, { expected }, { expected: { size: expected.size } }, { expected, ifAbsent: true }]) {
          const key = newKey();
          expect(await store.put(key, streamOf(bytes), options)).toMatchObject({ ...expected, created: true });
          const back = await readBytes(store, key, { maxBytes: bytes.byteLength });
          expect(back.equals(bytes)).toBe(true);
        }
      }
      const bytes = randomBytes(largeBytes);
      const key = newKey();
      await store.put(key, bytes);
      expect((await readBytes(store, key, { maxBytes: largeBytes })).equals(bytes)).toBe(true);
    });

    it('takes a producer that uses its buffer again', async () => {
      const key = newKey();
      const buffer = Buffer.alloc(100);
      async function* produce(): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 50; i += 1) yield buffer.fill(i);
      }
      await store.put(key, produce());
      const back = await readBytes(store, key, { maxBytes: 5_000 });
      expect([back[0], back[100], back[4_999]]).toEqual([0, 1, 49]);
    });

    it('stores nothing when bytes are not what was expected', async () => {
      const bytes = randomBytes(5_000);
      const wrong = [{ size: 4_999 }, { size: 5_001 }, { sha256: sha256Of(Buffer.from('other')) }];
      for (const expected of wrong) {
        const key = newKey();
        expect(await codeOf(store.put(key, bytes, { expected }))).toBe('object_corrupt');
        expect(await codeOf(store.put(key, streamOf(bytes, 999), { expected }))).toBe('object_corrupt');
        expect(await store.head(key)).toBeUndefined();
      }
      const large = randomBytes(largeBytes);
      const key = newKey();
      const expected = { size: largeBytes, sha256: sha256Of(bytes) };
      expect(await codeOf(store.put(key, streamOf(large), { expected }))).toBe('object_corrupt');
      expect(await store.head(key)).toBeUndefined();
    });

    it('keeps the old object when a put fails half-way, and passes the error of the body on', async () => {
      for (const size of [10, largeBytes]) {
        const key = newKey();
        await store.put(key, Buffer.from('old'));
        async function* broken(): AsyncGenerator<Uint8Array> {
          yield randomBytes(size);
          throw new RangeError('the producer failed');
        }
        await expect(store.put(key, broken())).rejects.toThrow(new RangeError('the producer failed'));
        expect((await readBytes(store, key, { maxBytes: 10 })).toString()).toBe('old');
      }
    });

    it('destroys the body of a put that fails', async () => {
      const body = streamOf(randomBytes(100_000), 10);
      expect(await codeOf(store.put(newKey(), body, { expected: { size: 5 } }))).toBe('object_corrupt');
      expect(body.destroyed).toBe(true);
    });

    it('ends a put or get that is aborted, with the reason of the signal', async () => {
      const key = newKey();
      const controller = new AbortController();
      const never = new Readable({ read() {} });
      never.push(Buffer.from('some'));
      const putting = store.put(key, never, { signal: controller.signal });
      setTimeout(() => controller.abort(new Error('enough')), 20);
      await expect(putting).rejects.toThrow('enough');
      expect(never.destroyed).toBe(true);
      expect(await store.head(key)).toBeUndefined();

      await store.put(key, randomBytes(largeBytes));
      const reader = new AbortController();
      const { body } = await store.get(key, { signal: reader.signal });
      const reading = (async () => {
        for await (const chunk of body) if (chunk !== undefined) reader.abort(new Error('stop'));
      })();
      await expect(reading).rejects.toThrow('stop');
      await expect(store.get(key, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
    });

    it('replaces: readers of the old object finish on the old object', async () => {
      const key = newKey();
      const old = randomBytes(largeBytes);
      await store.put(key, old);
      const reading = await store.get(key);
      await store.put(key, Buffer.from('new'));
      expect((await readBytes(store, key, { maxBytes: 3 })).toString()).toBe('new');
      // The file system's reader holds the old file; one over a network may be told that the object has changed, never gets a mixture.
      const outcome = await reading.body.toArray().then(
        (chunks) => Buffer.concat(chunks).equals(old),
        (error: unknown) => hasCode(error, 'object_store_unavailable'),
      );
      expect(outcome).toBe(true);
    });

    it('creates once: equal bytes are success, others are object_exists', async () => {
      const key = newKey();
      const first = await store.put(key, Buffer.from('one'), { ifAbsent: true });
      expect(first.created).toBe(true);
      const again = await store.put(key, Buffer.from('one'), { ifAbsent: true });
      expect(again).toEqual({ ...first, created: false });
      expect(await codeOf(store.put(key, Buffer.from('two'), { ifAbsent: true }))).toBe('object_exists');
      expect(await codeOf(store.put(key, streamOf(randomBytes(largeBytes)), { ifAbsent: true }))).toBe('object_exists');
      expect((await readBytes(store, key, { maxBytes: 10 })).toString()).toBe('one');
    });

    it('lets exactly one of many concurrent creators win', async () => {
      const key = newKey();
      const results = await Promise.allSettled(
        Array.from({ length: creators }, (_, i) => store.put(key, Buffer.from(`writer ${i}`), { ifAbsent: true })),
      );
      const winners = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []));
      expect(winners).toHaveLength(1);
      expect((await readBytes(store, key, { maxBytes: 100 })).toString()).toBe(`writer ${winners[0]}`);
      const codes = new Set(
        results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as { code?: string }).code] : [])),
      );
      expect([...codes]).toEqual(['object_exists']);
    });

    it('reads ranges exactly, and refuses those that are not within the object', async () => {
      for (const size of [1_000, largeBytes]) {
        const key = newKey();
        const bytes = randomBytes(size);
        await store.put(key, bytes);
        for (const [start, end] of [
          [0, 1],
          [0, size],
          [size - 1, size],
          [10, 500],
          [size - 700, size - 200],
        ] as const) {
          const part = await readBytes(store, key, { maxBytes: size, range: { start, end } });
          expect(part.equals(bytes.subarray(start, end))).toBe(true);
        }
        const rest = await readBytes(store, key, { maxBytes: size, range: { start: 600 } });
        expect(rest.equals(bytes.subarray(600))).toBe(true);
        const bad = [
          { start: 0, end: size + 1 },
          { start: size },
          { start: size + 5, end: size + 9 },
          { start: 5, end: 5 },
          { start: 6, end: 5 },
          { start: -1, end: 5 },
          { start: 0.5, end: 5 },
        ];
        for (const range of bad) expect(await codeOf(store.get(key, { range }))).toBe('object_range_invalid');
      }
      expect(await codeOf(store.get(newKey(), { range: { start: 0, end: 1 } }))).toBe('object_not_found');
      const empty = newKey();
      await store.put(empty, Buffer.alloc(0));
      expect(await codeOf(store.get(empty, { range: { start: 0, end: 1 } }))).toBe('object_range_invalid');
    });

    it('copies with content type, checks what is expected, and keeps the copy when the source goes', async () => {
      for (const size of [0, 20, largeBytes]) {
        const bytes = randomBytes(size);
        const source = newKey();
        const destination = newKey('deep/er/b');
        await store.put(source, bytes, { contentType: 'application/pdf' });
        const expected = { size, sha256: sha256Of(bytes) };
        expect(await store.copy(source, destination, { expected })).toMatchObject({
          key: destination,
          ...expected,
          created: true,
        });
        await store.delete(source);
        expect((await readBytes(store, destination, { maxBytes: size })).equals(bytes)).toBe(true);
        expect(await store.head(destination)).toMatchObject({ ...expected, contentType: 'application/pdf' });
      }
      const source = newKey();
      const destination = newKey();
      await store.put(source, Buffer.from('source'));
      expect(await codeOf(store.copy(source, destination, { expected: { size: 7 } }))).toBe('object_corrupt');
      expect(await codeOf(store.copy(source, destination, { expected: { sha256: '0'.repeat(64) } }))).toBe(
        'object_corrupt',
      );
      expect(await codeOf(store.copy(newKey(), destination))).toBe('object_not_found');
      expect(await store.head(destination)).toBeUndefined();
    });

    it('copies over an object, only onto a free key when asked, and onto itself', async () => {
      const [source, other, destination] = [newKey(), newKey(), newKey()];
      await store.put(source, Buffer.from('source'));
      await store.put(other, Buffer.from('other'));
      expect((await store.copy(source, destination, { ifAbsent: true })).created).toBe(true);
      expect((await store.copy(source, destination, { ifAbsent: true })).created).toBe(false);
      expect(await codeOf(store.copy(other, destination, { ifAbsent: true }))).toBe('object_exists');
      expect((await store.copy(other, destination)).created).toBe(true);
      expect((await readBytes(store, destination, { maxBytes: 10 })).toString()).toBe('other');
      // A second time: both names may be one file by now.
      await store.copy(other, destination);
      await store.copy(other, other);
      expect((await readBytes(store, other, { maxBytes: 10 })).toString()).toBe('other');
      await store.put(source, Buffer.from('changed'));
      await store.copy(source, destination);
      expect((await readBytes(store, other, { maxBytes: 10 })).toString()).toBe('other');
    });

    it('lists in byte order, in bounded pages, from where it is told', async () => {
      const prefix = newPrefix();
      const names = ['a', 'a-b', 'a/x', 'a/y/z', 'a0', 'A', 'B/1', 'b', 'Report.PDF', 'report.pdf', 'report.PDF', 'z'];
      const keys = names.map((each) => objectKey(`${prefix}${each}`)).sort(compareKeys);
      await Promise.all(keys.map((key, i) => store.put(key, Buffer.alloc(i))));
      await store.put(objectKey(`${prefix.slice(0, -1)}0/outside`), Buffer.from('x'));
      const all = await listAll(store, prefix);
      expect(keysOf(all)).toEqual(keys);
      expect(all.map(({ size }) => size)).toEqual(keys.map((_, i) => i));
      for await (const page of store.list(prefix, { pageSize: 5 })) {
        expect(page.length).toBeGreaterThan(0);
        expect(page.length).toBeLessThanOrEqual(5);
      }
      for (const [i, after] of keys.entries()) {
        expect(keysOf(await listAll(store, prefix, { after, pageSize: 3 }))).toEqual(keys.slice(i + 1));
      }
      expect(keysOf(await listAll(store, objectPrefix(`${prefix}a/`)))).toEqual(
        ['a/x', 'a/y/z'].map((each) => `${prefix}${each}`),
      );
      expect(await listAll(store, newPrefix())).toEqual([]);
      expect(await codeOf(listAll(store, prefix, { pageSize: 0 }))).toBe('validation_failed');
    });

    it('copies, describes and reads many at once, each by itself', async () => {
      const prefix = newPrefix();
      const bytesOf = (at: number): Buffer => Buffer.from(`object ${at}`.repeat(at === 7 ? largeBytes / 8 : 1));
      const keys = Array.from({ length: 40 }, (_, at) => objectKey(`${prefix}from/a/b/${at}/c.txt`));
      for (const [at, key] of keys.entries())
        if (at !== 5) await store.put(key, bytesOf(at), { contentType: 'text/x' });
      const stated = (at: number): { size: number; sha256: string } => ({
        size: bytesOf(at).length,
        sha256: sha256Of(bytesOf(at)),
      });
      const requests = keys.map((source, at) => ({
        source,
        destination: objectKey(`${prefix}to/a/b/${at}/c.txt`),
        expected: at === 6 ? { sha256: sha256Of(Buffer.from('other')) } : stated(at),
      }));
      const taken = objectKey(`${prefix}to/a/b/8/c.txt`);
      await store.put(taken, Buffer.from('was there'));
      for (const time of ['first', 'again']) {
        const copied = await store.copyAll(requests, { ifAbsent: true });
        expect(copied).toHaveLength(40);
        for (const [at, answer] of copied.entries()) {
          const code = at === 5 ? 'object_not_found' : at === 6 ? 'object_corrupt' : at === 8 ? 'object_exists' : '';
          if (code === '')
            expect(answer).toMatchObject({
              ok: true,
              value: { key: requests[at]?.destination, ...stated(at), created: time === 'first' },
            });
          else expect(answer).toMatchObject({ ok: false, error: { code } });
        }
      }
      expect(await store.copyAll(requests.slice(8, 9))).toMatchObject([{ ok: true, value: stated(8) }]);
      const heads = await store.headAll(requests.map(({ destination }) => destination));
      const reads = await store.readAll(
        requests.map(({ destination }) => destination),
        { maxBytes: 1_000 },
      );
      for (const [at, head] of heads.entries()) {
        if (at === 5 || at === 6) {
          expect(head).toEqual({ ok: true, value: undefined });
          expect(reads[at]).toMatchObject({ ok: false, error: { code: 'object_not_found' } });
          continue;
        }
        expect(head).toEqual({ ok: true, value: await store.head(requests[at]?.destination ?? taken) });
        const read = reads[at];
        if (at === 7) expect(read).toMatchObject({ ok: false, error: { code: 'object_corrupt' } });
        else expect(read?.ok === true && Buffer.from(read.value).equals(bytesOf(at))).toBe(true);
      }
      const ended = AbortSignal.abort(new Error('enough'));
      await expect(store.headAll(keys, { signal: ended })).rejects.toThrow('enough');
      await expect(store.copyAll(requests, { signal: ended })).rejects.toThrow('enough');
      expect(await store.readAll([], { maxBytes: 1 })).toEqual([]);
    });

    it('deletes one, many and all under a prefix; what is missing is success', async () => {
      const prefix = newPrefix();
      const neighbour = newKey('stay');
      await store.put(neighbour, Buffer.from('stay'));
      const keys = Array.from({ length: manyObjects }, (_, i) => objectKey(`${prefix}${i % 7}/${i}`));
      await Promise.all(keys.map((key) => store.put(key, Buffer.from('x'))));
      const [first, ...rest] = keys;
      if (first === undefined) throw new Error('no keys');
      await store.delete(first);
      await store.delete(first);
      expect(await store.head(first)).toBeUndefined();
      await store.delete([...rest.slice(0, -101), objectKey(`${prefix}never/was`)]);
      expect(await listAll(store, prefix)).toHaveLength(101);
      await store.delete([]);
      expect(await store.deletePrefix(prefix)).toBe(101);
      expect(await store.deletePrefix(prefix)).toBe(0);
      expect(await listAll(store, prefix)).toEqual([]);
      expect(await store.head(neighbour)).toBeDefined();
    });

    it('takes the longest keys that are allowed', async () => {
      const longest = 'Ab'.repeat(100);
      const key = objectKey(`case_longest/${Array.from({ length: 5 }, () => longest).join('/')}`);
      await store.put(key, Buffer.from('deep'));
      expect((await readBytes(store, key, { maxBytes: 4 })).toString()).toBe('deep');
      expect(keysOf(await listAll(store, objectPrefix('case_longest/')))).toEqual([key]);
      await store.delete(key);
    });

    it('refuses content types that no header can carry', async () => {
      for (const contentType of ['', 'text/plain\r\nx: y', 'é', 'x'.repeat(101), ' a']) {
        expect(await codeOf(store.put(newKey(), Buffer.from('a'), { contentType }))).toBe('validation_failed');
      }
    });

    it('probes, flushes and sweeps without leaving anything', async () => {
      const report = await store.probe();
      expect(report.address).not.toBe('');
      for (const ms of [report.writeMs, report.readMs, report.deleteMs]) expect(ms).toBeGreaterThanOrEqual(0);
      expect(await listAll(store, objectPrefix('casebound-probe/'))).toEqual([]);
      await store.flush();
      expect(await store.sweep()).toEqual({ temporary: 0, uploads: 0 });
    });

    it('frees what a read holds when its body is destroyed, read or not', async () => {
      const key = newKey();
      await store.put(key, randomBytes(largeBytes));
      for (let i = 0; i < abandonedReads; i += 1) {
        const { body } = await store.get(key);
        if (i % 2 === 0) body.once('readable', () => body.destroy());
        else body.destroy();
        if (i % 2 === 0) await new Promise((resolve) => body.once('close', resolve));
      }
      expect((await readBytes(store, key, { maxBytes: largeBytes })).byteLength).toBe(largeBytes);
    });

    it('behaves like a Map under any sequence of operations', { timeout: 120_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
          const prefix = newPrefix();
          const model = new Map<string, Uint8Array>();
          for (const each of steps) await runStep(store, model, prefix, each);
          const left = await listAll(store, prefix);
          expect(keysOf(left)).toEqual([...model.keys()].sort(compareKeys).map((key) => `${prefix}${key}`));
          expect(await store.deletePrefix(prefix)).toBe(model.size);
        }),
        { numRuns: propertyRuns },
      );
    });
  });
};
