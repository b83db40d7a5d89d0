import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createTestDatabase, type DatabaseTarget } from './create-test-database.ts';

const withClient = async <T>(target: DatabaseTarget, fn: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ ...target });
  await client.connect();
  try {
    return await fn(client);
  } finally {
    await client.end();
  }
};

describe('createTestDatabase', () => {
  it('prepares a template once and gives every caller a clone of its own', async () => {
    let prepared = 0;
    const options = {
      template: 'test-kit: one table',
      prepare: async (target: DatabaseTarget) => {
        prepared += 1;
        await withClient(target, async (client) => client.query('CREATE TABLE note (text text)'));
      },
    };
    const [first, second] = await Promise.all([createTestDatabase(options), createTestDatabase(options)]);
    await withClient(first.target, async (client) => client.query(`INSERT INTO note VALUES ('mine')`));
    const seen = await withClient(second.target, async (client) => client.query('SELECT * FROM note'));
    expect(prepared).toBe(1);
    expect(seen.rowCount).toBe(0);
    await Promise.all([first.drop(), second.drop()]);
  });

  it('prepares again after a preparation that failed', async () => {
    const template = 'test-kit: fails once';
    const failing = { template, prepare: async () => Promise.reject(new Error('as arranged')) };
    await expect(createTestDatabase(failing)).rejects.toThrow('as arranged');
    const database = await createTestDatabase({
      template,
      prepare: async (target) =>
        withClient(target, async (client) => void (await client.query('CREATE TABLE whole ()'))),
    });
    await withClient(database.target, async (client) => client.query('SELECT FROM whole'));
    await database.drop();
  });

  it('fails, and still drops, when a connection was left open', async () => {
    const database = await createTestDatabase({ template: 'test-kit: empty' });
    const forgotten = new pg.Client({ ...database.target, application_name: 'forgotten' });
    forgotten.on('error', () => undefined);
    await forgotten.connect();
    await expect(database.drop()).rejects.toThrow(/leaks 1 database connection\(s\): casebound\/forgotten/);
    await expect(withClient(database.target, async () => undefined)).rejects.toThrow(/does not exist/);
  });

  it('runs tests as a role that is no superuser', async () => {
    const database = await createTestDatabase({ template: 'test-kit: empty' });
    const { rows } = await withClient(database.target, async (client) =>
      client.query(`SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user`),
    );
    expect(rows).toEqual([{ rolsuper: false, rolcreaterole: true, rolcreatedb: true }]);
    await database.drop();
  });
});
