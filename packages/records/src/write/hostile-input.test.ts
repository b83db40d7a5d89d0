import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { CaseboundError } from '@casebound/contract';
import { listDocuments } from '../read/read-documents.ts';
import { deriveModel } from '../derive/derive-model.ts';
import { loadSchema } from '../schema/load-schema.ts';
import { buildSchema } from '../testing/build-schema.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary, resourceAt } from '../testing/open-library.ts';
import { type JsonValue, parseJson } from './parse-json.ts';
import { upsertDocument } from './write-document.ts';

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
});
afterAll(async () => library.close());

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'ok';
  } catch (error) {
    return error instanceof CaseboundError ? `${error.code} ${error.errors[0]?.path ?? ''}` : String(error);
  }
};

test('the reader agrees with JSON.parse on everything that JSON.parse keeps whole', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (text) => {
      const ours = codeOf(() => parseJson(text));
      if (ours === 'ok')
        expect(parseJson(text)).toEqual(JSON.parse(text, (_key, value: unknown) => (Object.is(value, -0) ? 0 : value)));
      else expect(ours).toMatch(/^malformed_body \$/);
    }),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.string(), (text) => /^(ok|malformed_body \$)/.test(codeOf(() => parseJson(text)))));
});

test.each([
  ['{"a":1,"a":2}', '$.a'],
  ['{"a":{"b":[{"c":1,"c":1}]}}', '$.a.b[0].c'],
  ['{"a":"\\u0000"}', '$.a'],
  ['{"a":["x","\\ud800"]}', '$.a[1]'],
  ['{"a":"\\udc00\\ud800"}', '$.a'],
  ['{"a":9007199254740993}', '$.a'],
  ['{"a":0.12345678901234567890123}', '$.a'],
  ['{"a":1e999}', '$.a'],
  ['{"a":01}', '$'],
  ['{"a":1,}', '$'],
  ['{"a":"\n"}', '$.a'],
  ['[1,2', '$'],
  ['', '$'],
  ['{"a":tru}', '$.a'],
  ['['.repeat(10_000), `$${'[0]'.repeat(64)}`],
  [`{"a":${'{"a":'.repeat(100_000)}`, `$${'.a'.repeat(64)}`],
])('%.60s is refused at its place', (text, path) => {
  expect(codeOf(() => parseJson(text))).toBe(`malformed_body ${path}`);
});

test('0.1 + 0.2 as a double writes it, and large numbers that are exact, are kept', () => {
  expect(parseJson('[0.30000000000000004,1e21,9007199254740991,-0.0,123456789012345.6]')).toEqual([
    0.30000000000000004, 1e21, 9007199254740991, 0, 123456789012345.6,
  ]);
});

const work = (more: { [key: string]: JsonValue }): JsonValue => ({
  authorReference: { authorKey: 'a1' },
  title: 't',
  languageDescriptor: language('en'),
  ...more,
});

test('any JSON at all in place of a document is a 4xx with a path, or is stored', async () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  const members = [
    'title',
    'price',
    'pages',
    'isRare',
    'registeredAt',
    'subjects',
    'origin',
    'contributors',
    'editions',
    'authorReference',
    'languageDescriptor',
    'properties',
    '_ext',
    '__proto__',
    'constructor',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.constantFrom(...members), value, { maxKeys: 4 }),
      fc.boolean(),
      async (more, whole) => {
        const document = whole ? work(more as { [key: string]: JsonValue }) : (more as JsonValue);
        const result = await library.post('works', document).then(
          () => 'ok',
          (error: unknown) => (error instanceof CaseboundError ? error : `not a CaseboundError: ${String(error)}`),
        );
        if (result === 'ok') return;
        expect(result).toBeInstanceOf(CaseboundError);
        if (!(result instanceof CaseboundError)) return;
        expect([400, 409]).toContain(result.status);
        expect(result.errors.length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 150 },
  );
});

