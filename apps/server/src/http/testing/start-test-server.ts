/** A server of a few operations over a real socket, with everything it logs and measures at hand. */
import { CaseboundError, createClientOf } from '@casebound/contract';
import type { Actor, ClientOf, HandlersOf, OperationMap, Permission } from '@casebound/contract';
import { z } from 'zod';
import { createClock } from '../../platform/clock/create-clock.ts';
import { createLog } from '../../platform/log/create-log.ts';
import { createMetrics } from '../../platform/metrics/create-metrics.ts';
import type { Authenticate } from '../authenticate-request.ts';
import { httpConfigSchema } from '../config.ts';
import { createHttpServer } from '../create-http-server.ts';
import type { HttpServer } from '../lifecycle.ts';
import { createReadiness, requireReady } from '../readiness.ts';
import type { Readiness, ReadinessCheck } from '../readiness.ts';

export const adminToken = 'test-token-of-the-administrator';
export const readerToken = 'test-token-of-a-reader';

const account = (accountId: string, permissions: readonly Permission[]): Actor => ({
  kind: 'account',
  accountId: z.uuid().brand<'AccountId'>().parse(accountId),
  name: 'test',
  permissions,
});

const accounts: ReadonlyMap<string, Actor> = new Map([
  [
    adminToken,
    account('01981c5e-9c4e-7d7b-8a56-1f1f4a3c2b10', ['system.read', 'system.manage', 'case.read', 'case.manage']),
  ],
  [readerToken, account('01981c5e-9c4e-7d7b-8a56-1f1f4a3c2b11', ['case.read'])],
]);

const Item = z.object({ id: z.int(), name: z.string(), tags: z.array(z.string()) }).meta({ id: 'Item' });

export const testOperations = {
  ping: {
    method: 'GET',
    path: '/ping',
    summary: 'Ping',
    tag: 'test',
    permission: 'public',
    success: { status: 200, body: z.object({ ready: z.boolean() }) },
    errors: ['not_ready'],
  },
  createItem: {
    method: 'POST',
    path: '/v1/items',
    summary: 'Create <an> item',
    tag: 'test',
    permission: 'case.manage',
    body: z.strictObject({
      name: z.string().min(2).max(50),
      tags: z.array(z.strictObject({ key: z.string() })).default([]),
      extra: z
        .union([z.strictObject({ kind: z.literal('a'), a: z.int() }), z.strictObject({ kind: z.literal('b') })])
        .optional(),
      any: z.unknown().optional(),
    }),
    success: { status: 201, body: Item },
    errors: ['case_name_taken'],
  },
  getItem: {
    method: 'GET',
    path: '/v1/items/{itemId}',
    summary: 'Get an item',
    tag: 'test',
    permission: 'case.read',
    params: z.strictObject({ itemId: z.string() }),
    query: z.strictObject({ depth: z.string().optional(), tag: z.array(z.string()).optional() }),
    success: { status: 200, body: Item },
    errors: ['case_not_found'],
  },
  deleteItem: {
    method: 'DELETE',
    path: '/v1/items/{itemId}',
    summary: 'Delete an item',
    tag: 'test',
    permission: 'case.manage',
    params: z.strictObject({ itemId: z.string() }),
    success: { status: 204 },
    errors: [],
  },
  readText: {
    method: 'GET',
    path: '/v1/text',
    summary: 'Read text',
    tag: 'test',
    permission: 'case.read',
    success: { status: 200, contentType: 'text/plain; charset=utf-8' },
    errors: [],
  },
  queueItem: {
    method: 'POST',
    path: '/v1/items/{itemId}/queue',
    summary: 'Queue an item',
    tag: 'test',
    permission: 'case.manage',
    params: z.strictObject({ itemId: z.string() }),
    success: { status: 202 },
    errors: [],
  },
  runScenario: {
    method: 'POST',
    path: '/v1/scenarios/{scenario}',
    summary: 'Run a scenario',
    tag: 'test',
    permission: 'case.manage',
    params: z.strictObject({ scenario: z.string() }),
    success: { status: 200, body: z.object({ done: z.boolean() }) },
    errors: ['conflict_retries_exhausted'],
  },
} as const satisfies OperationMap;

