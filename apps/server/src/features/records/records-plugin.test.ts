import { fileURLToPath } from 'node:url';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { openStore, provisionStore } from '@casebound/records';
import { fastify, type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRecordDatabase, type OpenRecordDatabase } from './record-database.ts';
import { recordsPlugin } from './records-plugin.ts';
import { loadModel } from './record-source.ts';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../../../packages/records/fixtures/${name}`, import.meta.url));

let created: TestDatabase;
let database: OpenRecordDatabase;
let app: FastifyInstance;
const internal: unknown[] = [];

beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  const { host, port, user, password, database: name } = created.target;
  database = openRecordDatabase({
    connection: { host, port, user, password, database: name },
    maxConnections: 4,
    namedStatements: true,
    lockTimeoutMs: 2_000,
    statementTimeoutMs: 10_000,
  });
  const model = await loadModel([fixture('library.api-schema.json'), fixture('library-archive.api-schema.json')]);
  await provisionStore(database.patient, model, 'http');
  const store = await openStore({ model, database, schema: 'http' });
  app = fastify();
  await app.register(recordsPlugin, {
    prefix: '/data',
    store: () => store,
    claims: () => null,
    bodyLimitBytes: 100_000,
    onInternalError: (error) => void internal.push(error),
  });
});
afterAll(async () => {
  await app.close();
  await database.close();
  await created.drop();
});

const send = async (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH',
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) =>
  app.inject({
    method,
    url: `/data/library/${url}`,
    ...(body === undefined
      ? {}
      : { payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
  });

test('the life of a record: 201, 200, 304, 204, 412, 404', async () => {
  const post = await send('POST', 'Authors', { authorKey: 'x', born: '1900-01-01' });
  expect([post.statusCode, post.headers.etag, post.body]).toEqual([201, '"1"', '']);
  const location = String(post.headers.location);
  const url = location.replace('/data/library/', '');
  expect(location).toMatch(/^\/data\/library\/authors\/[0-9a-f-]{36}$/);
  expect((await send('POST', 'authors', { authorKey: 'x', born: '1900-01-01' })).statusCode).toBe(200);
  const get = await send('GET', url);
  expect(get.json()).toMatchObject({ authorKey: 'x', _etag: '1' });
  expect((await send('GET', url, undefined, { 'if-none-match': '"1"' })).statusCode).toBe(304);
  const put = await send('PUT', url, { ...get.json<object>(), born: '1901-01-01' }, { 'if-match': '"1"' });
  expect([put.statusCode, put.headers.etag]).toEqual([204, '"2"']);
  expect((await send('PUT', url, get.json(), { 'if-match': '"1"' })).statusCode).toBe(412);
  expect((await send('DELETE', url)).statusCode).toBe(204);
  expect((await send('GET', url)).statusCode).toBe(404);
});

test('what is referred to is not deleted: 409 with the referring types, for descriptors too', async () => {
  const descriptor = { namespace: 'uri://library.example/LanguageDescriptor', codeValue: 'fr', shortDescription: 'x' };
  const language = await send('POST', 'languageDescriptors', descriptor);
  const author = await send('POST', 'authors', { authorKey: 'referred' });
  const work = {
    authorReference: { authorKey: 'referred' },
    title: 't',
    languageDescriptor: `${descriptor.namespace}#fr`,
  };
  expect((await send('POST', 'works', work)).statusCode).toBe(201);
  for (const made of [author, language]) {
    const answer = await send('DELETE', String(made.headers.location).replace('/data/library/', ''));
    expect([answer.statusCode, answer.json().errors]).toEqual([
      409,
      [{ path: '$', message: 'is referred to by Library.Work' }],
    ]);
  }
});

test('lists page by offset and by token, and count', async () => {
  for (let n = 0; n < 7; n += 1) await send('POST', 'authors', { authorKey: `p${n}`, born: '1950-01-01' });
  const first = await send('GET', 'authors?born=1950-01-01&limit=3&totalCount=true');
  expect([first.json().length, first.headers['total-count']]).toEqual([3, '7']);
  const seen = [...first.json()];
  for (let token = first.headers['next-page-token']; token !== undefined;) {
    const page = await send('GET', `authors?born=1950-01-01&limit=3&pageToken=${String(token)}`);
    seen.push(...page.json());
    token = page.headers['next-page-token'];
  }
  expect(seen.map((author: { authorKey: string }) => author.authorKey)).toEqual([
    'p0',
    'p1',
    'p2',
    'p3',
    'p4',
    'p5',
    'p6',
  ]);
  expect((await send('GET', 'authors?born=1950-01-01&offset=5')).json()).toHaveLength(2);
  const counted = await send('GET', 'authors?born=1950-01-01&limit=0&totalCount=true');
  expect([counted.json(), counted.headers['total-count'], counted.headers['next-page-token']]).toEqual([
    [],
    '7',
    undefined,
  ]);
  const head = await app.inject({ method: 'HEAD', url: '/data/library/authors?born=1950-01-01&totalCount=true' });
  expect([head.statusCode, head.headers['total-count'], head.body]).toEqual([200, '7', '']);
});

