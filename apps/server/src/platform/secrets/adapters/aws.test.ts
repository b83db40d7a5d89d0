import { createFakeClock } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../clock/Port.ts';
import { testSecretStore, type StoreFailure } from '../conformance.ts';
import type { SecretStore } from '../Port.ts';
import {
  startAwsJsonServer,
  type AwsFailure,
  type AwsJsonServer,
  type AwsService,
} from '../testing/aws-json-server.ts';
import { ParameterStoreSecretStore } from './aws-parameter-store.ts';
import { SecretsManagerSecretStore } from './aws-secrets-manager.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'example' };

/** Pauses between tries take no time, and are written down. */
const impatient = (pauses: number[] = []): Clock => ({
  ...createFakeClock(),
  sleep: async (ms) => {
    pauses.push(ms);
  },
});

const build = (service: AwsService, endpoint: string, clock: Clock, requestTimeoutMs = 150): SecretStore => {
  const call = {
    clock,
    endpoint,
    credentials,
    requestTimeoutMs,
    region: 'us-east-1',
    connectTimeoutMs: 100,
    maxAttempts: 3,
    random: () => 0.5,
  };
  return service === 'ssm'
    ? new ParameterStoreSecretStore({ ...call, path: '/casebound/' })
    : new SecretsManagerSecretStore({ ...call, prefix: 'casebound/' });
};

const placeOf = (service: AwsService, name: string): string =>
  service === 'ssm' ? `/casebound/${name}` : `casebound/${name}`;

const codes: Readonly<Record<AwsFailure, StoreFailure['code']>> = {
  throttle: 'secret_store_unavailable',
  internal: 'secret_store_unavailable',
  denied: 'secret_store_denied',
  bad_token: 'secret_store_denied',
  hang: 'secret_store_unavailable',
  stall: 'secret_store_unavailable',
  drop: 'secret_store_unavailable',
  malformed: 'secret_store_unavailable',
  html: 'secret_store_unavailable',
};
const failureNames = Object.keys(codes) as AwsFailure[];

/** Fails for good until ended: more failures than the suite makes requests. */
const failureOf = (server: AwsJsonServer, failure: AwsFailure): StoreFailure => ({
  code: codes[failure],
  begin: async (_name, quote) => server.fail(failure, 100, quote),
  end: async () => server.mend(),
});

const services: readonly AwsService[] = ['secretsmanager', 'ssm'];

for (const service of services) {
  testSecretStore(
    `secrets in AWS (${service})`,
    async () => {
      const server = await startAwsJsonServer(service);
      return {
        store: build(service, server.endpoint, impatient()),
        put: async (name, text) => server.put(placeOf(service, name), text),
        remove: async (name) => server.remove(placeOf(service, name)),
        failures: Object.fromEntries(failureNames.map((name) => [name, failureOf(server, name)])),
        readCount: () => server.requests.length,
        close: () => server.close(),
      };
    },
    failureNames,
  );

  describe(`reading from AWS (${service})`, () => {
    it('tries again, with growing pauses, as often as set and no more', async () => {
      const server = await startAwsJsonServer(service);
      const pauses: number[] = [];
      const store = build(service, server.endpoint, impatient(pauses));
      server.put(placeOf(service, 'a'), 'value');
      server.fail('throttle', 2);
      expect((await store.read('a'))?.reveal()).toBe('value');
      expect(pauses).toEqual([50, 100]);
      server.fail('internal', 100);
      await expect(store.read('a')).rejects.toThrow(/in 3 tries/);
      expect(server.requests).toHaveLength(6);
      await store.close();
      await server.close();
    });

    it('does not try again what is refused', async () => {
      const server = await startAwsJsonServer(service);
      const store = build(service, server.endpoint, impatient());
      server.fail('denied', 1);
      await expect(store.read('a')).rejects.toThrow(
        /AccessDeniedException.*(?:secretsmanager:GetSecretValue|ssm:GetParameter)/,
      );
      expect(server.requests).toHaveLength(1);
      await store.close();
      await server.close();
    });

    it('probes: narrow permissions are fine, bad credentials and a dead address are not', async () => {
      const server = await startAwsJsonServer(service);
      const store = build(service, server.endpoint, impatient());
      server.fail('denied', 1);
      await store.probe();
      server.fail('bad_token', 1);
      await expect(store.probe()).rejects.toMatchObject({ code: 'secret_store_denied' });
      await server.close();
      await expect(store.probe()).rejects.toMatchObject({ code: 'secret_store_unavailable' });
      await store.close();
    });

    it('gives up on a server that never answers, in the time that is set', async () => {
      const server = await startAwsJsonServer(service);
      const store = build(service, server.endpoint, impatient(), 100);
      for (const failure of ['hang', 'stall'] as const) {
        server.fail(failure, 3);
        const start = performance.now();
        await expect(store.read('a')).rejects.toThrow(/TimeoutError/);
        expect(performance.now() - start).toBeLessThan(10_000);
      }
      await store.close();
      await server.close();
    });
  });
}

describe('SecretsManagerSecretStore', () => {
  it('reads binary secrets that are text, and refuses others', async () => {
    const server = await startAwsJsonServer('secretsmanager');
    const store = build('secretsmanager', server.endpoint, impatient());
    server.put('casebound/bytes', Buffer.from('välue'));
    expect((await store.read('bytes'))?.reveal()).toBe('välue');
    server.put('casebound/bytes', Buffer.from([0xff, 0x00]));
    await expect(store.read('bytes')).rejects.toMatchObject({ code: 'secret_invalid' });
    await store.close();
    await server.close();
  });
});

describe('ParameterStoreSecretStore', () => {
  it('refuses a parameter that lies there in the clear', async () => {
    const server = await startAwsJsonServer('ssm');
    const store = build('ssm', server.endpoint, impatient());
    server.put('/casebound/plain', 'value', 'String');
    await expect(store.read('plain')).rejects.toThrow(/not of the type SecureString/);
    await store.close();
    await server.close();
  });
});