type TestOperations = typeof testOperations;

export interface Scenarios {
  readonly [name: string]: (signal: AbortSignal) => Promise<{ done: boolean }>;
}

export interface TestServerOptions {
  readonly config?: z.input<typeof httpConfigSchema>;
  readonly scenarios?: Scenarios;
  readonly authenticate?: Authenticate;
  readonly checks?: Readonly<Record<string, ReadinessCheck>>;
}

const scenarioErrors: Scenarios = {
  conflict: async () => {
    throw new CaseboundError('conflict_retries_exhausted', 'Too contended.', { retryAfterSeconds: 3 });
  },
  undeclared: async () => {
    throw new CaseboundError('case_busy', 'Busy.');
  },
  secret: async () => {
    const driver = Object.assign(new Error("duplicate key value: CANARY SELECT * FROM t WHERE x = 'CANARY'"), {
      code: '23505',
      detail: 'CANARY',
    });
    throw new Error('CANARY', { cause: driver });
  },
  notAnError: async () => {
    // oxlint-disable-next-line typescript/only-throw-error -- what a careless library may do
    throw 'CANARY';
  },
  wrongResult: async () => JSON.parse('{"done":"CANARY"}'),
  extraResult: async () => JSON.parse('{"done":true,"secret":"CANARY"}'),
  done: async () => ({ done: true }),
};

const handlersOf = (readiness: Readiness, scenarios: Scenarios): HandlersOf<TestOperations> => ({
  ping: async () => ({ ready: requireReady(await readiness.report()).ready }),
  createItem: async ({ body }) => {
    if (body.name === 'taken') throw new CaseboundError('case_name_taken', 'Another item has this name.');
    return { id: 1, name: body.name, tags: body.tags.map(({ key }) => key) };
  },
  getItem: async ({ params, query }) => ({
    id: params.itemId.length,
    name: params.itemId,
    tags: [...(query.tag ?? []), ...(query.depth === undefined ? [] : [query.depth])],
  }),
  deleteItem: async () => undefined,
  readText: async () => 'text\u{1F4DA}',
  queueItem: async () => undefined,
  runScenario: async ({ params, signal }) => {
    const scenario = scenarios[params.scenario];
    if (scenario === undefined) throw new CaseboundError('internal', 'There is no such scenario.');
    return scenario(signal);
  },
});

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly server: HttpServer;
  readonly readiness: Readiness;
  readonly client: ClientOf<TestOperations>;
  /** Lines of the log so far. */
  readonly log: readonly Record<string, unknown>[];
  readonly metrics: () => Promise<string>;
  readonly fetch: (path: string, init?: RequestInit & { token?: string | null }) => Promise<Response>;
}

export const startTestServer = async (options: TestServerOptions = {}): Promise<TestServer> => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line)) });
  const metrics = createMetrics();
  const readiness = createReadiness({ checks: options.checks ?? {}, clock: createClock(), log });
  const server = await createHttpServer({
    operations: testOperations,
    handlers: handlersOf(readiness, { ...scenarioErrors, ...options.scenarios }),
    authenticate: options.authenticate ?? (async (token) => accounts.get(token)),
    config: httpConfigSchema.parse({ port: 0, ...options.config }),
    version: '9.9.9',
    log,
    metrics,
    clock: createClock(),
    readiness,
  });
  const { url, port } = await server.listen();
  return {
    url,
    port,
    server,
    readiness,
    log: lines,
    metrics: async () => metrics.render(),
    client: createClientOf(testOperations, {
      baseUrl: url,
      token: adminToken,
      fetch,
      timeoutSignal: AbortSignal.timeout,
    }),
    fetch: async (path, { token = adminToken, ...init } = {}) => {
      const headers = new Headers(init.headers);
      if (token !== null) headers.set('authorization', `Bearer ${token}`);
      return fetch(`${url}${path}`, { ...init, headers });
    },
  };
};
