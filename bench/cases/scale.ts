/**
 * How many cases a database should hold: `node bench/cases/scale.ts [cases,…] [seconds]`.
 *
 * Fills one case database with cases of 60 tables and measures at each size: creating one more, the catalogue, what a
 * backend's memory grows to, connecting, migrating all. Everything runs on an embedded server of its own, with its
 * durability on. Prints a table, and JSON as the last line.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import {
  databaseConfigSchema,
  openDatabases,
  startEmbedded,
  type Migration,
} from '../../apps/server/src/database/index.ts';
import {
  createCase,
  deleteCase,
  migrateCases,
  type CasesDependencies,
} from '../../apps/server/src/features/cases/index.ts';
import { createClock } from '../../apps/server/src/platform/clock/create-clock.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { syntheticSchema, tablesPerCase } from './synthetic-schema.ts';

const sizes = (process.argv[2] ?? '0,100,500,1000').split(',').map(Number);
const budgetMs = Number(process.argv[3] ?? 600) * 1000;
const samples = 7;
const actor = { kind: 'system', reason: 'benchmark' } as const;
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (message, _fields, error) => console.error(message, error),
  with: () => log,
};

const started = performance.now();
const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
const server = await startEmbedded({ dataDir, maxConnections: 200 });
const config = databaseConfigSchema.parse({ kind: 'embedded', cases: { casesPerDatabase: 5000 } });
const databases = await openDatabases({
  servers: { main: { writer: async () => Promise.resolve(server.target) } },
  ...config,
  timeouts: { ...config.timeouts, statementTimeoutMs: 120_000, transactionTimeoutMs: 240_000 },
  clock: createClock(),
  log,
  crashPoint: () => undefined,
});
const migration = (number: number): Migration => ({
  set: 'bench',
  number,
  name: `${String(number).padStart(4, '0')}_column.sql`,
  text: `ALTER TABLE t0 ADD COLUMN added_${number} int; CREATE INDEX added_${number}_index ON t1 (flags) WHERE flags = ${number};`,
  checksum: String(number).padStart(64, '0'),
});
// The tables come as the first migration, so that later ones can change them.
let applied: Migration[] = [{ ...migration(1), text: syntheticSchema() }];
const dependencies = (): CasesDependencies => ({
  control: databases.control,
  caseDatabases: databases.caseDatabases,
  sessions: databases.cases,
  owner: databases.owner,
  roleContext: databases.roleContext,
  provisioners: [],
  caseMigrations: applied,
  removeObjects: async () => Promise.resolve(),
  onCaseDeleted: [],
  crashPoint: () => undefined,
  log,
});

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const timed = async (fn: () => Promise<unknown>): Promise<number> => {
  const before = performance.now();
  await fn();
  return performance.now() - before;
};

let serial = 0;
const create = async (): ReturnType<typeof createCase> =>
  createCase(dependencies(), actor, { name: `Case ${(serial += 1)}` });

async function measure(size: number): Promise<Record<string, number>> {
  const creating: number[] = [];
  const deleting: number[] = [];
  for (let sample = 0; sample < samples; sample += 1) {
    let caseId;
    creating.push(await timed(async () => ({ caseId } = await create())));
    if (caseId !== undefined) {
      const id = caseId;
      deleting.push(await timed(async () => deleteCase(dependencies(), actor, id)));
    }
  }
  const example = await create();
  const client = new pg.Client({ ...server.superuserTarget, database: example.database });
  await client.connect();
  const bareDdl: number[] = [];
  for (let sample = 0; sample < samples; sample += 1) {
    bareDdl.push(
      await timed(async () =>
        client.query(`BEGIN; CREATE SCHEMA bare; SET LOCAL search_path = bare; ${syntheticSchema()} COMMIT`),
      ),
    );
    await client.query('DROP SCHEMA bare CASCADE');
  }
  const { rows: catalogue } = await client.query<{ catalogue: string; whole: string }>(
    `SELECT sum(pg_total_relation_size(oid)) FILTER (WHERE relnamespace = 'pg_catalog'::regnamespace) AS catalogue,
            pg_database_size(current_database()) AS whole FROM pg_class WHERE relkind = 'r'`,
  );
  const { rows: schemas } = await client.query<{ nspname: string }>(
    `SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'case_') ORDER BY random() LIMIT 50`,
  );
  const memory = async (): Promise<number> =>
    Number(
      (await client.query<{ used: string }>('SELECT sum(total_bytes) AS used FROM pg_backend_memory_contexts')).rows[0]
        ?.used,
    );
  const touch = async (schema: string): Promise<void> => {
    for (let table = 0; table < tablesPerCase; table += 1)
      await client.query(`SELECT FROM ${schema}.t${table} WHERE id = 1`);
  };
  const bare = await memory();
  let afterOne = bare;
  for (const [index, { nspname }] of schemas.entries()) {
    await touch(nspname);
    if (index === 0) afterOne = await memory();
  }
  const afterAll = await memory();
  await client.end();
  const roundTrips: number[] = [];
  await databases.cases.withCase(example.caseId, actor, async (tx) => {
    for (let sample = 0; sample < 50; sample += 1) roundTrips.push(await timed(async () => tx.query('SELECT 1')));
  });
  const connecting: number[] = [];
  for (let sample = 0; sample < samples * 3; sample += 1) {
    const one = new pg.Client({ ...server.target });
    connecting.push(await timed(async () => one.connect()));
    await one.end();
  }
  applied = [...applied, migration(applied.length + 1)];
  const migrating = await timed(async () => migrateCases({ ...dependencies(), caseMigrations: applied }));
  const cases = size + 1;
  return {
    cases,
    'create ms': median(creating),
    'the bare DDL ms': median(bareDdl),
    'delete ms': median(deleting),
    'catalogue KiB/case': Number(catalogue[0]?.catalogue) / cases / 1024,
    'database KiB/case': Number(catalogue[0]?.whole) / cases / 1024,
    'backend, 0 cases KiB': bare / 1024,
    'backend, 1 case KiB': afterOne / 1024,
    [`backend, ${schemas.length} cases KiB`]: afterAll / 1024,
    'connect ms': median(connecting),
    'round trip ms': median(roundTrips),
    'migrate all s': migrating / 1000,
    'migrate ms/case': migrating / cases,
  };
}

const results: Record<string, number>[] = [];
try {
  await databases.migrate();
  await databases.caseDatabases.openNext();
  let have = 0;
  for (const size of sizes) {
    const fill = async (): Promise<void> => {
      while (have < size && performance.now() - started < budgetMs) {
        have += 1;
        await create();
      }
    };
    await Promise.all([fill(), fill()]);
    if (have < size) {
      console.log(`stopped at ${have} cases: the time is up`);
      break;
    }
    const result = await measure(size);
    have += 1;
    results.push(result);
    console.table(
      Object.fromEntries(Object.entries(result).map(([key, value]) => [key, Number(value.toPrecision(4))])),
    );
  }
  console.log(JSON.stringify(results));
} finally {
  await databases.close();
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
}
