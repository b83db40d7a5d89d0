/**
 * Whatever many clients do at once, the store is sound afterwards: edges, identities, cached JSON and the closure of the hierarchy
 * are those that the columns call for, and a running audit and watchdog raise no false alarm meanwhile.
 */
import { CaseboundError } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { parseAuthorization } from '../auth/claim-set.ts';
import { bulkWrite } from '../bulk/bulk-write.ts';
import { startDeferredBumps } from '../identity/deferred-bumps.ts';
import { getDocument, listDocuments } from '../read/read-documents.ts';
import type { StoreContext } from '../store-context.ts';
import { fillLibrary, language, openLibrary, type OpenedLibrary } from '../testing/open-library.ts';
import { deleteDocument } from '../write/delete-document.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { putDocument, upsertDocument } from '../write/write-document.ts';
import type { Damage } from './audit-documents.ts';
import { auditStore } from './audit-store.ts';
import { createWatchdog } from './watchdog.ts';

const none = [{ kind: 'none' }];
const authorization = parseAuthorization({
  hierarchy: {
    members: [
      { resource: 'Library.Consortium' },
      { resource: 'Library.Branch', parentPaths: ['$.parentOrganisationReference'] },
    ],
  },
  claimSets: {
    all: { grants: [{ resource: '*', actions: { create: none, read: none, update: none, delete: none } }] },
  },
});
const claims = { claimSet: 'all' };

let library: OpenedLibrary;
beforeAll(async () => {
  library = await openLibrary({ authorization, cacheMode: 'on-write' }, 20);
  await fillLibrary(async (endpoint, document) =>
    upsertDocument(library.store, library.resource(endpoint), document, { claims }),
  );
});
afterAll(async () => library.close());

interface Step {
  readonly do: 'write' | 'bulk' | 'put' | 'rename' | 'delete';
  readonly endpoint: string;
  readonly key: number;
  readonly to: number;
}

const authorKey = (n: number): string => `k${n}`;
const documentOf = (endpoint: string, key: number, to: number): { [key: string]: JsonValue } => {
  const work = { authorKey: authorKey(to), title: `t${key % 3}`, languageDescriptor: language('en') };
  switch (endpoint) {
    case 'authors':
      return { authorKey: authorKey(key), ...(to % 2 === 0 ? {} : { born: `19${10 + to}-01-01` }) };
    case 'works':
      return {
        authorReference: { authorKey: authorKey(to) },
        title: `t${key % 3}`,
        languageDescriptor: language('en'),
        contributors: [{ authorReference: { authorKey: authorKey((to + key) % 6) } }],
      };
    case 'copies':
      return { workReference: work, copyNumber: key, branchReference: { branchId: 100 + (to % 4) } };
    case 'loans':
      return { copyReference: { ...work, copyNumber: key }, loanDate: '2020-01-01' };
    case 'readingLists':
      return {
        name: `l${key}`,
        organisationReference: { organisationId: 100 + (to % 4) },
        authors: [...new Set([key % 6, to % 6])].map((n) => ({ authorReference: { authorKey: authorKey(n) } })),
        works: [{ workReference: work }],
      };
    default:
      return {
        branchId: 100 + (key % 4),
        name: 'b',
        ...(key % 4 === to % 4
          ? {}
          : { parentOrganisationReference: { organisationId: key % 4 < to % 4 ? 1 : 100 + (to % 4) } }),
      };
  }
};

const endpoints = ['authors', 'works', 'copies', 'loans', 'readingLists', 'branches'] as const;
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('write', 'write', 'bulk', 'put', 'rename', 'rename', 'delete'),
  endpoint: fc.constantFrom(...endpoints),
  key: fc.nat(5),
  to: fc.nat(5),
});

/** What any of the steps may be answered; everything else is a fault of the store. */
const expected = new Set([
  'ok',
  'unresolved_reference',
  'duplicate_identity',
  'record_not_found',
  'record_referenced',
  'identity_immutable',
  'precondition_failed',
  'conflict_retries_exhausted',
]);

const idOf = (body: { [key: string]: JsonValue }): string => (typeof body['id'] === 'string' ? body['id'] : '');

class Client {
  private readonly store: StoreContext;
  readonly outcomes: string[] = [];

  constructor(store: StoreContext) {
    this.store = store;
  }

  private async anyOf(
    endpoint: string,
    key: number,
  ): Promise<{ id: string; body: { [key: string]: JsonValue } } | null> {
    const { bodies } = await listDocuments(this.store, library.resource(endpoint), { claims, limit: 12 });
    const text = bodies[key % Math.max(1, bodies.length)];
    const body = text === undefined ? null : (JSON.parse(text) as { [key: string]: JsonValue });
    return body === null ? null : { id: idOf(body), body };
  }

