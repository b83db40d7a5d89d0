/** A file over HTTP: whole, in part, and with a name and type that somebody chose to do harm. */
import { Readable } from 'node:stream';
import { CaseboundError, createClientOf, type OperationMap } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClock } from '../platform/clock/create-clock.ts';
import { createLog } from '../platform/log/create-log.ts';
import { createMetrics } from '../platform/metrics/create-metrics.ts';
import { httpConfigSchema } from './config.ts';
import { createHttpServer } from './create-http-server.ts';
import type { HttpServer } from './lifecycle.ts';
import { createReadiness } from './readiness.ts';

const operations = {
  downloadFile: {
    method: 'GET',
    path: '/v1/file',
    summary: 'Download a file',
    tag: 'test',
    permission: 'case.read',
    success: { status: 200, binary: true },
    errors: ['range_not_satisfiable'],
  },
} as const satisfies OperationMap;

const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
let server: HttpServer;
let url: string;
let destroyed = 0;

beforeAll(async () => {
  const log = createLog({ level: 'error' }, { write: () => undefined });
  server = await createHttpServer({
    operations,
    handlers: {
      downloadFile: async ({ range }) => {
        const [, start = '0', end = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
        const part =
          range === undefined
            ? undefined
            : { start: Number(start), end: end === '' ? bytes.length : Math.min(bytes.length, Number(end) + 1) };
        if (part !== undefined && part.start >= part.end)
          throw new CaseboundError('range_not_satisfiable', 'There are no such bytes.');
        const body = Readable.from(
          (async function* () {
            const sent = part === undefined ? bytes : bytes.subarray(part.start, part.end);
            for (let at = 0; at < sent.length; at += 10_000) yield sent.subarray(at, at + 10_000);
          })(),
        );
        body.on('close', () => (destroyed += 1));
        return {
          contentType: 'text/html',
          fileName: '../evil\r\nX-Injected: 1".html',
          size: bytes.length,
          sha256: 'ab'.repeat(32),
          ...(part === undefined ? {} : { part }),
          body,
        };
      },
    },
    authenticate: async () => ({ kind: 'system', reason: 'test' }),
    config: httpConfigSchema.parse({ port: 0 }),
    version: '9.9.9',
    log,
    metrics: createMetrics(),
    clock: createClock(),
    readiness: createReadiness({ checks: {}, clock: createClock(), log }),
  });
  url = (await server.listen()).url;
});
afterAll(async () => server.close());

const get = async (headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${url}/v1/file`, { method, headers: { authorization: 'Bearer x', ...headers } });

test('a whole file is an attachment of bytes, with its length and hash', async () => {
  const answer = await get();
  expect(answer.status).toBe(200);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': 'attachment; filename="evilX-Injected_ 1_.html"',
    'content-length': '100000',
    'accept-ranges': 'bytes',
    etag: `"${'ab'.repeat(32)}"`,
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  });
  expect(answer.headers.get('x-injected')).toBeNull();
  expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
});

test('a part is answered with 206, and one that is not there with 416', async () => {
  const answer = await get({ range: 'bytes=10-19' });
  expect(answer.status).toBe(206);
  expect(answer.headers.get('content-range')).toBe('bytes 10-19/100000');
  expect(Buffer.from(await answer.arrayBuffer()).equals(bytes.subarray(10, 20))).toBe(true);
  const none = await get({ range: 'bytes=100000-' });
  expect(none.status).toBe(416);
  expect(await none.json()).toMatchObject({ code: 'range_not_satisfiable' });
});

test('a client that leaves closes the file', async () => {
  const before = destroyed;
  const controller = new AbortController();
  const answer = await fetch(`${url}/v1/file`, { headers: { authorization: 'Bearer x' }, signal: controller.signal });
  controller.abort();
  await answer.arrayBuffer().catch(() => undefined);
  await expect.poll(() => destroyed, { timeout: 10_000 }).toBeGreaterThan(before);
});

test('the client reads a file part by part', async () => {
  const client = createClientOf(operations, { baseUrl: url, token: 'x', fetch, timeoutSignal: AbortSignal.timeout });
  const parts: Uint8Array[] = [];
  for (let start = 0, size = Number.POSITIVE_INFINITY; start < size; start += 30_000) {
    const part = await client.downloadFile({}, { range: { start, end: start + 30_000 } });
    parts.push(part.bytes);
    size = part.size;
  }
  expect(parts).toHaveLength(4);
  expect(Buffer.concat(parts).equals(bytes)).toBe(true);
});
