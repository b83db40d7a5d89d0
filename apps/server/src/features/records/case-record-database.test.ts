import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CaseId } from '@casebound/contract';
import {
  emitDdl,
  getDocument,
  type Model,
  openStore,
  putDocument,
  type StoreContext,
  upsertDocument,
} from '@casebound/records';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Databases } from '../../database/index.ts';
import { openTestDatabases, silentLog, type TestDatabases } from '../../database/testing/open-test-databases.ts';
import { startProxy, type Proxy } from '../../database/testing/tcp-proxy.ts';
import { createCase } from '../cases/index.ts';
import { caseRecordDatabase } from './case-record-database.ts';
import { loadModel } from './record-source.ts';

const actor = { kind: 'system', reason: 'test' } as const;
const fixture = new URL('../../../../../packages/records/fixtures/library.api-schema.json', import.meta.url).pathname;

let test: TestDatabases;
let proxy: Proxy;
let databases: Databases;
let model: Model;
let caseId: CaseId;
let store: StoreContext;
const retries: string[] = [];

beforeAll(async () => {
  model = await loadModel([fixture]);
  test = await openTestDatabases();
  proxy = await startProxy(test.database.target.port);
  databases = await test.openAnother({
    namedStatements: true,
    servers: { main: { writer: async () => Promise.resolve({ ...test.database.target, port: proxy.port }) } },
  });
  const made = await createCase(
    {
      control: databases.control,
      caseDatabases: databases.caseDatabases,
      sessions: databases.cases,
      owner: databases.owner,
      roleContext: databases.roleContext,
      provisioners: [async (tx, { schema }) => tx.script(emitDdl(model, schema).join(';\n'))],
      caseMigrations: [],
      removeObjects: async () => Promise.resolve(),
      onCaseDeleted: [],
      crashPoint: () => undefined,
      log: silentLog,
    },
    actor,
    { name: 'Records' },
  );
  caseId = made.caseId;
  store = await openStore({
    model,
    database: caseRecordDatabase(databases.cases, caseId, actor),
    schema: made.schema,
    metrics: {
      count: (name, labels) => void (name === 'records_retries' && retries.push(labels?.['reason'] ?? '')),
      observe: () => undefined,
    },
  });
});
afterAll(async () => {
  await databases.close();
  await proxy.close();
  await test.close();
});

const resource = (endpoint: string): ReturnType<StoreContext['resource']> => {
  const found = model.byEndpoint.get(`library/${endpoint}`);
  if (found === undefined) throw new Error(endpoint);
  return found;
};

describe('the records of a case', () => {
  it('are written in two round trips and read in one', async () => {
    const trips = async (work: () => Promise<unknown>): Promise<number> => {
      const before = proxy.messagesFromClient();
      await work();
      return proxy.messagesFromClient() - before;
    };
    const post = async (authorKey: string): Promise<unknown> =>
      upsertDocument(store, resource('authors'), { authorKey });
    await post('a');
    expect(await trips(async () => post('b'))).toBe(2);
    const { uuid } = await upsertDocument(store, resource('authors'), { authorKey: 'b' });
    expect(await trips(async () => getDocument(store, resource('authors'), uuid))).toBe(1);
  });

  it('repeats a write that another overtook, and says which race it lost', async () => {
    const authorKey = `raced ${randomUUID()}`;
    const { uuid } = await upsertDocument(store, resource('authors'), { authorKey });
    await Promise.all(
      Array.from({ length: 8 }, async (_, index) =>
        putDocument(store, resource('authors'), uuid, { authorKey, born: `2000-01-0${index + 1}` }),
      ),
    );
    expect(retries).toContain('changed_meanwhile');
    const stored = await getDocument(store, resource('authors'), uuid);
    expect(stored?.etag).toBe(9);
  });

  it('repeats a write that waited too long for a lock', async () => {
    const impatient = {
      ...store,
      database: caseRecordDatabase(databases.cases, caseId, actor, { lockTimeoutMs: 50, alongside: true }),
    };
    const { uuid } = await upsertDocument(store, resource('authors'), { authorKey: 'locked' });
    let written: Promise<unknown> | undefined;
    await databases.cases.withCase(caseId, actor, async (tx) => {
      await tx.query('UPDATE document SET etag = etag WHERE document_uuid = $1', [uuid]);
      written = putDocument(impatient, resource('authors'), uuid, { authorKey: 'locked', born: '1999-12-31' });
      written.catch(() => undefined);
      await sleep(120);
    });
    await written;
    expect(retries).toContain('lock_timeout');
  });
});
