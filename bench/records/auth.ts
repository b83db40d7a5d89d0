/**
 * records-auth: list pages and counts under relationship authorization against the same without, one third of the callers seeing
 * everything, one a tenth, one a hundredth of the documents. `DOCUMENTS` (200,000), `BRANCHES` (200) and `REPEATS` (150) change its
 * size: with 10,000 branches the hundredth lies in 100 of them, and everything in more than a list reads before its first row.
 */
import {
  bulkWrite,
  type Claims,
  type JsonValue,
  listDocuments,
  parseAuthorization,
} from '../../packages/records/src/index.ts';
import {
  clock,
  fill,
  type Figure,
  language,
  median,
  ms,
  processorMs,
  quantile,
  runBench,
  sideBySide,
} from './harness.ts';

const documents = Number(process.env['DOCUMENTS'] ?? 200_000);
const repeats = Number(process.env['REPEATS'] ?? 150);
const branches = Number(process.env['BRANCHES'] ?? 200);

const authorization = parseAuthorization({
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: {
    readers: {
      grants: [
        { resource: 'Library.Copy', actions: { read: [{ kind: 'relationship', paths: ['$.branchReference'] }] } },
        {
          resource: '*',
          actions: { create: [{ kind: 'none' }], update: [{ kind: 'none' }], read: [{ kind: 'none' }] },
        },
      ],
    },
  },
});

// One connection, so that all processor time of the database is that of one process.
await runBench('records-auth', 1, async ({ database, resource, store: open }) => {
  const guarded = await open('lib', { authorization });
  const plainStore = await open('lib');
  const claims: Claims = { claimSet: 'readers' };
  await fill(plainStore, resource);
  const write = async (endpoint: string, all: readonly { [key: string]: JsonValue }[]): Promise<void> => {
    const { failed } = await bulkWrite(
      endpoint === 'copies' ? plainStore : guarded,
      all.map((document) => ({ resource: resource(endpoint), document })),
      { claims },
    );
    if (failed > 0) throw new Error(`${endpoint}: ${failed} failed`);
  };
  // Ten regions of twenty branches each below one consortium.
  await write('consortia', [{ consortiumId: 1_000_000, name: 'All' }]);
  await write(
    'branches',
    Array.from({ length: 10 }, (_, n) => ({
      branchId: 900_000 + n,
      name: `Region ${n}`,
      parentOrganisationReference: { organisationId: 1_000_000 },
    })),
  );
  await write(
    'branches',
    Array.from({ length: branches }, (_, branchId) => ({
      branchId,
      name: `Branch ${branchId}`,
      parentOrganisationReference: { organisationId: 900_000 + (branchId % 10) },
    })),
  );
  const works = Array.from({ length: 1_000 }, (_, n) => ({
    authorKey: `author ${n % 100}`,
    title: `Work ${n}`,
    languageDescriptor: language,
  }));
  await write(
    'works',
    works.map(({ authorKey, ...rest }) => ({ authorReference: { authorKey }, ...rest })),
  );
  for (let at = 0; at < documents; at += 20_000) {
    await write(
      'copies',
      Array.from({ length: Math.min(20_000, documents - at) }, (_, n) => ({
        workReference: works[(at + n) % works.length] ?? {},
        copyNumber: at + n,
        branchReference: { branchId: ((at + n) * 7) % branches },
      })),
    );
  }
  await database.pool.query('VACUUM ANALYZE');
  const group = async (sql: string): Promise<Claims> => ({
    claimSet: 'readers',
    groupDocumentIds: (await database.pool.query(sql)).rows.map((row) => Number(row.document_id)),
  });
  const copies = resource('copies');
  const callers = {
    'all of it': await group('SELECT document_id FROM lib.consortium'),
    'a tenth of it': await group('SELECT document_id FROM lib.branch WHERE branch_id = 900003'),
    'a hundredth of it': await group(`SELECT document_id FROM lib.branch WHERE branch_id < ${branches / 100}`),
  };
  const figures: Figure[] = [];
  const backend = Number((await database.pool.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid);
  const processor: Record<string, string> = {};
  for (const [reach, caller] of Object.entries(callers)) {
    for (const limit of [25, 200]) {
      const [plain, under, plainCpu, underCpu]: [number[], number[], number[], number[]] = [[], [], [], []];
      let [plainToken, token]: [string | undefined, string | undefined] = [undefined, undefined];
      for (let round = 0; round < repeats + 10; round += 1) {
        const next = (from: string | undefined): object => (from === undefined ? {} : { pageToken: from });
        const before = processorMs(backend);
        const a = await clock(async () => {
          const page = await listDocuments(plainStore, copies, { limit, ...next(plainToken) });
          plainToken = page.nextPageToken ?? undefined;
        });
        const between = processorMs(backend);
        const b = await clock(async () => {
          const page = await listDocuments(guarded, copies, { limit, claims: caller, ...next(token) });
          token = page.nextPageToken ?? undefined;
        });
        if (round >= 10) {
          plain.push(a);
          under.push(b);
          plainCpu.push(between - before);
          underCpu.push(processorMs(backend) - between);
        }
      }
      processor[`pages of ${limit}, ${reach}`] =
        `${median(underCpu).toFixed(2)} against ${median(plainCpu).toFixed(2)}`;
      figures.push({
        name: `pages of ${limit}, caller sees ${reach}`,
        ours: `${ms(median(under))} (p99 ${ms(quantile(under, 0.99))})`,
        against: `without authorization ${ms(median(plain))}`,
        ratio: median(under) / median(plain),
        must: '<= 2x, aim 1.2x',
      });
    }
  }
  for (const [reach, caller] of Object.entries(callers)) {
    const counted = { limit: 1, totalCount: true };
    const [under, plain] = await sideBySide(
      repeats,
      async () => clock(async () => listDocuments(guarded, copies, { ...counted, claims: caller })),
      async () => clock(async () => listDocuments(plainStore, copies, counted)),
    );
    figures.push({
      name: `count, caller sees ${reach}`,
      ours: ms(under),
      against: `without authorization ${ms(plain)}`,
      ratio: under / plain,
      must: 'shown',
    });
  }
  return { figures, more: { documents, branches, 'database processor, median ms': processor } };
});
