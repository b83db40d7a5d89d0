import { join } from 'node:path';
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { createFakeClock, createTemporaryFolder } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { secretsConfigSchema } from './config.ts';
import { createSecrets } from './create-secrets.ts';
import { SecretSetting, type Secrets } from './Port.ts';
import { captureLog, type CapturedLog } from './testing/capture-log.ts';

interface Rig {
  readonly secrets: Secrets;
  readonly clock: ReturnType<typeof createFakeClock>;
  readonly log: CapturedLog;
  readonly environment: Record<string, string | undefined>;
}

/** The secrets of embedded mode: the environment, then files that are generated. */
const rigIn = async (dataFolder: string, config: unknown = {}): Promise<Rig> => {
  const clock = createFakeClock();
  const log = captureLog();
  const environment: Record<string, string | undefined> = {};
  const secrets = await createSecrets(secretsConfigSchema.parse(config), {
    clock,
    log: log.log,
    environment,
    dataFolder,
    random: () => 1,
  });
  return { secrets, clock, log, environment };
};

const key = SecretSetting.named('signing-key', { kind: 'hex', bytes: 32, generate: true });
const url = SecretSetting.named('db-url', { kind: 'url', protocols: ['postgres:'] });

describe('secrets of embedded mode', () => {
  it('are made when first needed, stay over restarts, and yield to the environment', async () => {
    await using folder = await createTemporaryFolder();
    const first = await rigIn(folder.path);
    const value = (await first.secrets.get(key)).reveal();
    expect(value).toMatch(/^[0-9a-f]{64}$/);
    expect((await (await rigIn(folder.path)).secrets.get(key)).reveal()).toBe(value);
    const third = await rigIn(folder.path);
    third.environment['CASEBOUND_SECRET_SIGNING_KEY'] = 'ab'.repeat(32);
    expect((await third.secrets.get(key)).reveal()).toBe('ab'.repeat(32));
  });

  it('are one secret, however many processes start at once', async () => {
    await using folder = await createTemporaryFolder();
    const rigs = await Promise.all(Array.from({ length: 8 }, () => rigIn(folder.path)));
    const values = await Promise.all(rigs.map(async ({ secrets }) => (await secrets.get(key)).reveal()));
    expect(new Set(values).size).toBe(1);
  });

  it('are not made where only somebody else can know them', async () => {
    await using folder = await createTemporaryFolder();
    const { secrets } = await rigIn(folder.path);
    await expect(secrets.get(url)).rejects.toMatchObject({ code: 'secret_missing' });
    await expect(secrets.get(SecretSetting.named('api-key', { kind: 'text' }))).rejects.toMatchObject({
      code: 'secret_missing',
    });
    await expect(
      secrets.get(SecretSetting.refer({ name: 'signing-key', field: 'x' }, { kind: 'hex', bytes: 32, generate: true })),
    ).rejects.toMatchObject({ code: 'secret_missing' });
    expect(await readdir(folder.path)).toEqual([]);
  });
});

describe('rotation', () => {
  it('is noticed by watch(), for those who only subscribed after a first read', async () => {
    await using folder = await createTemporaryFolder();
    const { secrets, clock, environment, log } = await rigIn(folder.path, {
      store: { kind: 'environment' },
      refreshSeconds: 60,
    });
    environment['CASEBOUND_SECRET_DB_URL'] = 'postgres://one/';
    await secrets.get(url);
    const seen: string[] = [];
    secrets.onRotated(url, () => {
      throw new Error('a subscriber that fails');
    });
    secrets.onRotated(url, (value) => void seen.push(value.reveal()));
    const controller = new AbortController();
    const watching = secrets.watch(controller.signal);
    environment['CASEBOUND_SECRET_DB_URL'] = 'postgres://two/';
    await clock.advance(59_000);
    expect(seen).toEqual([]);
    await clock.advance(2_000);
    expect(seen).toEqual(['postgres://two/']);
    expect(log.lines()).toContain('failed to take the rotated value');
    await clock.advance(120_000);
    expect(seen).toHaveLength(1);
    controller.abort(new Error('enough'));
    await watching;
  });

  it('does not come with an announcement when the value is the same', async () => {
    await using folder = await createTemporaryFolder();
    const { secrets, environment } = await rigIn(folder.path, { store: { kind: 'environment' } });
    environment['CASEBOUND_SECRET_DB_URL'] = 'postgres://one/';
    await secrets.get(url);
    let calls = 0;
    secrets.onRotated(url, () => void calls++);
    await secrets.refresh();
    expect(calls).toBe(0);
  });

  it('that fails is reported one time to the log, however many ask at once', async () => {
    await using folder = await createTemporaryFolder();
    const { secrets, clock, environment, log } = await rigIn(folder.path, { store: { kind: 'environment' } });
    environment['CASEBOUND_SECRET_DB_URL'] = 'postgres://one/';
    await secrets.get(url);
    environment['CASEBOUND_SECRET_DB_URL'] = 'no URL';
    await clock.advance(301_000);
    const values = await Promise.all(Array.from({ length: 20 }, () => secrets.get(url)));
    expect(new Set(values.map((value) => value.reveal()))).toEqual(new Set(['postgres://one/']));
    expect(log.lines().match(/stays in use/g)).toHaveLength(1);
  });

  it('takes effect for a secret that was missing, after a short pause', async () => {
    await using folder = await createTemporaryFolder();
    const { secrets, clock, environment } = await rigIn(folder.path, { store: { kind: 'environment' } });
    await expect(secrets.get(url)).rejects.toMatchObject({ code: 'secret_missing' });
    environment['CASEBOUND_SECRET_DB_URL'] = 'postgres://one/';
    // The failure is served from memory meanwhile, so that a hot path does not storm the store.
    await expect(secrets.get(url)).rejects.toMatchObject({ code: 'secret_missing' });
    await clock.advance(1_001);
    expect((await secrets.get(url)).reveal()).toBe('postgres://one/');
  });
});

describe('a chain of stores', () => {
  it('does not pass over a store that fails', async () => {
    await using folder = await createTemporaryFolder();
    const { secrets, environment } = await rigIn(folder.path, {
      store: { kind: 'chain', stores: [{ kind: 'files', folder: '.' }, { kind: 'environment' }] },
    });
    environment['CASEBOUND_SECRET_DB_URL'] = 'postgres://old/';
    await writeFile(join(folder.path, 'db-url'), 'postgres://new/', { mode: 0o606 });
    await writeFile(join(folder.path, 'other'), '', { mode: 0o600 });

    await chmod(join(folder.path, 'db-url'), 0o606);
    await expect(secrets.get(url)).rejects.toMatchObject({ code: 'secret_invalid' });
  });
});