  private async run(what: Step): Promise<void> {
    const resource = library.resource(what.endpoint);
    const document = documentOf(what.endpoint, what.key, what.to);
    if (what.do === 'write') await upsertDocument(this.store, resource, document, { claims });
    else if (what.do === 'bulk') {
      const rows = [0, 1, 2, 3].map((n) => ({
        resource,
        document: documentOf(what.endpoint, (what.key + n) % 6, what.to),
      }));
      await bulkWrite(this.store, rows, {
        claims,
        onRow: (row) => this.outcomes.push(row.outcome === 'failed' ? row.error.code : 'ok'),
      });
    } else {
      const found = await this.anyOf(what.endpoint, what.key);
      if (found === null) return;
      if (what.do === 'delete') await deleteDocument(this.store, resource, found.id, { claims });
      else {
        const changed = what.do === 'put' ? { ...found.body, ...document } : { ...found.body, ...renamed(what) };
        await putDocument(this.store, resource, found.id, { ...changed, id: found.id }, { claims });
      }
    }
  }

  async take(steps: readonly Step[]): Promise<void> {
    for (const each of steps) {
      this.outcomes.push(
        await this.run(each).then(
          () => 'ok',
          (error: unknown) => (error instanceof CaseboundError ? error.code : String(error)),
        ),
      );
    }
  }
}

const renamed = ({ endpoint, to }: Step): { [key: string]: JsonValue } =>
  endpoint === 'authors' ? { authorKey: authorKey(to) } : endpoint === 'works' ? { title: `t${to % 3}` } : {};

test('any steps of twelve clients at once, with small bounds, a job of bumps, an audit and a watchdog at work', async () => {
  const { limits } = library.store;
  // What a try that failed left in the store is mended, so that the next is judged by what it does itself.
  await auditStore(library.store, { resume: false, repair: true });
  const incidents: unknown[] = [];
  const failures: unknown[] = [];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 8, maxLength: 14 }), { minLength: 12, maxLength: 12 }),
      fc.constantFrom('fail', 'defer'),
      async (plans, beyondFanOut) => {
        const maxFanOut = beyondFanOut === 'defer' ? 1 : limits.cascade.maxFanOut;
        const watchdog = createWatchdog({
          intervalMs: 20,
          sampleSize: 10,
          commitShare: 1,
          onDamage: 'mark-unhealthy',
          onIncident: (incident) => void incidents.push(incident),
          onFailure: (error) => void failures.push(error),
        });
        const store = await library.reopen({
          afterCommit: watchdog.afterCommit,
          limits: { ...limits, cascade: { ...limits.cascade, maxFanOut, beyondFanOut } },
        });
        watchdog.start(store);
        const bumps = startDeferredBumps(store, { intervalMs: 5, onFailure: (error) => void failures.push(error) });
        const meanwhile: Damage[] = [];
        const clients = plans.map(() => new Client(store));
        await Promise.all([
          ...clients.map(async (client, index) => client.take(plans[index] ?? [])),
          auditStore(store, { resume: false, batchSize: 7, onDamage: (damage) => void meanwhile.push(damage) }),
        ]);
        await watchdog.stop();
        await bumps.stop();
        const outcomes = new Set(clients.flatMap((client) => client.outcomes));
        expect([...outcomes].filter((outcome) => !expected.has(outcome))).toEqual([]);
        expect([incidents, failures, meanwhile]).toEqual([[], [], []]);
        const found: Damage[] = [];
        await auditStore(store, { resume: false, onDamage: (damage) => void found.push(damage) });
        expect(found).toEqual([]);
      },
    ),
    // Interleavings do not repeat, so there is nothing to shrink.
    { numRuns: 8, endOnFailure: true },
  );
  // Something did happen, and each record is as its own body says.
  let records = 0;
  for (const endpoint of endpoints) {
    const resource = library.resource(endpoint);
    const { bodies } = await listDocuments(library.store, resource, { claims, limit: 500 });
    for (const text of bodies) {
      const body = JSON.parse(text) as { [key: string]: JsonValue };
      const id = idOf(body);
      expect((await getDocument(library.store, resource, id, { claims })).body).toBe(text);
      expect([endpoint, (await putDocument(library.store, resource, id, body, { claims })).outcome]).toEqual([
        endpoint,
        'unchanged',
      ]);
      records += 1;
    }
  }
  expect(records).toBeGreaterThan(15);
}, 300_000);
