import { CaseboundError, createClientOf, errorTable, operations, Problem } from '@casebound/contract';
import type { OperationMap } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createClock } from '../platform/clock/create-clock.ts';
import { createLog } from '../platform/log/create-log.ts';
import { createMetrics } from '../platform/metrics/create-metrics.ts';
import { httpConfigSchema } from './config.ts';
import { createHttpServer } from './create-http-server.ts';
import { adminToken, startTestServer, testOperations } from './testing/start-test-server.ts';
import type { TestServer } from './testing/start-test-server.ts';

const plain = (map: OperationMap, handlers: unknown, write: (line: string) => void = () => undefined) =>
  createHttpServer({
    operations: map,
    // What is missing or superfluous here is what these tests are about.
    handlers: handlers as never,
    authenticate: async () => ({ kind: 'system', reason: 'test' }),
    config: httpConfigSchema.parse({ port: 0 }),
    version: '0.0.0',
    log: createLog({ level: 'debug' }, { write }),
    metrics: createMetrics(),
    clock: createClock(),
    readiness: { beginShutdown: () => undefined },
  });

describe('the registry on the server', () => {
  it('mounts every operation of Casebound, each behind its permission', async () => {
    const handlers = Object.fromEntries(
      Object.keys(operations).map((name) => [
        name,
        async () => {
          throw new CaseboundError('not_ready', name);
        },
      ]),
    );
    const routed: unknown[] = [];
    const server = await plain(operations, handlers, (line) => {
      const { operation, status } = JSON.parse(line);
      if (status !== undefined) routed.push(operation);
    });
    const { url } = await server.listen();
    try {
      for (const [name, { method, path, permission }] of Object.entries(operations)) {
        const address = url + path.replaceAll(/\{[^}]*\}/g, '7');
        const stranger = await fetch(address, { method });
        const account = await fetch(address, { method, headers: { authorization: 'Bearer x' } });
        // What the operation makes of such input is its own affair; that it was asked is shown by the log.
        expect([name, stranger.status === 401]).toEqual([name, permission !== 'public']);
        expect([400, 503]).toContain(account.status);
        expect(Problem.parse(await account.json()).code).toMatch(/^(not_ready|validation_failed)$/);
      }
    } finally {
      await server.close();
    }
    expect(routed).toEqual(Object.keys(operations).flatMap((name) => [name, name]));
  });

  it('does not start with an operation that names no permission', async () => {
    const { permission: _none, ...ping } = testOperations.ping;
    const map = { ping } as unknown as OperationMap;
    await expect(plain(map, { ping: async () => ({}) })).rejects.toMatchObject({
      code: 'registry_invalid',
      message: 'Operation ping: it names no permission; state who may call it.',
    });
  });

  it('does not start with an operation that has no handler', async () => {
    await expect(plain({ ping: testOperations.ping }, {})).rejects.toMatchObject({
      code: 'registry_invalid',
      message: 'Operation ping: it has no handler.',
    });
  });
});

