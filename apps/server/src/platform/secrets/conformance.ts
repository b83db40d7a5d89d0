/** What every store of secrets does, alone and behind `SecretSource`. One suite for all adapters. */
import { inspect } from 'node:util';
import { createFakeClock, type FakeClock } from '@casebound/test-kit';
import { CaseboundError, type ErrorCode } from '@casebound/contract';
import { afterEach, describe, expect, it } from 'vitest';
import { captureLog, type CapturedLog } from './testing/capture-log.ts';
import { SecretSetting, type SecretShape, type SecretStore } from './Port.ts';
import { SecretSource } from './secret-source.ts';

/** A store with nothing in it, and the operator's hand on it. */
export interface SecretStoreHarness {
  readonly store: SecretStore;
  put(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Ways in which this store can fail, each begun and ended by hand; `code` is what a read throws meanwhile. */
  readonly failures: Readonly<Record<string, StoreFailure>>;
  /** Reads that reached the store; undefined where they cannot be counted. */
  readonly readCount?: () => number;
  close(): Promise<void>;
}

export interface StoreFailure {
  readonly code: ErrorCode;
  /** `quote` is a secret that the failure would like to tell. */
  begin(name: string, quote: string): Promise<void>;
  end(name: string): Promise<void>;
}

const canary = 'canary-7Q2x9';
const text: SecretShape = { kind: 'text', minLength: 8 };

/** Everything that printing an error can show. */
const shownBy = (error: unknown): string =>
  [
    inspect(error, { depth: 10, showHidden: true }),
    JSON.stringify(error),
    String(error),
    error instanceof Error ? error.stack : '',
  ].join('\n');

const errorOf = async (promise: Promise<unknown>): Promise<CaseboundError> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CaseboundError) return error;
    throw error;
  }
  throw new Error('it did not fail');
};

interface Rig {
  readonly source: SecretSource;
  readonly clock: FakeClock;
  readonly log: CapturedLog;
}

const rigOf = (store: SecretStore): Rig => {
  const clock = createFakeClock();
  const log = captureLog();
  const source = new SecretSource({
    store,
    clock,
    log: log.log,
    refreshSeconds: 60,
    maxStaleSeconds: 600,
    random: () => 1,
  });
  return { source, clock, log };
};

