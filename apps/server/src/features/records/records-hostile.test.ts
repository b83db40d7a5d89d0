/** Whatever a client sends over HTTP: a 4xx with reason (and path, where there is one), never a 5xx, and nothing written. */
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { defaultWatchdog } from '@casebound/records';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { audit } from './run-records.ts';
import { runRecordsServe, type RunningRecords } from './serve-records.ts';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../../../packages/records/fixtures/${name}`, import.meta.url));
const schemaFiles = [fixture('library.api-schema.json'), fixture('library-archive.api-schema.json')];

let created: TestDatabase;
let running: RunningRecords;
let client: pg.Client;
const internal: unknown[] = [];

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}
interface Sent {
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends a request as it is: no client tidies the address or the headers. */
const send = async (method: string, path: string, { body, headers = {} }: Sent = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { port } = new URL(running.address);
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(parts).toString() });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });

const json = { 'content-type': 'application/json' };
const post = async (endpoint: string, body: string | Buffer | object, headers: object = {}): Promise<Answer> =>
  send('POST', `/data/library/${endpoint}`, {
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    headers: { ...json, ...headers },
  });

/** Everything that the store holds, in one number for each table that can grow. */
const contents = async (): Promise<string> => {
  const { rows } = await client.query<{ state: string }>(
    `SELECT concat_ws(' ', (SELECT count(*) || '/' || coalesce(sum(etag), 0) FROM hostile.document), (SELECT count(*) FROM hostile.reference_edge),
     (SELECT count(*) FROM hostile.referential_identity), (SELECT count(*) FROM hostile.work), (SELECT count(*) FROM hostile.work__editions)) AS state`,
  );
  return rows[0]?.state ?? '';
};

const expectRefused = (name: string, answer: Answer, statuses: readonly number[], path?: string): void => {
  expect([name.slice(0, 80), answer.status, statuses.includes(answer.status)]).toEqual([
    name.slice(0, 80),
    answer.status,
    true,
  ]);
  expect([name.slice(0, 80), answer.headers['content-type']]).toEqual([name.slice(0, 80), 'application/problem+json']);
  const problem = JSON.parse(answer.text) as { detail: string; errors?: { path: string; message: string }[] };
  expect(problem.detail.length).toBeGreaterThan(10);
  if (path !== undefined)
    expect([name.slice(0, 80), problem.errors?.map((error) => error.path)]).toEqual([
      name.slice(0, 80),
      expect.arrayContaining([path]),
    ]);
};

const language = 'uri://library.example/LanguageDescriptor#en';
const work = (more: object): object => ({
  authorReference: { authorKey: 'a' },
  title: 't',
  languageDescriptor: language,
  ...more,
});
let authorUrl = '';

beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  running = await runRecordsServe({
    schemaFiles,
    store: 'hostile',
    databaseUrl: created.url,
    dataDir: '/nonexistent',
    port: 0,
    host: '127.0.0.1',
    prefix: '/data',
    cacheMode: 'off',
    watchdog: defaultWatchdog,
    onInternalError: (error) => void internal.push(error),
  });
  client = new pg.Client({ connectionString: created.url });
  await client.connect();
  const descriptor = { namespace: 'uri://library.example/LanguageDescriptor', codeValue: 'en', shortDescription: 'en' };
  expect((await post('languageDescriptors', descriptor)).status).toBe(201);
  const author = await post('authors', { authorKey: 'a' });
  authorUrl = String(author.headers['location']);
  expect((await post('works', work({}))).status).toBe(201);
});
afterAll(async () => {
  await client.end();
  await running.stop();
  await created.drop();
});

const refusedAll = async (
  cases: readonly (readonly [string, Promise<Answer> | Answer, readonly number[], string?])[],
) => {
  for (const [name, answer, statuses, path] of cases) expectRefused(name, await answer, statuses, path);
};

test('bodies that are no JSON, or not one meaning', async () => {
  const before = await contents();
  const texts: readonly (readonly [string, string?])[] = [
    [''],
    [' '],
    ['{'],
    ['{"authorKey":"x"}}', '$'],
    ["{'authorKey':'x'}", '$'],
    ['{"authorKey":"x",}', '$'],
    ['{"authorKey":NaN}', '$.authorKey'],
    ['{"authorKey":"x","authorKey":"y"}', '$.authorKey'],
    ['{"authorKey":"x","born":{"a":1,"a":2}}', '$.born.a'],
    ['{"authorKey":"\\u0000"}', '$.authorKey'],
    ['{"authorKey":"a\\ud800b"}', '$.authorKey'],
    ['{"authorKey":"\\udc00"}', '$.authorKey'],
    ['{"\\ud800":"x"}'],
    ['{"authorKey":"a\u0001b"}', '$.authorKey'],
    ['null', '$'],
    ['[]', '$'],
    ['"x"', '$'],
    ['{"authorKey":1e400}', '$.authorKey'],
    ['{"authorKey":9007199254740993}', '$.authorKey'],
    [`{"authorKey":${'9'.repeat(5_000)}}`, '$.authorKey'],
    [`{"authorKey":${'['.repeat(100_000)}`],
    [`{"authorKey":${'{"a":'.repeat(100_000)}`],
    [`[${'1,'.repeat(300_000)}1]`],
  ];
  for (const [text, path] of texts) expectRefused(text, await post('authors', text), [400], path);
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x7b, 0x22, 0xc0, 0xaf, 0x22],
    [0xef, 0xbb],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
  ])
    expectRefused(String(bytes), await post('authors', Buffer.from(bytes)), [400]);
  expect(await contents()).toBe(before);
});

test('documents with values that no column holds: each at its path', async () => {
  const before = await contents();
  const cases: readonly (readonly [object, string])[] = [
    [work({ title: 5 }), '$.title'],
    [work({ title: { a: 1 } }), '$.title'],
    [work({ title: '' }), '$'],
    [work({ title: 'x'.repeat(301) }), '$.title'],
    [work({ pages: 1.5 }), '$.pages'],
    [work({ pages: 1e300 }), '$.pages'],
    [work({ pages: '12x' }), '$.pages'],
    [work({ price: 1e10 }), '$.price'],
    [work({ price: 0.001 }), '$.price'],
    [work({ isRare: 'yes' }), '$.isRare'],
    [work({ isRare: 0 }), '$.isRare'],
    [work({ registeredAt: '2020-13-01T00:00:00Z' }), '$.registeredAt'],
    [work({ registeredAt: '2020-01-01' }), '$.registeredAt'],
    [work({ registeredAt: '99999-01-01T00:00:00Z' }), '$.registeredAt'],
    [work({ subjects: 'x' }), '$.subjects'],
    [work({ subjects: ['x', 5] }), '$.subjects[1]'],
    [work({ subjects: ['x', null] }), '$.subjects[1]'],
    [work({ editions: [{ number: 1 }, 'x'] }), '$.editions[1]'],
    [
      work({ editions: [{ number: 1, printings: [{ printedOn: '2021-02-29' }] }] }),
      '$.editions[0].printings[0].printedOn',
    ],
    [work({ authorReference: 'a' }), '$.authorReference'],
    [work({ authorReference: { authorKey: 5 } }), '$.authorReference.authorKey'],
    [work({ languageDescriptor: 5 }), '$.languageDescriptor'],
    [work({ _ext: 'x' }), '$._ext'],
    [work({ _ext: { archive: [] } }), '$._ext.archive'],
    [work({ contributors: Array.from({ length: 10_000 }, () => ({})) }), '$.contributors[0].authorReference'],
    [work({ editions: Array.from({ length: 10_000 }, () => ({ number: 'x' })) }), '$.editions[0].number'],
  ];
  for (const [document, path] of cases) {
    const answer = await post('works', document);
    // An empty title is a title; the work is another one and may be stored.
    if (path === '$') continue;
    expectRefused(path, answer, [400], path);
  }
  const unresolved = await post(
    'works',
    work({ title: 'u', contributors: [{ authorReference: { authorKey: 'nobody' } }] }),
  );
  expectRefused('unresolved', unresolved, [409], '$.contributors[0].authorReference');
  await client.query(
    `DELETE FROM hostile.reference_edge WHERE parent_document_id IN (SELECT document_id FROM hostile.work WHERE title = '')`,
  );
  await client.query(
    `DELETE FROM hostile.document WHERE document_id IN (SELECT document_id FROM hostile.work WHERE title = '')`,
  );
  expect(await contents()).toBe(before);
});

test('large: 10 MB are refused before they are read, 10,000 elements are stored or refused', async () => {
  const before = await contents();
  await refusedAll([
    ['10 MB', post('authors', `{"authorKey":"${'x'.repeat(10 << 20)}"}`), [413]],
    [
      '10 MB said',
      send('POST', '/data/library/authors', { headers: { ...json, 'content-length': String(10 << 20) } }).catch(() => ({
        status: 413,
        headers: { 'content-type': 'application/problem+json' },
        text: '{"detail":"closed by the server"}',
      })),
      [413],
    ],
    [
      'many members',
      post('authors', JSON.stringify(Object.fromEntries(Array.from({ length: 250_000 }, (_, n) => [`m${n}`, n])))),
      [400],
    ],
    [
      'a line of 10 MB',
      send('POST', '/data/$bulk', { body: 'x'.repeat(10 << 20), headers: { 'content-type': 'application/x-ndjson' } }),
      [413],
    ],
  ]);
  expect(await contents()).toBe(before);
  const many = await post(
    'works',
    work({ title: 'many', subjects: Array.from({ length: 10_000 }, (_, n) => `s${n}`) }),
  );
  expect(many.status).toBe(201);
  const read = await send('GET', String(many.headers['location']));
  expect((JSON.parse(read.text) as { subjects: string[] }).subjects).toHaveLength(10_000);
});

test('addresses, methods, content types and encodings', async () => {
  const before = await contents();
  const nothing = '/data/library/authors/00000000-0000-7000-8000-000000000000';
  const get = async (path: string): Promise<Answer> => send('GET', path);
  await refusedAll([
    ['root', get('/'), [404]],
    ['other', get('/x/y/z'), [404]],
    ['project only', get('/data/library'), [404]],
    ['unknown project', get('/data/other/authors'), [404]],
    ['prototype', get('/data/library/constructor'), [404]],
    ['prototype project', get('/data/__proto__/toString'), [404]],
    ['deeper', get('/data/library/authors/x/y'), [404]],
    ['traversal', get('/data/../../etc/passwd'), [404]],
    ['encoded traversal', get('/data/library/..%2f..%2fetc'), [404]],
    ['no such id', get(nothing), [404]],
    ['no uuid', get("/data/library/authors/1';DROP"), [404]],
    ['long id', get(`/data/library/authors/${'a'.repeat(900)}`), [404]],
    ['longer id', get(`/data/library/authors/${'a'.repeat(5_000)}`), [400, 404]],
    ['NUL', get('/data/library/authors/%00'), [404]],
    ['bad encoding', get('/data/library/authors/%ff'), [400, 404]],
    ['bad encoding 2', get('/data/library/%E0%A4%A'), [400]],
    ['query on one', get(`${authorUrl}?fields=x`), [400], 'query.fields'],
    ['patch', send('PATCH', authorUrl, { body: '{}', headers: json }), [405]],
    ['put a list', send('PUT', '/data/library/authors', { body: '{}', headers: json }), [405]],
    ['post to one', send('POST', authorUrl, { body: '{}', headers: json }), [405]],
    ['text', post('authors', '{}', { 'content-type': 'text/plain' }), [415]],
    ['xml', post('authors', '<a/>', { 'content-type': 'application/xml' }), [415]],
    ['form', post('authors', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }), [415]],
    ['lines to one resource', post('authors', '{}', { 'content-type': 'application/x-ndjson' }), [400, 415]],
    ['gzip', post('authors', '{"authorKey":"gz"}', { 'content-encoding': 'gzip' }), [415]],
    ['JSON to bulk', send('POST', '/data/$bulk', { body: '{}', headers: json }), [415]],
    [
      'bulk parameter',
      send('POST', '/data/$bulk?all=1', { body: '{}', headers: { 'content-type': 'application/x-ndjson' } }),
      [400],
      'query.all',
    ],
    ['id of another', send('PUT', authorUrl, { body: '{"id":"x","authorKey":"a"}', headers: json }), [400], '$.id'],
    ['put what is not there', send('PUT', nothing, { body: '{"authorKey":"q"}', headers: json }), [404]],
    ['delete what is not there', send('DELETE', nothing), [404]],
  ]);
  expect(await contents()).toBe(before);
});

test('forged etags', async () => {
  const before = await contents();
  const tags = [
    '"2"',
    'W/"1"',
    '1"',
    '"',
    '',
    '"-1"',
    '"1e0"',
    '"0x1"',
    '"9223372036854775808"',
    '"1;DROP"',
    '"1" "1"',
    `"${'1'.repeat(5_000)}"`,
  ];
  for (const tag of tags) {
    const headers = { 'if-match': tag };
    expectRefused(
      tag,
      await send('PUT', authorUrl, { body: '{"authorKey":"a","born":"1900-01-01"}', headers: { ...json, ...headers } }),
      [412],
    );
    expectRefused(tag, await send('DELETE', authorUrl, { headers }), [412]);
    expectRefused(tag, await post('authors', { authorKey: 'a', born: '1900-01-01' }, headers), [412]);
  }
  expectRefused(
    'exists',
    await post('authors', { authorKey: 'a', born: '1900-01-01' }, { 'if-none-match': '*' }),
    [412],
  );
  expect(await contents()).toBe(before);
  expect((await send('GET', authorUrl, { headers: { 'if-none-match': '"2", W/"1"' } })).status).toBe(304);
  expect((await send('GET', authorUrl, { headers: { 'if-none-match': '"2"' } })).status).toBe(200);
});

test('forged page tokens, and filters on what is no field', async () => {
  for (let n = 0; n < 3; n += 1) await post('authors', { authorKey: `page${n}`, born: '1950-01-01' });
  const list = async (query: string): Promise<Answer> => send('GET', `/data/library/authors?${query}`);
  const first = await list('born=1950-01-01&limit=1');
  const token = String(first.headers['next-page-token']);
  const bytes = Buffer.from(token, 'base64url');
  const forged = Array.from({ length: bytes.length }, (_, at) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    return changed.toString('base64url');
  });
  for (const each of [
    ...forged,
    '',
    'x',
    token.slice(1),
    token + token,
    '%00',
    encodeURIComponent("' OR 1=1"),
    'A'.repeat(5_000),
  ])
    expectRefused(each, await list(`born=1950-01-01&limit=1&pageToken=${each}`), [400], 'query.pageToken');
  for (const query of ['limit=1', 'born=1950-01-02&limit=1', 'authorKey=page0&limit=1'])
    expectRefused(query, await list(`${query}&pageToken=${token}`), [400], 'query.pageToken');
  expect((await list(`born=1950-01-01&limit=2&pageToken=${token}`)).status).toBe(200);
  await refusedAll([
    ['unknown', list('nope=1'), [400], 'query.nope'],
    ['prototype', list('constructor=1'), [400], 'query.constructor'],
    ['proto', list('__proto__=1'), [400], 'query.__proto__'],
    ['path', list('$.authorKey=1'), [400]],
    ['sql', list(`${encodeURIComponent('authorKey"; DROP TABLE author; --')}=1`), [400]],
    ['date', list('born=2021-02-29'), [400], 'query.born'],
    ['date of many', list(`born=${'9'.repeat(1_000)}`), [400], 'query.born'],
    ['NUL', list('authorKey=%00'), [400], 'query.authorKey'],
    ['surrogate', list('authorKey=%ED%A0%80'), [400]],
    ['long', list(`authorKey=${'x'.repeat(2_001)}`), [400], 'query.authorKey'],
    ['many', list(Array.from({ length: 51 }, () => 'authorKey=a').join('&')), [400]],
    ['limit', list('limit=501'), [400], 'query.limit'],
    ['limit twice', list('limit=1&limit=2'), [400], 'query.limit'],
    ['negative', list('limit=-1'), [400], 'query.limit'],
    ['offset', list('offset=1e3'), [400], 'query.offset'],
    ['far', list('offset=999999999999'), [400], 'query.offset'],
    ['both', list(`born=1950-01-01&offset=1&pageToken=${token}`), [400], 'query.offset'],
    ['count', list('totalCount=1'), [400], 'query.totalCount'],
    ['id', list('id=5'), [400], 'query.id'],
    ['number', send('GET', '/data/library/works?pages=1e3'), [400], 'query.pages'],
    ['number beyond', send('GET', `/data/library/works?pages=${'9'.repeat(20)}`), [400], 'query.pages'],
    ['boolean', send('GET', '/data/library/works?isRare=1'), [400], 'query.isRare'],
    ['instant', send('GET', '/data/library/works?registeredAt=now'), [400], 'query.registeredAt'],
  ]);
  expect(JSON.parse((await list(`authorKey=${encodeURIComponent("'; DROP TABLE author; --")}`)).text)).toEqual([]);
});

test('any JSON in place of any document, and any bytes in place of JSON', async () => {
  const endpoints = ['works', 'authors', 'branches', 'readingLists', 'copies', 'languageDescriptors', 'yearTypes'];
  const names = [
    'authorKey',
    'title',
    'editions',
    'authorReference',
    'languageDescriptor',
    'name',
    'authors',
    'branchId',
    'namespace',
    'codeValue',
    'year',
    '_ext',
    'id',
    '_etag',
    '__proto__',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...endpoints),
      fc.oneof(
        fc.jsonValue({ maxDepth: 4 }).map((value) => Buffer.from(JSON.stringify(value))),
        fc
          .dictionary(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 3 }))
          .map((value) => Buffer.from(JSON.stringify(value))),
        fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      ),
      async (endpoint, body) => {
        const answer = await post(endpoint, body);
        if (answer.status === 200 || answer.status === 201) return;
        expectRefused(body.toString('latin1'), answer, [400, 409]);
        const problem = JSON.parse(answer.text) as { errors?: unknown[] };
        if (answer.status === 400 && body.length > 0 && !answer.text.includes('UTF-8'))
          expect(problem.errors?.length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 250 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(fc.json({ maxDepth: 2 }), fc.string()), { maxLength: 8 }), async (lines) => {
      const answer = await send('POST', '/data/$bulk', {
        body: lines.join('\n'),
        headers: { 'content-type': 'application/x-ndjson' },
      });
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.text)).toMatchObject({ created: 0, updated: 0 });
    }),
    { numRuns: 60 },
  );
}, 60_000);

test('a client that goes away in the middle of a bulk body: whole chunks or nothing, and no failure of the server', async () => {
  const { port } = new URL(running.address);
  const lines = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, n) =>
      JSON.stringify({ resource: 'library/authors', document: { authorKey: `gone${from + n}` } }),
    ).join('\n');
  await new Promise<void>((resolve) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/data/$bulk',
      headers: { 'content-type': 'application/x-ndjson' },
    });
    sent.on('error', () => resolve());
    sent.on('close', () => resolve());
    sent.write(`${lines(0, 2_500)}\n{"resource":"library/auth`);
    setTimeout(() => sent.destroy(), 700);
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { rows } = await client.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM hostile.author WHERE author_key LIKE 'gone%'`,
  );
  expect([0, 2_000]).toContain(rows[0]?.n);
});

test('after all of it: no failure of the server, and a sound store', async () => {
  expect(internal).toEqual([]);
  const summary = await audit(
    { schemaFiles, store: 'hostile', databaseUrl: created.url, dataDir: '/nonexistent' },
    { repair: false, documents: [], cascade: false, restart: true, onDamage: () => undefined },
  );
  expect(summary.damages).toBe(0);
});
