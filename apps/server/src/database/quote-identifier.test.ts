import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quoteIdentifier, quoteQualified } from './quote-identifier.ts';

describe('quoteIdentifier', () => {
  let database: TestDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await createTestDatabase({ template: 'empty' });
    client = new pg.Client({ ...database.target });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  it('gives a name that PostgreSQL reads as exactly that name', async () => {
    const name = fc
      .string({ minLength: 1, maxLength: 63, unit: 'binary' })
      .filter((text) => text.isWellFormed() && !text.includes('\0') && Buffer.byteLength(text) <= 63);
    await fc.assert(
      fc.asyncProperty(name, async (text) => {
        const { fields } = await client.query(`SELECT 1 AS ${quoteIdentifier(text)}`);
        expect(fields[0]?.name).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('lets nothing out of the quotes', () => {
    expect(quoteIdentifier('a"; DROP SCHEMA core; --')).toBe('"a""; DROP SCHEMA core; --"');
    expect(quoteQualified('case_7', 'ex.hibit')).toBe('"case_7"."ex.hibit"');
  });

  it.each(['', 'a\0b', 'x'.repeat(64), 'ü'.repeat(32), '\ud800'])(
    'refuses what PostgreSQL would change: %j',
    (name) => {
      expect(() => quoteIdentifier(name)).toThrow(/cannot be a database identifier/);
    },
  );
});