test('extreme values are stored or refused, never a 500', async () => {
  const cases: readonly JsonValue[] = [
    work({ title: 'x'.repeat(300) }),
    work({ title: 'x'.repeat(301) }),
    work({ price: 1e300 }),
    work({ price: 1e-300 }),
    work({ pages: -9007199254740991 }),
    work({ registeredAt: '0001-01-01T00:00:00+15:00' }),
    work({ registeredAt: '9999-12-31T23:59:59-15:00' }),
    work({ registeredAt: '2020-01-01T24:00:00Z' }),
    work({ origin: { place: "'; DROP SCHEMA library CASCADE; --" } }),
    work({ subjects: Array.from({ length: 10_000 }, (_, n) => `s${n}`) }),
    work({ editions: Array.from({ length: 10_000 }, (_, number) => ({ number })) }),
    work({ properties: { deep: JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`) as JsonValue } }),
  ];
  const outcomes = await Promise.all(
    cases.map(async (document) =>
      library.post('works', document).then(
        () => 'ok',
        (error: unknown) => (error instanceof CaseboundError ? String(error.status) : String(error)),
      ),
    ),
  );
  expect(outcomes.filter((outcome) => !['ok', '400', '409', '503'].includes(outcome))).toEqual([]);
});

test('an identity too long for an index is a 400', async () => {
  const model = deriveModel(
    loadSchema([
      buildSchema({
        name: 'P',
        endpoint: 'p',
        resources: {
          A: {
            endpoint: 'as',
            identity: ['$.k.x'],
            members: { k: { kind: 'object', members: { x: { kind: 'string', required: true } } } },
          },
        },
      }),
    ]),
  );
  const resource = resourceAt(model, 'as');
  const free = {
    ...resource,
    jsonSchema: { type: 'object', properties: { k: { type: 'object', properties: { x: { type: 'string' } } } } },
  };
  const other = await openLibrary({
    model: { ...model, resources: new Map([...model.resources].map(([id]) => [id, free])) },
  });
  try {
    // Random, so that it does not compress below the limit.
    const text = randomBytes(6_000).toString('base64');
    await expect(upsertDocument(other.store, free, { k: { x: text } })).rejects.toMatchObject({
      code: 'validation_failed',
      status: 400,
    });
    expect((await listDocuments(other.store, free)).bodies).toEqual([]);
  } finally {
    await other.close();
  }
});

test('filters, paging and tokens that are wrong are 400s that name the parameter', async () => {
  const list = async (endpoint: string, options: Parameters<typeof listDocuments>[2]): Promise<string> =>
    listDocuments(library.store, library.resource(endpoint), options).then(
      (page) => `ok ${page.bodies.length}`,
      (error: unknown) =>
        error instanceof CaseboundError ? `${error.status} ${error.errors[0]?.path}` : String(error),
    );
  const filter = (field: string, value: string) => ({ filters: [{ field, value }] });
  expect(await list('works', filter('nope', '1'))).toBe('400 query.nope');
  expect(await list('works', filter('pages', 'many'))).toBe('400 query.pages');
  expect(await list('works', filter('pages', '9'.repeat(19)))).toBe('400 query.pages');
  expect(await list('works', filter('isRare', '1'))).toBe('400 query.isRare');
  expect(await list('works', filter('title', 'a\u0000b'))).toBe('400 query.title');
  expect(await list('works', filter('title', "'; DROP TABLE work; --"))).toBe('ok 0');
  expect(await list('works', filter('id', 'x'))).toBe('400 query.id');
  expect(await list('works', filter('languageDescriptor', 'no such'))).toBe('ok 0');
  expect(await list('works', filter('authorKey', 'a1'))).toMatch(/^ok [1-9]/);
  expect(await list('works', filter('TITLE', 'One'))).toBe('ok 3');
  for (const limit of [-1, 501, 1.5, Number.NaN]) expect(await list('works', { limit })).toBe('400 query.limit');
  expect(await list('works', { offset: -1 })).toBe('400 query.offset');
  for (const pageToken of ['', 'AAAA', 'A'.repeat(32), 'A'.repeat(500), "' OR 1=1"])
    expect(await list('works', { pageToken })).toBe('400 query.pageToken');
  const page = await listDocuments(library.store, library.resource('authors'), { limit: 1 });
  const token = page.nextPageToken ?? '';
  expect(await list('authors', { pageToken: token, limit: 1 })).toBe('ok 1');
  expect(await list('works', { pageToken: token })).toBe('400 query.pageToken');
  expect(await list('authors', { pageToken: token, filters: [{ field: 'authorKey', value: 'a1' }] })).toBe(
    '400 query.pageToken',
  );
  expect(await list('authors', { pageToken: `B${token.slice(1)}` })).toBe('400 query.pageToken');
});

test('filters on references, polymorphic references, collections and descriptors find what they name', async () => {
  await library.post('readingLists', {
    name: 'f',
    organisationReference: { organisationId: 10 },
    authors: [{ authorReference: { authorKey: 'a2' }, note: 'n' }],
  });
  await library.post('copies', {
    workReference: { authorKey: 'a2', title: 'One', languageDescriptor: language('en') },
    copyNumber: 4,
  });
  const count = async (endpoint: string, ...filters: [string, string][]): Promise<number | null> =>
    (
      await listDocuments(library.store, library.resource(endpoint), {
        filters: filters.map(([field, value]) => ({ field, value })),
        totalCount: true,
      })
    ).totalCount;
  expect(await count('readingLists', ['organisationId', '10'], ['authorKey', 'a2'], ['note', 'n'])).toBe(1);
  expect(await count('readingLists', ['organisationId', '1'])).toBe(0);
  expect(
    await count(
      'copies',
      ['authorKey', 'a2'],
      ['title', 'One'],
      ['languageDescriptor', language('EN')],
      ['copyNumber', '4'],
    ),
  ).toBe(1);
  expect(await count('copies', ['authorKey', 'a3'])).toBe(0);
  expect(await count('languageDescriptors', ['codeValue', 'de'])).toBe(1);
  expect(await count('branches', ['branchId', '10'])).toBe(1);
});
