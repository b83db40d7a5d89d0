import type { CaseId } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { caseSchema } from '../../database/index.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { readHistory } from './read-history.ts';
import { recordChanges } from './record-changes.ts';
import { blockHash, sealAudit } from './seal-audit.ts';
import { verifyAudit } from './verify-audit.ts';

let opened: TestCases;
let made = 0;
beforeAll(async () => {
  opened = await openTestCases();
});
afterAll(async () => opened.close());

const newCase = async (): Promise<CaseId> => opened.makeCase(`Audit ${(made += 1)}`);
const within = <T>(caseId: CaseId, fn: Parameters<typeof opened.databases.cases.withCase<T>>[2]): Promise<T> =>
  opened.databases.cases.withCase(caseId, testActor, fn);
const write = async (caseId: CaseId, recordId: number, count = 1): Promise<void> =>
  within(caseId, async (tx) =>
    recordChanges(
      tx,
      { actor: 'someone', requestId: 'r1' },
      'exhibits',
      Array.from({ length: count }, (_, index) => ({
        recordId: recordId + index,
        recordKey: `EX-${recordId + index}`,
        changes: { privilege: [null, 'Privileged'] },
      })),
    ),
  );

test('what was written is sealed in blocks that follow from each other, and what was not is named', async () => {
  const caseId = await newCase();
  await write(caseId, 1, 1_000);
  expect(await sealRows(caseId, 1_000)).toBe(1_000);
  await write(caseId, 2_000, 3);
  expect(await sealRows(caseId, 3)).toBe(3);
  expect(await within(caseId, sealAudit)).toBe(0);
  await write(caseId, 3_000, 2);
  expect(await within(caseId, verifyAudit)).toMatchObject({
    blocks: 2,
    sealedRows: 1_003,
    unsealedRows: 2,
    findings: [],
  });
});

test('a transaction that is still open is sealed after it has ended, whatever its rows came before', async () => {
  const caseId = await newCase();
  const written = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const slow = within(caseId, async (tx) => {
    await recordChanges(tx, { actor: 'slow' }, 'exhibits', [{ recordId: 1, recordKey: 'EX-1', changes: {} }]);
    written.resolve();
    await release.promise;
  });
  await written.promise;
  await write(caseId, 2);
  expect(await within(caseId, sealAudit)).toBe(0);
  release.resolve();
  await slow;
  expect(await sealRows(caseId, 2)).toBe(2);
  expect(await within(caseId, verifyAudit)).toMatchObject({ sealedRows: 2, unsealedRows: 0, findings: [] });
});

test('the role of a case can neither change nor remove entries or blocks', async () => {
  const caseId = await newCase();
  await write(caseId, 1);
  expect(await sealRows(caseId, 1)).toBe(1);
  for (const sql of [
    `UPDATE model_audit SET actor = 'nobody'`,
    'DELETE FROM model_audit',
    'UPDATE audit_block SET row_count = 0',
    'DELETE FROM audit_block',
    'TRUNCATE model_audit',
    'ALTER TABLE model_audit DISABLE TRIGGER ALL',
  ]) {
    await expect(
      within(caseId, async (tx) => tx.query(sql)),
      sql,
    ).rejects.toMatchObject({ sqlState: '42501' });
  }
});

