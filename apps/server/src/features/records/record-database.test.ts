import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRecordDatabase, type OpenRecordDatabase } from './record-database.ts';

let created: TestDatabase;
let database: OpenRecordDatabase;
beforeAll(async () => {
  created = await createTestDatabase({ template: 'records empty' });
  database = openRecordDatabase({
    connection: { connectionString: created.url },
    maxConnections: 2,
    namedStatements: true,
    lockTimeoutMs: 200,
    statementTimeoutMs: 300,
  });
});
afterAll(async () => {
  await database.close();
  await created.drop();
});

test('a statement that takes too long is told as such, and the connection goes on', async () => {
  await expect(database.transaction(async (tx) => tx.query('SELECT pg_sleep(5)'))).rejects.toMatchObject({
    code: 'operation_timeout',
    status: 503,
  });
  const { rows } = await database.patient.transaction(async (tx) => tx.query('SELECT 1 AS one, pg_sleep(0.4)'));
  expect(rows[0]?.['one']).toBe(1);
});

test('a mistake of the program is no lost connection, and rolls back', async () => {
  const mistake = new TypeError('not a function');
  await expect(
    database.transaction(async (tx) => {
      await tx.query('CREATE TABLE mistaken (x int)');
      throw mistake;
    }),
  ).rejects.toBe(mistake);
  const { rows } = await database.transaction(async (tx) => tx.query(`SELECT to_regclass('mistaken') AS there`));
  expect(rows[0]?.['there']).toBeNull();
});

test('a connection that the server ends is told as unreachable, and the next transaction has another', async () => {
  const admin = new pg.Client({ connectionString: created.url });
  await admin.connect();
  const ending = database.patient.transaction(async (tx) => {
    const { rows } = await tx.query('SELECT pg_backend_pid() AS pid');
    await admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.['pid']]);
    await tx.query('SELECT pg_sleep(1)');
  });
  await expect(ending).rejects.toMatchObject({ code: 'database_unreachable' });
  await admin.end();
  const { rows } = await database.transaction(async (tx) => tx.query('SELECT 2 AS two'));
  expect(rows[0]?.['two']).toBe(2);
});
