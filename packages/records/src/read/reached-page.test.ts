/**
 * Pages of callers who see much and little, few members and many, records that lie mixed and in runs: whatever way the ids are
 * found, they are what the caller may see, in order, each once.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Claims, parseAuthorization } from '../auth/claim-set.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import type { StoreContext } from '../store-context.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { listDocuments, type ListOptions, type Page } from './read-documents.ts';

const authorization = parseAuthorization({
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: {
    writers: {
      grants: [
        {
          resource: '*',
          actions: { create: [{ kind: 'none' }], update: [{ kind: 'none' }], read: [{ kind: 'none' }] },
        },
      ],
    },
    readers: {
      grants: [
        {
          resource: 'Library.Copy',
          actions: { read: [{ kind: 'none' }, { kind: 'relationship', paths: ['$.branchReference'] }] },
        },
      ],
    },
  },
});

/** Branches below consortium 1 and, more than a list reads before its first row, below consortium 3. */
const few = Array.from({ length: 100 }, (_, n) => 100 + n);
const many = Array.from({ length: 2_100 }, (_, n) => 1_000 + n);
const copies = 6_000;

/** Where a copy stands: nowhere; rarely among many; mixed among few; in runs of one branch; almost always in one. */
const branchOf = (n: number): number | null => {
  const mixed = 100 + ((n * 7919) % 100);
  if (n % 41 === 0) return null;
  if (n % 13 === 0) return many[(n * 31) % many.length] ?? null;
  if (n < 1_500) return mixed;
  if (n < 3_000) return 140 + Math.floor((n - 1_500) / 60);
  return n % 17 === 0 ? mixed : 107;
};

/** Some branches, first with few copies, then with runs, then with few. */
const lumpy = Array.from({ length: 6 }, (_, n) => `${15 - n} branches with runs`);

interface Caller {
  readonly claims: Claims;
  readonly sees: readonly number[];
}

let library: OpenedLibrary;
let store: StoreContext;
const callers: Record<string, Caller> = {};

const write = async (endpoint: string, documents: readonly JsonValue[]): Promise<void> => {
  const resource = library.resource(endpoint);
  const rows = documents.map((document) => ({ resource, document }));
  expect(await bulkWrite(store, rows, { claims: { claimSet: 'writers' } })).toMatchObject({ failed: 0 });
};

const addCallers = async (): Promise<void> => {
  const { rows } = await library.database.pool.query(
    'SELECT branch_id AS number, document_id FROM library.branch UNION ALL SELECT consortium_id, document_id FROM library.consortium',
  );
  const ids = new Map(rows.map((row) => [Number(row.number), Number(row.document_id)]));
  const { rows: stored } = await library.database.pool.query(
    'SELECT t.copy_number, b.branch_id FROM library.copy t JOIN library.branch b ON b.document_id = t.branch_document_id ORDER BY t.document_id',
  );
  const add = (name: string, groups: readonly number[], branches: readonly number[]): void => {
    const reached = new Set(branches);
    callers[name] = {
      claims: { claimSet: 'readers', groupDocumentIds: groups.map((group) => ids.get(group) ?? -1) },
      sees: stored.filter((row) => reached.has(Number(row.branch_id))).map((row) => Number(row.copy_number)),
    };
  };
  add('nothing', [], []);
  add('a group that is not there', [5], []);
  add('a branch with a run', [150], [150]);
  add('the branch with most', [107], [107]);
  add('three branches', [101, 107, 150], [101, 107, 150]);
  for (const [at, name] of lumpy.entries()) add(name, few.slice(45 + at, 60), few.slice(45 + at, 60));
  add('forty branches', few.slice(20, 60), few.slice(20, 60));
  add('a consortium and branches of it', [1, 107, 150], few);
  add('scattered branches of many', many.slice(0, 300), many.slice(0, 300));
  add('too many members to hash', [3], many);
  add('everything', [1, 3], [...few, ...many]);
};