describe('answers', () => {
  let t: TestServer;
  beforeAll(async () => {
    t = await startTestServer();
  });
  afterAll(async () => t.server.close());

  it('go round trip through the client: JSON, text, nothing', async () => {
    expect(await t.client.ping()).toEqual({ ready: true });
    expect(await t.client.createItem({ body: { name: 'ab', tags: [{ key: 'k' }] } })).toEqual({
      id: 1,
      name: 'ab',
      tags: ['k'],
    });
    expect(await t.client.readText()).toBe('text\u{1F4DA}');
    expect(await t.client.deleteItem({ params: { itemId: 'x' } })).toBeUndefined();
    expect(await t.client.queueItem({ params: { itemId: 'x' } })).toBeUndefined();
  });

  it('take any text in paths and queries as it is', async () => {
    const itemId = 'a/b?c#d%2F e+ü\u{1F4DA};..';
    const got = await t.client.getItem({ params: { itemId }, query: { tag: ['x&y=z', '+'], depth: '' } });
    expect(got).toEqual({ id: itemId.length, name: itemId, tags: ['x&y=z', '+', ''] });
  });

  it('give HEAD what GET has, without the body', async () => {
    const head = await t.fetch('/v1/items/abc', { method: 'HEAD' });
    const get = await t.fetch('/v1/items/abc');
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
    expect(head.headers.get('content-length')).toBe(get.headers.get('content-length'));
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
    expect((await t.fetch('/v1/items/abc', { method: 'HEAD', token: null })).status).toBe(401);
  });

  it('send only what the contract names, and nothing that does not fit it', async () => {
    expect(await t.client.runScenario({ params: { scenario: 'extraResult' } })).toEqual({ done: true });
    const raw = await t.fetch('/v1/scenarios/extraResult', { method: 'POST' });
    expect(await raw.text()).toBe('{"done":true}');
    const wrong = await t.fetch('/v1/scenarios/wrongResult', { method: 'POST' });
    expect(wrong.status).toBe(500);
    expect(await wrong.text()).not.toContain('CANARY');
  });

  it('carry the id of the request, the caller’s when it is sane', async () => {
    expect((await t.fetch('/ping', { headers: { 'x-request-id': 'abc-1._Z' } })).headers.get('x-request-id')).toBe(
      'abc-1._Z',
    );
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    for (const id of ['a b', 'a,b', 'x'.repeat(129), '<script>', '']) {
      const answer = await t.fetch('/v1/nothing', { headers: { 'x-request-id': id } });
      expect(answer.headers.get('x-request-id')).toMatch(uuid);
      expect(Problem.parse(await answer.json()).correlationId).toBe(answer.headers.get('x-request-id'));
    }
  });

  it('have the headers that keep browsers from guessing', async () => {
    for (const path of ['/ping', '/v1/nothing', '/openapi.json', '/v1/items/%zz']) {
      const { headers } = await t.fetch(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    }
  });
});

describe('problems', () => {
  let t: TestServer;
  beforeAll(async () => {
    t = await startTestServer();
  });
  afterAll(async () => t.server.close());

  it('are documents of RFC 9457 with the code of the table', async () => {
    const answer = await t.fetch('/v1/items?q=CANARY', {
      method: 'POST',
      body: '{"name":"taken"}',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(400);
    const conflict = await t.fetch('/v1/items', {
      method: 'POST',
      body: '{"name":"taken"}',
      headers: { 'content-type': 'application/json', 'x-request-id': 'r-1' },
    });
    expect(conflict.status).toBe(409);
    expect(conflict.headers.get('content-type')).toBe('application/problem+json');
    expect(await conflict.json()).toEqual({
      type: 'urn:casebound:error:case_name_taken',
      title: errorTable.case_name_taken.title,
      status: 409,
      detail: 'Another item has this name.',
      instance: '/v1/items',
      code: 'case_name_taken',
      correlationId: 'r-1',
    });
  });

  it('become the same error again in the client', async () => {
    await expect(
      t.client.runScenario({ params: { scenario: 'conflict' } }, { requestId: 'from-client' }),
    ).rejects.toMatchObject({
      code: 'conflict_retries_exhausted',
      message: 'Too contended.',
      retryAfterSeconds: 3,
      correlationId: 'from-client',
      family: 'recoverable',
    });
  });

  it('whose code the operation does not declare are sent, and noted for its author', async () => {
    const answer = await t.fetch('/v1/scenarios/undeclared', { method: 'POST' });
    expect(Problem.parse(await answer.json()).code).toBe('case_busy');
    expect(t.log).toContainEqual(
      expect.objectContaining({ level: 'warn', operation: 'runScenario', errorCode: 'case_busy' }),
    );
  });

  it('say nothing of a cause: no message, no SQL, no stack', async () => {
    for (const scenario of ['secret', 'notAnError']) {
      const answer = await t.fetch(`/v1/scenarios/${scenario}`, { method: 'POST' });
      const text = await answer.text();
      expect(answer.status).toBe(500);
      expect(text).not.toMatch(/CANARY|SELECT|\.ts\b|\bat \//);
      expect(Problem.parse(JSON.parse(text)).code).toBe('internal');
    }
    expect(JSON.stringify(t.log)).not.toContain('CANARY');
    expect(t.log).toContainEqual(
      expect.objectContaining({
        level: 'error',
        operation: 'runScenario',
        status: 500,
        error: expect.objectContaining({
          class: 'CaseboundError',
          cause: expect.objectContaining({ class: 'Error', cause: expect.objectContaining({ code: '23505' }) }),
        }),
      }),
    );
  });

  it('name everything that is wrong with the input, each at its path', async () => {
    const answer = await t.fetch('/v1/items?limit=5&odd%20name=1', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        name: 'x',
        nmae: 'y',
        tags: [{ key: 1 }, {}, { key: 'a', value: 2 }],
        extra: { kind: 'a', a: 'b' },
      }),
    });
    expect(answer.status).toBe(400);
    const problem = Problem.parse(await answer.json());
    expect(problem.code).toBe('validation_failed');
    expect(problem.errors?.map(({ path }) => path).toSorted()).toEqual(
      [
        '$.extra.a',
        '$.name',
        '$.nmae',
        '$.tags[0].key',
        '$.tags[1].key',
        '$.tags[2].value',
        "query['odd name']",
        'query.limit',
      ].toSorted(),
    );
    expect(problem.errors).toContainEqual({ path: '$.tags[1].key', message: 'This is required.' });
  });

  it('refuse a body where none is taken, and the lack of one where it is', async () => {
    const surplus = await t.fetch('/v1/items/1/queue', {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(Problem.parse(await surplus.json()).errors).toEqual([
      { path: '$', message: 'The operation takes no body.' },
    ]);
    const lacking = await t.fetch('/v1/items', { method: 'POST' });
    expect(Problem.parse(await lacking.json()).errors).toEqual([{ path: '$', message: 'This is required.' }]);
    const empty = await t.fetch('/v1/items/1/queue', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    expect(empty.status).toBe(202);
  });

  it('tell an unknown address from an unknown method', async () => {
    const unknown = await t.fetch('/v1/nothing');
    expect(unknown.status).toBe(404);
    expect(Problem.parse(await unknown.json()).code).toBe('route_not_found');
    for (const method of ['PUT', 'POST', 'OPTIONS', 'PROPFIND']) {
      const wrong = await t.fetch('/v1/items/5', { method });
      expect([method, wrong.status, wrong.headers.get('allow')]).toEqual([method, 405, 'GET, HEAD, DELETE']);
      expect(Problem.parse(await wrong.json()).code).toBe('method_not_allowed');
    }
    expect((await t.fetch('/docs', { method: 'POST' })).headers.get('allow')).toBe('GET, HEAD');
    expect((await t.fetch('/ping', { method: 'POST', token: null })).status).toBe(405);
    expect((await t.fetch('/v1/items/5', { method: 'PUT', token: null })).status).toBe(401);
  });
});

describe('what is measured and logged', () => {
  it('has operation, method and status, and no input', async () => {
    const t = await startTestServer();
    try {
      await t.client.getItem(
        { params: { itemId: 'CANARY-path' }, query: { depth: 'CANARY-query' } },
        { requestId: 'r-9' },
      );
      await expect(t.client.createItem({ body: { name: 'CANARY-body'.repeat(9) } })).rejects.toThrow(CaseboundError);
      await t.fetch('/CANARY-nothing');
      await t.fetch('/ping', { token: null });
      await t.server.close();
      expect(t.log).toContainEqual(
        expect.objectContaining({
          level: 'info',
          component: 'http',
          operation: 'getItem',
          status: 200,
          requestId: 'r-9',
          accountId: '01981c5e-9c4e-7d7b-8a56-1f1f4a3c2b10',
          durationMs: expect.any(Number),
        }),
      );
      expect(t.log).toContainEqual(
        expect.objectContaining({ operation: 'createItem', status: 400, errorCode: 'validation_failed' }),
      );
      expect(t.log).toContainEqual(expect.objectContaining({ level: 'debug', operation: 'ping' }));
      expect(JSON.stringify(t.log)).not.toMatch(new RegExp(`CANARY|${adminToken}`));
      const metrics = await t.metrics();
      const count = 'casebound_http_request_duration_seconds_count';
      expect(metrics).toContain(`${count}{operation="getItem",method="GET",status="200"} 1`);
      expect(metrics).toContain(`${count}{operation="createItem",method="POST",status="400"} 1`);
      expect(metrics).toContain(`${count}{operation="unmatched",method="GET",status="404"} 1`);
      expect(metrics).toContain('casebound_http_requests_in_flight 0');
    } finally {
      await t.server.close();
    }
  });
});

describe('the client', () => {
  it('says so when nobody answers', async () => {
    const client = createClientOf(testOperations, {
      baseUrl: 'http://127.0.0.1:9',
      fetch,
      timeoutSignal: AbortSignal.timeout,
    });
    await expect(client.ping()).rejects.toMatchObject({
      code: 'server_unreachable',
      message: 'No Casebound server answers at http://127.0.0.1:9.',
    });
  });

  it('says so when the answer takes too long, or is given up', async () => {
    const t = await startTestServer({
      scenarios: {
        slow: async (signal) =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => resolve({ done: false }));
          }),
      },
    });
    try {
      const hasty = createClientOf(testOperations, {
        baseUrl: t.url,
        token: adminToken,
        fetch,
        timeoutSignal: AbortSignal.timeout,
        timeoutMs: 50,
      });
      await expect(hasty.runScenario({ params: { scenario: 'slow' } })).rejects.toMatchObject({
        code: 'operation_timeout',
      });
      const controller = new AbortController();
      const call = t.client.runScenario({ params: { scenario: 'slow' } }, { signal: controller.signal });
      controller.abort();
      await expect(call).rejects.toMatchObject({ code: 'request_aborted' });
    } finally {
      await t.server.close();
    }
  });

  it('says so when what answers is no Casebound, or one with other results', async () => {
    const arrayBuffer = async () => new ArrayBuffer(0);
    const page = {
      status: 502,
      headers: { get: () => null },
      text: async () => '<html>Bad gateway</html>',
      arrayBuffer,
    };
    const settings = { baseUrl: 'http://proxy', timeoutSignal: AbortSignal.timeout };
    const behindProxy = createClientOf(testOperations, { ...settings, fetch: async () => page });
    await expect(behindProxy.ping()).rejects.toMatchObject({ code: 'response_invalid' });
    const other = { status: 200, headers: { get: () => 'r-2' }, text: async () => '{"ready":"yes"}', arrayBuffer };
    const older = createClientOf(testOperations, { ...settings, fetch: async () => other });
    await expect(older.ping()).rejects.toMatchObject({ code: 'response_invalid', correlationId: 'r-2' });
    const unknown = {
      status: 418,
      headers: { get: () => null },
      arrayBuffer,
      text: async () =>
        JSON.stringify({ type: 't', title: 't', status: 418, detail: 'Tea.', code: 'teapot', correlationId: 'c' }),
    };
    const newer = createClientOf(testOperations, { ...settings, fetch: async () => unknown });
    await expect(newer.ping()).rejects.toMatchObject({ code: 'response_invalid', correlationId: 'c' });
  });

  it('calls no address but that of its operation', async () => {
    const t = await startTestServer();
    try {
      for (const itemId of ['.', '..', '', '\ud800']) {
        await expect(t.client.getItem({ params: { itemId } })).rejects.toMatchObject({ code: 'validation_failed' });
      }
      expect(() => createClientOf({}, { baseUrl: 'ftp://x', fetch, timeoutSignal: AbortSignal.timeout })).toThrow(
        /http/,
      );
      expect(z.string().parse(t.url)).toContain('127.0.0.1');
    } finally {
      await t.server.close();
    }
  });
});