/** Seals until so many rows are: transactions of other tests on the same server may still run. */
const sealRows = async (caseId: CaseId, rows: number): Promise<number> => {
  let sealed = 0;
  for (const until = Date.now() + 20_000; sealed < rows && Date.now() < until;) {
    sealed += await within(caseId, sealAudit);
    if (sealed < rows) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return sealed;
};

const asOwner = async (caseId: CaseId, sql: readonly string[]): Promise<void> => {
  const [place] = await opened.databases.caseDatabases.list();
  await opened.databases.owner(place!.server, place!.databaseName).transaction({}, async (tx) => {
    await tx.query(`SET LOCAL search_path = ${caseSchema(caseId)}`);
    for (const text of sql) await tx.query(text);
  });
};

test.each([
  [
    'a changed entry',
    [`UPDATE model_audit SET changes = '{"privilege": [null, null]}' WHERE record_id = 5`],
    'rows_differ',
  ],
  ['a changed time', ['UPDATE model_audit SET at_us = at_us - 1 WHERE record_id = 5'], 'rows_differ'],
  ['a removed entry', ['DELETE FROM model_audit WHERE record_id = 5'], 'rows_differ'],
  [
    'an entry of the past',
    [
      `INSERT INTO model_audit (xid, actor, resource, record_id, record_key, changes) SELECT min(xid), 'x', 'exhibits', 99, 'EX-99', '{}' FROM model_audit`,
    ],
    'rows_differ',
  ],
  ['a removed block', ['DELETE FROM audit_block WHERE block_no = 1'], 'block_missing'],
  ['a changed block', ['UPDATE audit_block SET row_count = row_count + 1 WHERE block_no = 2'], 'block_changed'],
])('%s is found', async (_what, sql, kind) => {
  const caseId = await newCase();
  await write(caseId, 1, 10);
  await sealRows(caseId, 10);
  await write(caseId, 20, 10);
  await sealRows(caseId, 10);
  const disable = ['model_audit', 'audit_block'].map((table) => `ALTER TABLE ${table} DISABLE TRIGGER USER`);
  const before = await within(caseId, verifyAudit);
  await asOwner(caseId, [...disable, ...sql]);
  const found = await within(caseId, verifyAudit);
  expect(before.findings).toEqual([]);
  expect(found.findings.map((finding) => finding.kind)).toContain(kind);
});

test('a database that was restored into a cluster with smaller transaction numbers is sealed on', async () => {
  const caseId = await newCase();
  await asOwner(caseId, [
    'ALTER TABLE model_audit DISABLE TRIGGER USER',
    'ALTER TABLE audit_block DISABLE TRIGGER USER',
  ]);
  await write(caseId, 1, 4);
  await asOwner(caseId, [`UPDATE model_audit SET xid = '900000000000'`]);
  await asOwner(caseId, [`UPDATE model_audit SET xid = '100' WHERE record_id <= 2`]);
  expect(await sealRows(caseId, 2)).toBe(2);
  await write(caseId, 10, 5);
  expect(await sealRows(caseId, 5)).toBe(5);
  expect(await within(caseId, verifyAudit)).toMatchObject({ sealedRows: 7, unsealedRows: 2, findings: [] });
});

test('what was sealed before a restore is found whole behind it, and what was written after it is sealed, whoever was first', async () => {
  const caseId = await newCase();
  const beyond = `(xid::text::bigint + 900000000000)::text::xid8`;
  /** As if the cluster so far had had greater transaction numbers. */
  const moveBack = async (): Promise<void> =>
    asOwner(caseId, [
      'ALTER TABLE model_audit DISABLE TRIGGER USER',
      `UPDATE model_audit SET xid = ${beyond} WHERE xid < '900000000000'`,
      'ALTER TABLE model_audit ENABLE TRIGGER USER',
    ]);
  await write(caseId, 1, 4);
  expect(await sealRows(caseId, 4)).toBe(4);
  await moveBack();
  const { rows } = await within(caseId, async (tx) =>
    tx.query<{ end: string; hash: Buffer; at: string }>(
      'SELECT end_xid::text AS "end", rows_hash AS hash, sealed_at_us AS at FROM audit_block',
    ),
  );
  const endXid = String(BigInt(rows[0]!.end) + 900_000_000_000n);
  const moved = blockHash({
    blockNo: 1,
    firstXid: '0',
    endXid,
    floorId: '0',
    ceilId: null,
    rowCount: 4,
    rowsHash: rows[0]!.hash,
    previousHash: Buffer.alloc(32),
    sealedAtUs: rows[0]!.at,
  });
  await asOwner(caseId, [
    'ALTER TABLE audit_block DISABLE TRIGGER USER',
    `UPDATE audit_block SET end_xid = '${endXid}', block_hash = '\\x${moved.toString('hex')}'`,
    'ALTER TABLE audit_block ENABLE TRIGGER USER',
  ]);
  await write(caseId, 5, 2);
  await moveBack();
  expect(await within(caseId, verifyAudit)).toMatchObject({ sealedRows: 4, unsealedRows: 2, findings: [] });
  // Restored: people write before the sealer comes.
  const release = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  const slow = within(caseId, async (tx) => {
    await recordChanges(tx, { actor: 'slow' }, 'exhibits', [{ recordId: 9, recordKey: 'EX-9', changes: {} }]);
    written.resolve();
    await release.promise;
  });
  await written.promise;
  await write(caseId, 10, 3);
  expect(await sealRows(caseId, 2)).toBe(2);
  expect(await within(caseId, verifyAudit)).toMatchObject({ sealedRows: 6, unsealedRows: 3, findings: [] });
  release.resolve();
  await slow;
  expect(await sealRows(caseId, 4)).toBe(4);
  expect(await within(caseId, verifyAudit)).toMatchObject({ sealedRows: 10, unsealedRows: 0, findings: [] });
  await asOwner(caseId, [
    'ALTER TABLE model_audit DISABLE TRIGGER USER',
    'DELETE FROM model_audit WHERE record_id IN (2, 11)',
    'ALTER TABLE model_audit ENABLE TRIGGER USER',
  ]);
  const { findings } = await within(caseId, verifyAudit);
  expect(findings.map(({ kind }) => kind)).toEqual(['rows_differ', 'rows_differ']);
  expect(findings[0]?.blockNo).toBe(1);
  expect(findings[1]?.blockNo).toBeGreaterThan(2);
});

test('writers do not wait for each other or for the sealer', async () => {
  const caseId = await newCase();
  const inserted = await Promise.all(
    Array.from({ length: 20 }, async (_, worker) => {
      for (let round = 0; round < 5; round += 1) {
        await write(caseId, worker * 100 + round);
        if (worker % 5 === 0) await within(caseId, sealAudit);
      }
      return 5;
    }),
  );
  for (const until = Date.now() + 20_000; Date.now() < until;) {
    await within(caseId, sealAudit);
    if ((await within(caseId, verifyAudit)).unsealedRows === 0) break;
  }
  const found = await within(caseId, verifyAudit);
  expect(found).toMatchObject({ sealedRows: inserted.length * 5, unsealedRows: 0, findings: [] });
});

test('history of a record comes in pages, oldest first', async () => {
  const caseId = await newCase();
  for (let round = 0; round < 5; round += 1) await write(caseId, 7);
  const first = await within(caseId, async (tx) => readHistory(tx, 7, { after: 0, limit: 3 }));
  const second = await within(caseId, async (tx) => readHistory(tx, 7, { after: first.next ?? 0, limit: 3 }));
  expect([first.entries.length, second.entries.length, second.next]).toEqual([3, 2, null]);
  expect(first.entries[0]).toMatchObject({
    actor: 'someone',
    recordKey: 'EX-7',
    changes: { privilege: [null, 'Privileged'] },
  });
});