export const testSecretStore = (
  title: string,
  open: () => Promise<SecretStoreHarness>,
  failureNames: readonly string[],
): void => {
  describe(`store: ${title}`, () => {
    const opened: SecretStoreHarness[] = [];
    const start = async (): Promise<SecretStoreHarness> => {
      const harness = await open();
      opened.push(harness);
      return harness;
    };
    afterEach(async () => {
      for (const harness of opened.splice(0)) {
        await harness.store.close();
        await harness.close();
      }
    });

    it('gives what was put, character by character', async () => {
      const { store, put } = await start();
      for (const value of [
        'plain-value',
        'ünï¢ode 🔐 value',
        '{"user":"u","password":"p=&+/"}',
        ' spaces around ',
        'line 1\nline 2',
      ]) {
        await put('some-name', value);
        expect((await store.read('some-name'))?.reveal()).toBe(value);
      }
    });

    it('has nothing under a name that nobody put', async () => {
      const { store, put } = await start();
      await put('db-url', 'some-value');
      expect(await store.read('db-ur')).toBeUndefined();
      expect(await store.read('db-url-2')).toBeUndefined();
      expect(await store.read('db/url2')).toBeUndefined();
    });

    it('keeps names with parts apart', async () => {
      const { store, put } = await start();
      await put('team/db.url', 'value-of-parts');
      expect((await store.read('team/db.url'))?.reveal()).toBe('value-of-parts');
      expect(await store.read('team/db')).toBeUndefined();
    });

    it('gives the new value after a change, and none after removal', async () => {
      const { store, put, remove } = await start();
      await put('rotating', 'first-value');
      expect((await store.read('rotating'))?.reveal()).toBe('first-value');
      await put('rotating', 'second-value');
      expect((await store.read('rotating'))?.reveal()).toBe('second-value');
      await remove('rotating');
      expect(await store.read('rotating')).toBeUndefined();
    });

    it('answers a probe, and says where a secret lies', async () => {
      const { store, put } = await start();
      await put('db-url', 'some-value');
      await store.probe();
      expect(store.locate('db-url')).toMatch(/db.url/i);
      expect(store.description).not.toBe('');
    });

    it('shows a value to reveal() alone', async () => {
      const { store, put } = await start();
      await put('db-url', canary);
      const value = await store.read('db-url');
      expect(shownBy({ value, store, place: store.locate('db-url') })).not.toContain(canary);
    });

    it('rotates without restart: readers and subscribers get the new value', async () => {
      const { store, put } = await start();
      const { source, clock, log } = rigOf(store);
      const setting = SecretSetting.named('db-url', text);
      await put('db-url', `${canary}-1`);
      const seen: string[] = [];
      const unsubscribe = source.onRotated(setting, (value) => void seen.push(value.reveal()));
      expect((await source.get(setting)).reveal()).toBe(`${canary}-1`);
      await put('db-url', `${canary}-2`);
      expect((await source.get(setting)).reveal()).toBe(`${canary}-1`);
      await clock.advance(61_000);
      expect((await source.get(setting)).reveal()).toBe(`${canary}-2`);
      expect(seen).toEqual([`${canary}-2`]);
      unsubscribe();
      await put('db-url', `${canary}-3`);
      await source.refresh();
      expect((await source.get(setting)).reveal()).toBe(`${canary}-3`);
      expect(seen).toHaveLength(1);
      expect(log.lines()).toContain('secret://db-url was rotated');
      expect(log.lines()).not.toContain(canary);
    });

    it('keeps the old value when the new one has the wrong shape, and says so', async () => {
      const { store, put } = await start();
      const { source, clock, log } = rigOf(store);
      const setting = SecretSetting.named('db-url', { kind: 'url', protocols: ['postgres:'] });
      await put('db-url', `postgres://u:${canary}@h/d`);
      await source.get(setting);
      await put('db-url', `${canary} is no URL`);
      await clock.advance(10 * 3_600_000);
      expect((await source.get(setting)).reveal()).toBe(`postgres://u:${canary}@h/d`);
      expect(log.lines()).toContain('"errorCode":"secret_invalid"');
      expect(log.lines()).not.toContain(canary);
    });

    it('reads one time for many who ask at once', async () => {
      const { store, put, readCount } = await start();
      const { source } = rigOf(store);
      await put('db', '{"user":"some-user","password":"some-password"}');
      const before = readCount?.() ?? 0;
      const password = SecretSetting.refer({ name: 'db', field: 'password' }, text);
      const user = SecretSetting.refer({ name: 'db', field: 'user' }, text);
      const values = await Promise.all(Array.from({ length: 50 }, (_, i) => source.get(i % 2 === 0 ? password : user)));
      expect(new Set(values.map((value) => value.reveal()))).toEqual(new Set(['some-user', 'some-password']));
      expect(readCount === undefined ? 1 : readCount() - before).toBe(1);
    });

    it('names all secrets that are missing or wrong together, with shape and place, without values', async () => {
      const { store, put } = await start();
      const { source } = rigOf(store);
      await put('bad-key', `${canary}-not-hex`);
      await put('bad-json', `{"password": "${canary}"`);
      const error = await errorOf(
        source.checkAll([
          { setting: SecretSetting.named('absent', { kind: 'hex', bytes: 32 }), usedBy: 'a.key' },
          { setting: SecretSetting.named('bad-key', { kind: 'hex', bytes: 32 }), usedBy: 'b.key' },
          { setting: SecretSetting.refer({ name: 'bad-json', field: 'password' }, text), usedBy: 'c.password' },
        ]),
      );
      expect(error.code).toBe('secret_missing');
      expect(error.errors.map(({ path }) => path)).toEqual(['$.a.key', '$.b.key', '$.c.password']);
      expect(error.message).toContain('secret://absent is missing: provide 32 bytes written as 64 hexadecimal digits');
      expect(error.message).toContain('secret://bad-key must be 32 bytes');
      expect(error.message).toContain('secret://bad-json#password must be a JSON object with a text "password"');
      expect(error.message).toContain(store.locate('absent'));
      expect(shownBy(error)).not.toContain(canary);
    });

    it.each(failureNames)(
      '%s: says so without a value, serves the last value for a bounded time, recovers',
      async (failureName) => {
        const { store, put, failures } = await start();
        const failure = failures[failureName];
        if (failure === undefined) throw new Error(`no failure ${failureName}`);
        const { source, clock, log } = rigOf(store);
        const setting = SecretSetting.named('db-url', text);
        await put('db-url', canary);
        await source.get(setting);

        await failure.begin('db-url', canary);
        const direct = await errorOf(store.read('db-url'));
        expect(direct.code).toBe(failure.code);
        expect(shownBy(direct)).not.toContain(canary);

        await clock.advance(61_000);
        expect((await source.get(setting)).reveal()).toBe(canary);
        expect(log.lines()).toContain(`"errorCode":"${failure.code}"`);
        // A wrong new value leaves the last good one in use; a store that fails does so for a bounded time only.
        await clock.advance(660_000);
        const late = await source.get(setting).then(
          (value) => value.reveal(),
          (error: unknown) => shownBy(error),
        );
        const expected = failure.code === 'secret_invalid' ? canary : `code: '${failure.code}'`;
        expect(late).toContain(expected);
        expect(late.replace(expected, '')).not.toContain(canary);

        await failure.end('db-url');
        await put('db-url', `${canary}-new`);
        await clock.advance(2_000);
        expect((await source.get(setting)).reveal()).toBe(`${canary}-new`);
        expect(log.lines()).not.toContain(canary);
      },
    );
  });
};