beforeAll(async () => {
  library = await openLibrary();
  await fillLibrary(library.post);
  store = await library.reopen({ authorization });
  const below = (organisationId: number, branchIds: readonly number[]): JsonValue[] =>
    branchIds.map((branchId) => ({ branchId, name: 'x', parentOrganisationReference: { organisationId } }));
  await write('consortia', [{ consortiumId: 3, name: 'Three' }]);
  await write('branches', [...below(1, few), ...below(3, many)]);
  const workReference = { authorKey: 'a1', title: 'One', languageDescriptor: language('en') };
  const stands = (branchId: number | null): object => (branchId === null ? {} : { branchReference: { branchId } });
  await write(
    'copies',
    Array.from({ length: copies }, (_, n) => ({ workReference, copyNumber: n, ...stands(branchOf(n)) })),
  );
  await addCallers();
}, 60_000);
afterAll(async () => library.close());

const list = async (claims: Claims, options: ListOptions): Promise<Page> =>
  listDocuments(store, library.resource('copies'), { claims, ...options });
const numbers = ({ bodies }: Page): number[] =>
  bodies.map((body) => (JSON.parse(body) as { copyNumber: number }).copyNumber);

test('by token, pages of any size hold together what the caller may see', { timeout: 60_000 }, async () => {
  for (const [name, { claims, sees }] of Object.entries(callers)) {
    for (const limit of [8, 25, 200, 500]) {
      const seen: number[] = [];
      let pages = 0;
      for (let pageToken: string | null | undefined; pageToken !== null && pages < 60; pages += 1) {
        const page: Page = await list(claims, { limit, ...(pageToken === undefined ? {} : { pageToken }) });
        seen.push(...numbers(page));
        pageToken = page.nextPageToken;
      }
      expect([name, limit, seen]).toEqual([name, limit, sees.slice(0, limit * 60)]);
    }
  }
});

test('by offset, near and far, and counted', async () => {
  for (const [name, { claims, sees }] of Object.entries(callers)) {
    for (const [offset, limit] of [
      [0, 0],
      [0, 1],
      [3, 25],
      [700, 200],
      [1_400, 500],
      [4_999, 2],
    ] as const) {
      const page = await list(claims, { offset, limit, totalCount: true });
      expect([name, offset, page.totalCount, numbers(page)]).toEqual([
        name,
        offset,
        sees.length,
        sees.slice(offset, offset + limit),
      ]);
    }
  }
});

test('at every place there is the record that belongs there, and what follows it', { timeout: 60_000 }, async () => {
  for (const name of ['three branches', 'a consortium and branches of it', ...lumpy]) {
    const { claims, sees } = callers[name] ?? { claims: { claimSet: 'readers' }, sees: [] };
    expect(sees.length).toBeGreaterThan(100);
    const found: number[] = [];
    for (let offset = 0; offset < Math.min(900, sees.length); offset += 2) {
      const one = await list(claims, { offset, limit: 1 });
      const next = await list(claims, { limit: 19, pageToken: one.nextPageToken ?? '' });
      found.push(...numbers(one));
      expect([name, offset, numbers(next)]).toEqual([name, offset, sees.slice(offset + 1, offset + 20)]);
    }
    expect([name, found]).toEqual([name, sees.slice(0, 900).filter((_, n) => n % 2 === 0)]);
  }
});

test('a filter narrows what the caller may see', async () => {
  for (const [name, { claims, sees }] of Object.entries(callers)) {
    const wanted = sees[sees.length >> 1] ?? 7;
    const page = await list(claims, { filters: [{ field: 'copyNumber', value: String(wanted) }], totalCount: true });
    expect([name, numbers(page), page.totalCount]).toEqual([
      name,
      sees.filter((copy) => copy === wanted),
      Number(sees.includes(wanted)),
    ]);
  }
});