test('whatever is wrong with a request is a 4xx problem document, never a 500', async () => {
  const cases: readonly [number, Parameters<typeof send>][] = [
    [400, ['POST', 'authors', '{"authorKey":']],
    [400, ['POST', 'authors', '']],
    [400, ['POST', 'authors', '[]']],
    [400, ['POST', 'authors', '{"authorKey":"a","authorKey":"b"}']],
    [400, ['POST', 'authors', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])]],
    [400, ['POST', 'authors', '['.repeat(90_000)]],
    [413, ['POST', 'authors', `"${'x'.repeat(200_000)}"`]],
    [415, ['POST', 'authors', '{}', { 'content-type': 'text/xml' }]],
    [404, ['POST', 'nothing', {}]],
    [404, ['GET', 'authors/1;DROP']],
    [404, ['GET', `authors/${'a'.repeat(99)}`]],
    [405, ['PATCH', 'authors', {}]],
    [405, ['DELETE', 'authors']],
    [400, ['GET', 'authors?limit=x']],
    [400, ['GET', 'authors?limit=1&limit=2']],
    [400, ['GET', 'authors?authorKey=%ff']],
    [400, ['GET', 'authors?authorKey=%00']],
    [400, ['GET', 'authors?totalCount=maybe']],
    [400, ['GET', 'authors?constructor=1']],
    [400, ['GET', 'authors?__proto__=1']],
    [409, ['POST', 'works', { authorReference: { authorKey: 'none' }, title: 't', languageDescriptor: 'x' }]],
    [412, ['POST', 'authors', { authorKey: 'new' }, { 'if-match': '"1"' }]],
  ];
  for (const [status, request] of cases) {
    const answer = await send(...request);
    expect([request.slice(0, 2), answer.statusCode]).toEqual([request.slice(0, 2), status]);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.json()).toMatchObject({
      status,
      type: expect.stringMatching(/^urn:casebound:/),
      correlationId: expect.any(String),
    });
  }
  expect(internal).toEqual([]);
});

test('a bulk body of JSON lines answers with counts and failed rows', async () => {
  const lines = [{ authorKey: 'b1' }, { authorKey: 5 }, { authorKey: 'b2' }].map((document) =>
    JSON.stringify({ resource: 'library/authors', document }),
  );
  const answer = await app.inject({
    method: 'POST',
    url: '/data/$bulk',
    payload: lines.join('\n'),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  expect(answer.json()).toMatchObject({ created: 2, failed: 1, failures: [{ row: 1, code: 'validation_failed' }] });
  const broken = ['{"resource":"library/nope","document":{}}', '{', '{"resource":"library/authors"}', lines[0]].join(
    '\n',
  );
  const partly = await app.inject({
    method: 'POST',
    url: '/data/$bulk',
    payload: Buffer.concat([Buffer.from(broken), Buffer.from([0x0a, 0xff, 0xfe, 0x0a])]),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  expect(partly.json()).toMatchObject({
    created: 0,
    unchanged: 1,
    failed: 4,
    failures: [
      { row: 0, code: 'resource_not_found' },
      { row: 1, code: 'malformed_body', errors: [{ path: '$' }] },
      { row: 2, code: 'malformed_body' },
      { row: 4, code: 'malformed_body' },
    ],
  });
  const whole = await app.inject({
    method: 'POST',
    url: '/data/$bulk?allOrNothing=true',
    payload: `{"resource":"library/authors","document":{"authorKey":"whole"}}\n{`,
    headers: { 'content-type': 'application/x-ndjson' },
  });
  expect([whole.statusCode, whole.json().errors[0].path]).toEqual([409, '[1]']);
  expect((await send('GET', 'authors?authorKey=whole')).json()).toEqual([]);
});
