import { CaseboundError } from '@casebound/contract';
import { createFakeClock, type FakeClock } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SecretValue, secretString } from '../../../secrets/Port.ts';
import { authorization, createSharedToken, type SharedToken } from './shared-token.ts';

const setting = z.object({ token: secretString({ kind: 'text' }) }).parse({ token: 'secret://engine/token' }).token;

const jwt = (clock: FakeClock, seconds: number, mark = ''): string => {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(clock.now().getTime() / 1_000) + seconds;
  return `${part({ alg: 'RS256' })}.${part({ exp, jti: mark })}.c2lnbmF0dXJl`;
};

interface Store {
  readonly token: SharedToken;
  readonly calls: { get: number; refresh: number };
  text: string;
  fails: boolean;
}

const open = (clock: FakeClock, text: string): Store => {
  const calls = { get: 0, refresh: 0 };
  const token = createSharedToken(
    setting,
    {
      get: async () => {
        calls.get += 1;
        const found = store.text;
        await Promise.resolve();
        if (store.fails) throw new CaseboundError('secret_store_unavailable', 'away');
        return new SecretValue(found);
      },
      refresh: async () => {
        calls.refresh += 1;
      },
    },
    clock,
  );
  const store: Store = { token, calls, text, fails: false };
  return store;
};

describe('the shared token', () => {
  it('is the token of the API, or a JWT', () => {
    expect(authorization(new SecretValue('a.b.c'))).toBe('Token token="a.b.c"');
    const text = jwt(createFakeClock(), 60);
    expect(authorization(new SecretValue(text))).toBe(`Bearer ${text}`);
  });

  it('is looked up once for callers at once, and again after a minute', async () => {
    const clock = createFakeClock();
    const store = open(clock, 'plain');
    await Promise.all(Array.from({ length: 20 }, async () => store.token.get()));
    expect(store.calls).toEqual({ get: 1, refresh: 0 });
    await clock.advance(59_000);
    await store.token.get();
    expect(store.calls.get).toBe(1);
    await clock.advance(2_000);
    await Promise.all([store.token.get(), store.token.get()]);
    expect(store.calls).toEqual({ get: 2, refresh: 0 });
  });

  it('that ends is renewed before it ends, once', async () => {
    const clock = createFakeClock();
    const store = open(clock, jwt(clock, 3_600, 'first'));
    const first = await store.token.get();
    await clock.advance(3_500_000);
    expect((await store.token.get()).equals(first)).toBe(true);
    store.text = jwt(clock, 3_600, 'second');
    await clock.advance(45_000);
    const renewed = await Promise.all(Array.from({ length: 10 }, async () => store.token.get()));
    expect(renewed.every((value) => value.reveal() === store.text)).toBe(true);
    expect(store.calls).toEqual({ get: 2, refresh: 1 });
  });

  it('that has ended in the store too does not make every call ask the store', async () => {
    const clock = createFakeClock();
    const store = open(clock, jwt(clock, -10));
    for (let at = 0; at < 50; at += 1) await store.token.get();
    expect(store.calls.get).toBe(1);
    await clock.advance(1_000);
    await store.token.get();
    expect(store.calls).toEqual({ get: 2, refresh: 1 });
  });

  it('that was refused is renewed once, however late the others learn of it', async () => {
    const clock = createFakeClock();
    const store = open(clock, 'old');
    const old = await store.token.get();
    store.text = 'new';
    const renewed = await Promise.all([store.token.renew(old), store.token.renew(old)]);
    expect(renewed.map((value) => value.reveal())).toEqual(['new', 'new']);
    expect((await store.token.renew(old)).reveal()).toBe('new');
    expect(store.calls).toEqual({ get: 2, refresh: 1 });
  });

  it('is looked up again after a look-up that failed', async () => {
    const store = open(createFakeClock(), 'plain');
    store.fails = true;
    await expect(store.token.get()).rejects.toThrow('away');
    store.fails = false;
    expect((await store.token.get()).reveal()).toBe('plain');
  });
});
