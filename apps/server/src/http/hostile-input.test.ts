/** Whatever arrives, the answer is a problem document of 4xx, and the server goes on. */
import { Problem } from '@casebound/contract';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawRequest } from './testing/raw-request.ts';
import type { RawAnswer } from './testing/raw-request.ts';
import { adminToken, startTestServer } from './testing/start-test-server.ts';
import type { TestServer } from './testing/start-test-server.ts';

let t: TestServer;
beforeAll(async () => {
  t = await startTestServer({
    config: {
      headersTimeoutMs: 300,
      receiveTimeoutMs: 900,
      bodyLimitBytes: 4096,
      maxJsonDepth: 20,
      maxUrlLength: 1000,
    },
    scenarios: {
      wait: async () =>
        new Promise((resolve) => {
          setTimeout(() => resolve({ done: true }), 200);
        }),
    },
  });
});
afterAll(async () => {
  await t.server.close();
});

const head = `Host: x\r\nAuthorization: Bearer ${adminToken}\r\n`;
const post = (body: string | Uint8Array, headers = 'Content-Type: application/json\r\n'): Uint8Array => {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const start = `POST /v1/items HTTP/1.1\r\n${head}Connection: close\r\n${headers}Content-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(start), bytes]);
};
const get = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\n${head}Connection: close\r\n${headers}\r\n`;

const expectProblem = (answer: RawAnswer, status: number, code: string): Problem => {
  expect([answer.status, answer.headers.get('content-type'), answer.text]).toEqual([
    status,
    'application/problem+json',
    expect.stringContaining(`"code":"${code}"`),
  ]);
  const problem = Problem.parse(JSON.parse(answer.body));
  expect(problem).toMatchObject({ status, code, correlationId: answer.headers.get('x-request-id') });
  return problem;
};

describe('bodies', () => {
  const cases: readonly [string, string | Uint8Array, string, string][] = [
    ['cut off', '{"name":"ab"', 'malformed_body', 'not JSON'],
    ['garbage', 'CANARY', 'malformed_body', 'not JSON'],
    ['two values', '{"name":"ab"}{"name":"ab"}', 'malformed_body', 'from character 14'],
    ['not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'malformed_body', 'not UTF-8'],
    ['__proto__', '{"name":"ab","__proto__":{"admin":true}}', 'malformed_body', '__proto__'],
    ['__proto__ in disguise', String.raw`{"name":"ab","any":{"__pro\u0074o__":{}}}`, 'malformed_body', '__proto__'],
    ['a member twice', '{"name":"ab","name":"cd"}', 'malformed_body', 'twice'],
    ['a member twice in disguise', String.raw`{"name":"ab","\u006eame":"cd"}`, 'malformed_body', 'twice'],
    ['deep arrays', `{"name":"ab","any":${'['.repeat(1500)}${']'.repeat(1500)}}`, 'malformed_body', 'deeper than 20'],
    ['deep objects', `${'{"a":'.repeat(600)}1${'}'.repeat(600)}`, 'malformed_body', 'deeper than 20'],
    ['NUL', String.raw`{"name":"a\u0000b"}`, 'validation_failed', 'U+0000'],
    ['NUL in a name', String.raw`{"name":"ab","any":{"a\u0000":1}}`, 'validation_failed', 'U+0000'],
    ['a lone surrogate', String.raw`{"name":"ab\ud800"}`, 'validation_failed', 'surrogate'],
    [
      'a lone surrogate deep inside',
      String.raw`{"name":"ab","any":[{"x":["\udc00"]}]}`,
      'validation_failed',
      '$.any[0].x[0]',
    ],
    ['another type', '[]', 'validation_failed', '$'],
    ['null', 'null', 'validation_failed', '$'],
    ['a number', '1e999', 'validation_failed', '$'],
  ];
  it.each(cases)('%s', async (_name, body, code, says) => {
    const answer = await rawRequest(t.port, post(body));
    expectProblem(answer, 400, code);
    expect(answer.body).toContain(says);
    expect(answer.body).not.toContain('CANARY');
  });

  it('constructor and prototype are names like any other', async () => {
    const answer = await rawRequest(t.port, post('{"name":"ab","constructor":{"prototype":{"x":1}},"toString":1}'));
    const problem = expectProblem(answer, 400, 'validation_failed');
    expect(problem.errors?.map(({ path }) => path)).toEqual(['$.constructor', '$.toString']);
  });

  it.each([
    ['text/plain', 415],
    ['application/xml', 415],
    ['application/json; charset=latin1', 415],
    ['application/json; charset=utf-8; x=y', 415],
    ['multipart/form-data; boundary=x', 415],
    ['nonsense', 415],
    ['application/json;charset="UTF-8"', 201],
  ])('content type %s is %i', async (type, status) => {
    const answer = await rawRequest(t.port, post('{"name":"ab"}', `Content-Type: ${type}\r\n`));
    expect(answer.status).toBe(status);
    if (status === 415) expectProblem(answer, 415, 'unsupported_media_type');
  });

  it('without a content type is 415', async () => {
    expectProblem(await rawRequest(t.port, post('{"name":"ab"}', '')), 415, 'unsupported_media_type');
  });

  it('larger than the limit is 413, announced or not', async () => {
    const large = JSON.stringify({ name: 'ab', any: 'x'.repeat(5000) });
    expectProblem(await rawRequest(t.port, post(large)), 413, 'body_too_large');
    const chunked = `POST /v1/items HTTP/1.1\r\n${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
    expectProblem(await rawRequest(t.port, chunked), 413, 'body_too_large');
    const announced = `POST /v1/items HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{`;
    expectProblem(await rawRequest(t.port, announced), 413, 'body_too_large');
  });

  it('that never arrives is 408', async () => {
    const bytes = `POST /v1/items HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"na`;
    const answer = await rawRequest(t.port, bytes);
    expectProblem(answer, 408, 'request_timeout');
    expect(answer.milliseconds).toBeGreaterThan(800);
    expect(answer.milliseconds).toBeLessThan(8000);
  });

  it('whose sender hangs up in the middle is 400', async () => {
    const bytes = `POST /v1/items HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"na`;
    expectProblem(await rawRequest(t.port, bytes, { end: true }), 400, 'malformed_request');
  });
});

describe('requests', () => {
  it.each([
    ['no HTTP', 'CANARY\r\n\r\n'],
    [
      'TLS on a plain port',
      new Uint8Array([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x0d, 0x0a]),
    ],
    ['no Host', 'GET /ping HTTP/1.1\r\n\r\n'],
    ['an unknown method', `CANARY /ping HTTP/1.1\r\n${head}\r\n`],
    ['a header without colon', `GET /ping HTTP/1.1\r\n${head}CANARY\r\n\r\n`],
    ['a blank before the colon', `GET /ping HTTP/1.1\r\n${head}X-A : b\r\n\r\n`],
    ['a bare LF header smuggled', `GET /ping HTTP/1.1\r\n${head}X-A: b\u0000c\r\n\r\n`],
    ['two lengths', `POST /v1/items HTTP/1.1\r\n${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    [
      'a length and chunks',
      `POST /v1/items HTTP/1.1\r\n${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a length that is none', `POST /v1/items HTTP/1.1\r\n${head}Content-Length: -1\r\n\r\n`],
    ['an odd transfer coding', `POST /v1/items HTTP/1.1\r\n${head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    [
      'a bad chunk',
      `POST /v1/items HTTP/1.1\r\n${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
    ],
    ['HTTP/9.9', `GET /ping HTTP/9.9\r\n${head}\r\n`],
  ])('%s: 400', async (_name, bytes) => {
    const answer = await rawRequest(t.port, bytes);
    expectProblem(answer, 400, 'malformed_request');
    expect(answer.text).not.toContain('CANARY');
    expect(answer.headers.get('connection')?.toLowerCase()).toBe('close');
  });

  it('CONNECT is 405', async () => {
    expectProblem(
      await rawRequest(t.port, `CONNECT example.org:443 HTTP/1.1\r\n${head}\r\n`),
      405,
      'method_not_allowed',
    );
  });

  it('an upgrade is answered as if it had not been asked for', async () => {
    const answer = await rawRequest(
      t.port,
      get('/ping', 'Upgrade: websocket\r\n').replace('Connection: close', 'Connection: close, upgrade'),
    );
    expect(answer.status).toBe(200);
  });

  it('an expectation other than 100-continue is answered as if it had not been said', async () => {
    expect((await rawRequest(t.port, get('/ping', 'Expect: miracles\r\n'))).status).toBe(200);
  });

  it('huge headers are 431, many of them too', async () => {
    expectProblem(await rawRequest(t.port, get('/ping', `X-A: ${'x'.repeat(20_000)}\r\n`)), 431, 'headers_too_large');
    expectProblem(await rawRequest(t.port, get('/ping', 'X-A: xxxx\r\n'.repeat(3000))), 431, 'headers_too_large');
  });

  it('a long address is 414', async () => {
    expectProblem(await rawRequest(t.port, get(`/ping?${'x'.repeat(2000)}`)), 414, 'uri_too_long');
    expectProblem(await rawRequest(t.port, get(`/v1/items/${'x'.repeat(995)}`)), 414, 'uri_too_long');
    expectProblem(await rawRequest(t.port, get(`/v1/items/${'x'.repeat(2000)}`)), 414, 'uri_too_long');
  });

  it.each([
    '/v1/items/%',
    '/v1/items/%zz',
    '/v1/items/%ff',
    '/v1/items/%c0%af',
    '/v1/items/a?tag=%zz',
    '/v1/items/a?%ff=1',
  ])('bad percent-encoding %s is 400', async (path) => {
    expectProblem(await rawRequest(t.port, get(path)), 400, 'malformed_request');
  });

  it('NUL in an address is refused', async () => {
    const problem = expectProblem(await rawRequest(t.port, get('/v1/items/a%00b?tag=%00')), 400, 'validation_failed');
    expect(problem.errors?.map(({ path }) => path)).toEqual(['path.itemId', 'query.tag']);
  });

  it('names of Object.prototype in a query are names like any other', async () => {
    const problem = expectProblem(
      await rawRequest(t.port, get('/v1/items/a?__proto__=1&constructor=2&hasOwnProperty=3')),
      400,
      'validation_failed',
    );
    expect(problem.errors?.map(({ path }) => path)).toEqual([
      'query.__proto__',
      'query.constructor',
      'query.hasOwnProperty',
    ]);
  });

  it.each([
    '/v1/items/..%2f..%2fetc',
    '/v1/items/../../ping',
    '//v1/items/a',
    '/V1/items/a',
    '/v1/items/a/',
    'http://x/ping',
    '*',
  ])('the odd address %s is no failure', async (path) => {
    const { status } = await rawRequest(t.port, get(path));
    expect(status).toBeGreaterThanOrEqual(200);
    expect(status).toBeLessThan(500);
  });

  it('a request that is sent a byte at a time ends at the time limit for headers', async () => {
    const { connect } = await import('node:net');
    const started = performance.now();
    const text = await new Promise<string>((resolve) => {
      let received = '';
      const socket = connect(t.port, '127.0.0.1');
      const drip = setInterval(() => socket.write('X'), 50);
      socket.write('GET /ping HTTP/1.1\r\n');
      socket.on('data', (chunk) => (received += chunk.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearInterval(drip);
        resolve(received);
      });
    });
    expect(text).toContain('408 Request Timeout');
    expect(text).toContain('request_timeout');
    expect(performance.now() - started).toBeLessThan(8000);
  });

  it('garbage after a request that is being answered is never taken for its answer', async () => {
    const waiting = `POST /v1/scenarios/wait HTTP/1.1\r\n${head}Content-Length: 0\r\n\r\n`;
    const { text } = await rawRequest(t.port, `${waiting}CANARY\r\n\r\n`);
    expect(text).toBe('');
  });
});

describe('as a law', () => {
  it('any bytes as a body are answered with 201 or 4xx', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (bytes) => {
          const { status } = await t.fetch('/v1/items', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: Buffer.from(bytes),
          });
          expect(status === 201 || (status >= 400 && status < 500)).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('any bytes as a request are answered with no 5xx', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 100 }), async (bytes) => {
        const { status = 0 } = await rawRequest(t.port, bytes, { end: true });
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 100 },
    );
  });

  it('nothing of all this was a failure of the server, which still answers', async () => {
    expect(t.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await t.client.ping()).toEqual({ ready: true });
  });
});
