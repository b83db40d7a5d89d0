/** What the S3 adapter makes of an endpoint that fails, stalls, refuses and lies. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { CaseboundError } from '@casebound/contract';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, listAll, sha256Of, streamOf } from '../../testing/test-objects.ts';
import { s3ObjectStoreConfig } from '../../config.ts';
import { objectKey, objectPrefix, type ObjectKey, type ObjectStore } from '../../Port.ts';
import { collectBytes, readBytes } from '../../read-bytes.ts';
import { testDependencies } from '../../testing/test-dependencies.ts';
import {
  startFaultyEndpoint,
  type Fault,
  type FaultyEndpoint,
  type SeenRequest,
} from '../../testing/faulty-endpoint.ts';
import { openS3ObjectStore } from './s3-object-store.ts';

const mebibyte = 1024 * 1024;
const large = 11 * mebibyte;

const is =
  (method: string) =>
  (request: SeenRequest): boolean =>
    request.method === method;
const deleted = (key: string): string => `<Deleted><Key>${key}</Key></Deleted>`;
const failed = (key: string, code: string): string => `<Error><Key>${key}</Key><Code>${code}</Code></Error>`;

describe('S3 adapter against a faulty endpoint', () => {
  let endpoint: FaultyEndpoint;
  const stores: ObjectStore[] = [];
  let number = 0;
  const newKey = (): ObjectKey => objectKey(`case_1/${(number += 1)}`);
  const open = async (
    settings: Record<string, unknown> = {},
    credentials = async () => ({ accessKeyId: 'key', secretAccessKey: 'very-secret' }),
    dependencies = testDependencies(),
  ): Promise<ObjectStore> => {
    const config = s3ObjectStoreConfig.parse({
      kind: 's3',
      bucket: endpoint.bucket,
      endpoint: endpoint.url,
      partBytes: 5 * mebibyte,
      copyPartBytes: 5 * mebibyte,
      connectTimeoutMs: 500,
      requestTimeoutMs: 2_000,
      idleTimeoutMs: 300,
      maxAttempts: 3,
      ...settings,
    });
    const store = await openS3ObjectStore(config, credentials, dependencies);
    stores.push(store);
    return store;
  };
  let store: ObjectStore;
  const once = (fault: Fault, when: (request: SeenRequest) => boolean = () => true): void => {
    let done = false;
    endpoint.fault = (request) => {
      if (done || !when(request)) return undefined;
      done = true;
      return fault;
    };
  };
  const always = (fault: Fault, when: (request: SeenRequest) => boolean = () => true): void => {
    endpoint.fault = (request) => (when(request) ? fault : undefined);
  };
  const put = async (bytes: Uint8Array): Promise<ObjectKey> => {
    const key = newKey();
    await store.put(key, bytes);
    return key;
  };
  const read = (key: ObjectKey, range?: { start: number; end: number }) =>
    readBytes(store, key, { maxBytes: large, ...(range === undefined ? {} : { range }) });

  beforeAll(async () => {
    endpoint = await startFaultyEndpoint();
    store = await open();
  });
  beforeEach(() => endpoint.reset());
  afterAll(async () => {
    await Promise.all(stores.map((each) => each.close()));
    await endpoint.stop();
  });

  const transient: readonly Fault[] = [
    { kind: 'drop' },
    { kind: 'status', status: 500, code: 'InternalError' },
    { kind: 'status', status: 503, code: 'SlowDown' },
    { kind: 'status', status: 502, code: 'BadGateway' },
    { kind: 'loseAnswer' },
  ];
  for (const fault of transient) {
    const name = fault.kind === 'status' ? `${fault.status} ${fault.code}` : fault.kind;
    it(`repeats each kind of request after ${name}, and gives up in time when it goes on`, async () => {
      const bytes = randomBytes(1_000);
      const key = newKey();
      once(fault, is('PUT'));
      expect((await store.put(key, bytes)).created).toBe(true);
      once(fault, is('GET'));
      expect((await read(key)).equals(bytes)).toBe(true);
      once(fault, is('HEAD'));
      expect(await store.head(key)).toMatchObject({ size: 1_000 });
      once(fault, is('PUT'));
      await store.copy(key, objectKey(`${key}-copy`));
      once(fault);
      expect((await listAll(store, objectPrefix('case_1/'))).length).toBeGreaterThan(0);
      once(fault, is('DELETE'));
      await store.delete(key);
      once(fault, is('POST'));
      await store.delete([key, objectKey(`${key}-copy`)]);

      always(fault);
      endpoint.requests.length = 0;
      expect(await codeOf(store.put(key, bytes))).toBe('object_store_unavailable');
      expect(endpoint.requests.length).toBeLessThanOrEqual(3);
      expect(await codeOf(store.get(key))).toBe('object_store_unavailable');
      expect(await codeOf(store.head(key))).toBe('object_store_unavailable');
      expect(await codeOf(store.probe())).toBe('object_store_unavailable');
      expect(await codeOf(listAll(store, objectPrefix('case_1/')))).toBe('object_store_unavailable');
    });
  }

  it('knows its own create-only write again when the answer was lost', async () => {
    for (const size of [100, large]) {
      const key = newKey();
      const bytes = randomBytes(size);
      once({ kind: 'loseAnswer' }, (request) => request.name === key && request.headers['if-none-match'] === '*');
      const expected = { size, sha256: sha256Of(bytes) };
      expect((await store.put(key, streamOf(bytes), { ifAbsent: true, expected })).created).toBe(true);
      expect((await read(key)).equals(bytes)).toBe(true);
    }
    expect(endpoint.uploads.size).toBe(0);
  });

  it('knows its own completed upload again when the answer was lost', async () => {
    const key = newKey();
    const bytes = randomBytes(large);
    once({ kind: 'loseAnswer' }, (request) => request.method === 'POST' && request.query.has('uploadId'));
    await store.put(key, bytes);
    expect((await read(key)).equals(bytes)).toBe(true);
  });

  it('gives up on an endpoint that never answers, in the time of the settings', async () => {
    const impatient = await open({ requestTimeoutMs: 200, maxAttempts: 2 });
    always({ kind: 'hang' });
    const started = performance.now();
    expect(await codeOf(impatient.head(newKey()))).toBe('object_store_unavailable');
    expect(await codeOf(impatient.put(newKey(), Buffer.from('a')))).toBe('object_store_unavailable');
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('says that nothing listens, and that a page of HTML is no object store', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const nobody = await open({ endpoint: `http://127.0.0.1:${port}` });
    await expect(nobody.probe()).rejects.toMatchObject({
      code: 'object_store_unavailable',
      message: expect.stringMatching(/ECONNREFUSED.*Check that the endpoint runs/),
    });
    always({ kind: 'page' });
    expect(await codeOf(store.get(newKey()))).toBe('object_corrupt');
    expect(await codeOf(store.copy(newKey(), newKey()))).toBe('object_corrupt');
    expect(await codeOf(listAll(store, objectPrefix('case_1/')))).toBe('object_store_unavailable');
    expect(await codeOf(store.deletePrefix(objectPrefix('case_1/')))).toBe('object_store_unavailable');
    expect(await codeOf(store.delete([newKey(), newKey()]))).toBe('object_store_unavailable');
    expect(await codeOf(store.put(newKey(), Buffer.from('a')))).toBe('object_store_unavailable');
    expect(await codeOf(store.put(newKey(), randomBytes(large)))).toBe('object_store_unavailable');
  });

  it('takes a broken or stalled read up where it ended', async () => {
    const bytes = randomBytes(3 * mebibyte);
    const key = await put(bytes);
    for (const fault of [
      { kind: 'cut', after: mebibyte },
      { kind: 'stall', after: mebibyte },
    ] as const) {
      endpoint.requests.length = 0;
      once(fault, is('GET'));
      expect((await read(key)).equals(bytes)).toBe(true);
      expect(endpoint.requests.map(({ headers }) => headers.range !== undefined)).toEqual([false, true]);
      once(fault, is('GET'));
      const range = { start: 10, end: 2 * mebibyte };
      expect((await read(key, range)).equals(bytes.subarray(10, 2 * mebibyte))).toBe(true);
    }
    always({ kind: 'cut', after: 1_000 }, is('GET'));
    endpoint.requests.length = 0;
    expect(await codeOf(read(key))).toBe('object_store_unavailable');
    expect(endpoint.requests).toHaveLength(3);
    expect(await codeOf(read(key, { start: 5, end: mebibyte }))).toBe('object_store_unavailable');
  });

  it('does not go on with another version of the object', async () => {
    const key = await put(randomBytes(mebibyte));
    once({ kind: 'cut', after: 100_000 }, is('GET'));
    const { body } = await store.get(key);
    const chunks: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of body) {
        if (chunks.push(chunk) === 1) await store.put(key, randomBytes(mebibyte));
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'object_store_unavailable' });
  });

  it('lets a body come slowly, and a reader take its time', async () => {
    const bytes = randomBytes(200_000);
    const key = await put(bytes);
    once({ kind: 'slow', pieces: 8, pauseMs: 100 }, is('GET'));
    expect((await read(key)).equals(bytes)).toBe(true);
    const big = await put(randomBytes(8 * mebibyte));
    endpoint.requests.length = 0;
    const reading = await store.get(big);
    let waited = false;
    let seen = 0;
    for await (const chunk of reading.body) {
      seen += (chunk as Buffer).byteLength;
      // Longer than the idle timeout, which counts only while somebody waits for bytes.
      if (!waited) await new Promise((resolve) => setTimeout(resolve, 700));
      waited = true;
    }
    expect(seen).toBe(8 * mebibyte);
    expect(endpoint.requests).toHaveLength(1);
  });

  const lies: readonly (readonly [string, Fault])[] = [
    ['a body and a length that are both too short', { kind: 'shorten', by: 1 }],
    ['a shorter body without a length', { kind: 'shortenChunked', by: 7 }],
    ['a length that is too long', { kind: 'overstate', by: 5 }],
    ['a flipped bit', { kind: 'flip', at: 123 }],
    ['no metadata', { kind: 'dropMetadata' }],
  ];
  for (const [name, fault] of lies) {
    it(`never takes ${name} for the object`, async () => {
      const key = await put(randomBytes(5_000));
      always(fault, is('GET'));
      expect(await codeOf(read(key))).toBe('object_corrupt');
    });
  }

  it('never takes another range, or the whole object, for the range asked for', async () => {
    const key = await put(randomBytes(5_000));
    for (const fault of [
      { kind: 'ignoreRange' },
      { kind: 'wrongRange', says: 'bytes 0-0/1' },
      { kind: 'wrongRange', says: 'bytes 101-400/5000' },
      { kind: 'wrongRange', says: 'bytes 100-398/5000' },
      { kind: 'wrongRange', says: 'bytes 100-399/5001' },
      { kind: 'shorten', by: 1 },
      { kind: 'shortenChunked', by: 1 },
      { kind: 'overstate', by: 1 },
      { kind: 'dropMetadata' },
    ] as const) {
      always(fault, is('GET'));
      expect(await codeOf(read(key, { start: 100, end: 400 }))).toBe('object_corrupt');
    }
  });

  it('never takes a wrong length or missing metadata of a HEAD for an object, nor copies it', async () => {
    const key = await put(randomBytes(5_000));
    for (const fault of [{ kind: 'shorten', by: 1 }, { kind: 'dropMetadata' }] as const) {
      always(fault, is('HEAD'));
      expect(await codeOf(store.head(key))).toBe('object_corrupt');
      expect(await codeOf(store.copy(key, newKey()))).toBe('object_corrupt');
    }
  });

  it('says what is refused and what to do, without the secret', async () => {
    const cases = [
      ['AccessDenied', 403, 'object_store_denied'],
      ['InvalidAccessKeyId', 403, 'object_store_denied'],
      ['SignatureDoesNotMatch', 403, 'object_store_denied'],
      ['NoSuchBucket', 404, 'object_store_denied'],
      ['PermanentRedirect', 301, 'object_store_denied'],
      ['RequestTimeTooSkewed', 403, 'object_store_denied'],
      ['QuotaExceeded', 403, 'object_store_full'],
      ['XMinioStorageFull', 507, 'object_store_full'],
      ['TooManyRequestsException', 429, 'object_store_unavailable'],
    ] as const;
    for (const [code, status, expected] of cases) {
      always({ kind: 'status', status, code }, (request) => request.method === 'PUT');
      const error: unknown = await store.put(newKey(), Buffer.from('a')).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CaseboundError);
      expect(error).toMatchObject({ code: expected, message: expect.stringContaining(code) });
      expect(String(error)).not.toContain('very-secret');
    }
    endpoint.reset();
    const elsewhere = await open({ bucket: 'no-such-bucket' });
    for (const call of [
      () => elsewhere.head(newKey()),
      () => elsewhere.get(newKey()),
      () => elsewhere.probe(),
      () => elsewhere.copy(newKey(), newKey()),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'object_store_denied',
        message: expect.stringContaining('bucket does not exist'),
      });
    }
  });

  it('takes a rotated key without a restart', async () => {
    let accessKeyId = 'first';
    const rotating = await open({}, async () => ({ accessKeyId, secretAccessKey: 's' }));
    const key = newKey();
    endpoint.accessKeys = ['first'];
    await rotating.put(key, Buffer.from('a'));
    endpoint.accessKeys = ['second'];
    accessKeyId = 'second';
    await expect.poll(() => codeOf(rotating.head(key)), { timeout: 10_000, interval: 500 }).toBe('none');
  });

  it('refuses create-only on an endpoint that ignores conditions, and overwrites nothing', async () => {
    endpoint.honoursConditions = false;
    const strict = await open();
    const key = newKey();
    await strict.put(key, Buffer.from('old'));
    await expect(strict.put(key, Buffer.from('new'), { ifAbsent: true })).rejects.toMatchObject({
      code: 'object_store_denied',
      message: expect.stringContaining('check-then-write'),
    });
    expect(await codeOf(strict.probe())).toBe('object_store_denied');
    expect((await read(key)).toString()).toBe('old');
    const lenient = await open({ conditionalWrites: 'check-then-write' });
    expect(await codeOf(lenient.put(key, Buffer.from('new'), { ifAbsent: true }))).toBe('object_exists');
    await lenient.probe();
  });

  it('notices a listing that is out of order instead of passing objects over', async () => {
    endpoint.listsInOrder = false;
    const prefix = objectPrefix('case_order/');
    for (const name of ['a', 'B', 'b']) await store.put(objectKey(`${prefix}${name}`), Buffer.from('x'));
    expect(await codeOf(listAll(store, prefix))).toBe('object_store_denied');
    expect(await codeOf(store.deletePrefix(prefix))).toBe('object_store_denied');
  });

  it('aborts an upload that fails, and keeps the old object', async () => {
    const key = newKey();
    await store.put(key, Buffer.from('old'));
    always(
      { kind: 'status', status: 500, code: 'InternalError' },
      (request) => request.query.get('partNumber') === '2',
    );
    expect(await codeOf(store.put(key, randomBytes(large)))).toBe('object_store_unavailable');
    expect(await codeOf(store.put(key, streamOf(randomBytes(large))))).toBe('object_store_unavailable');
    expect(endpoint.uploads.size).toBe(0);
    endpoint.reset();
    expect((await read(key)).toString()).toBe('old');
  });

  it('sweeps old uploads and temporary objects of its own, and nothing else', async () => {
    const warned = testDependencies({
      clock: { now: () => new Date(Date.now() + 4 * 86_400_000), monotonicMs: () => 0 },
    });
    const later = await open({ keyPrefix: 'mine/' }, undefined, warned);
    const now = await open({ keyPrefix: 'mine/' });
    const theirs = await open({ keyPrefix: 'theirs/' });
    const abandon = async (owner: ObjectStore): Promise<void> => {
      // The upload can neither be finished nor aborted, as when the process is killed.
      always({ kind: 'drop' }, (request) => request.query.get('partNumber') === '2' || request.method === 'DELETE');
      expect(await codeOf(owner.put(newKey(), randomBytes(large)))).toBe('object_store_unavailable');
      // Completed under its temporary name, never copied.
      always(
        { kind: 'drop' },
        ({ method, headers }) => headers['x-amz-copy-source'] !== undefined || method === 'DELETE',
      );
      expect(await codeOf(owner.put(newKey(), streamOf(randomBytes(large))))).toBe('object_store_unavailable');
      endpoint.reset();
    };
    await abandon(now);
    await abandon(theirs);
    const before = [...endpoint.uploads.values()].filter(({ name }) => name.startsWith('theirs/')).length;
    expect(before).toBeGreaterThan(0);
    expect(await now.sweep()).toEqual({ temporary: 0, uploads: 0 });
    const swept = await later.sweep();
    expect(swept.temporary).toBe(1);
    expect(swept.uploads).toBeGreaterThan(0);
    expect([...endpoint.uploads.values()].map(({ name }) => name.split('/')[0])).toEqual(Array(before).fill('theirs'));
    expect(await later.sweep()).toEqual({ temporary: 0, uploads: 0 });
  });

  it('keeps within its connections, and lets a reader write meanwhile', async () => {
    const narrow = await open({ maxConnections: 3 });
    const key = newKey();
    await narrow.put(key, randomBytes(mebibyte));
    endpoint.mostOpen = 0;
    await Promise.all(Array.from({ length: 60 }, () => narrow.put(newKey(), Buffer.from('x'))));
    expect(endpoint.mostOpen).toBeLessThanOrEqual(3);
    const readings = await Promise.all(Array.from({ length: 6 }, () => narrow.get(key)));
    await narrow.put(newKey(), Buffer.from('while six reads are open'));
    for (const reading of readings) expect(await collectBytes(reading, mebibyte)).toHaveLength(mebibyte);
  });

  it('deletes the rest of a batch again when the endpoint could not, or does not say that it did', async () => {
    for (const rest of [(key: string) => failed(key, 'InternalError'), () => '']) {
      const [first, second] = [await put(Buffer.from('a')), await put(Buffer.from('b'))];
      once({ kind: 'xml', text: `<DeleteResult>${deleted(first)}${rest(second)}</DeleteResult>` }, is('POST'));
      await store.delete([first, second]);
      // Only what was left went out again, and by then as a batch of one.
      expect(await store.head(second)).toBeUndefined();
    }
    const [first, second] = [await put(Buffer.from('a')), await put(Buffer.from('b'))];
    const answer = `<DeleteResult>${deleted(first)}${failed(second, 'AccessDenied')}</DeleteResult>`;
    always({ kind: 'xml', text: answer }, is('POST'));
    expect(await codeOf(store.delete([first, second]))).toBe('object_store_denied');
  });

  it('leaves no connection open after its end', async () => {
    const own = await startFaultyEndpoint();
    const brief = await open({ endpoint: own.url });
    const key = newKey();
    await brief.put(key, randomBytes(mebibyte));
    (await brief.get(key)).body.destroy();
    await brief.get(key);
    await collectBytes(await brief.get(key), mebibyte);
    expect(own.connections()).toBeGreaterThan(0);
    await brief.close();
    await expect.poll(() => own.connections(), { timeout: 15_000 }).toBe(0);
    expect(await codeOf(brief.head(key))).toBe('object_store_unavailable');
    await own.stop();
  });

  it('deletes one by one where there is no bulk delete', async () => {
    const keys = [await put(Buffer.from('a')), await put(Buffer.from('b'))];
    always({ kind: 'status', status: 501, code: 'NotImplemented' }, is('POST'));
    await store.delete(keys);
    for (const key of keys) expect(await store.head(key)).toBeUndefined();
  });
});
