/** Definitions that others make and change at the same moment, by other ways than these. */
import type { CaseId, NewCustomField } from '@casebound/contract';
import { upsertDocument } from '@casebound/records';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { betweenStatements } from '../../database/testing/between-statements.ts';
import { caseResource } from '../records/index.ts';
import { openTestCases, testActor, type TestCases } from '../records/testing/open-test-cases.ts';
import { changeField, createField, type DefineFieldsParts, listFields } from './define-fields.ts';

let opened: TestCases;
beforeAll(async () => {
  opened = await openTestCases();
});
afterAll(async () => opened.close());

/** Parts with which something else happens before a field is written and after it was read. */
const partsWith = (meanwhile: () => Promise<unknown>): DefineFieldsParts => ({
  sessions: betweenStatements(opened.databases.cases, (text) => text.startsWith('SELECT i.referential_id'), meanwhile),
  records: opened.records,
  publish: opened.publish,
  forget: () => undefined,
});
const newField: NewCustomField = { title: 'Amount', inputType: 'text', choices: [], settings: {} };
const only = async (caseId: CaseId) => (await listFields({ sessions: opened.databases.cases }, testActor, caseId))[0];

test('a field that an import adds in the same moment keeps its type', async () => {
  const caseId = await opened.makeCase('Two definitions');
  const store = await opened.records.open(caseId, testActor);
  const parts = partsWith(async () =>
    upsertDocument(store, caseResource(opened.records.model, 'customFields'), { title: 'Amount', inputType: 'number' }),
  );
  await expect(createField(parts, testActor, caseId, newField)).rejects.toMatchObject({ code: 'duplicate_identity' });
  expect(await only(caseId)).toMatchObject({ title: 'Amount', inputType: 'number' });
});

test('a change that commits while a field is changed is not written over', async () => {
  const caseId = await opened.makeCase('Two changes');
  const { fieldId } = await createField(
    partsWith(async () => Promise.resolve()),
    testActor,
    caseId,
    newField,
  );
  let theirs: Promise<unknown> | undefined;
  const parts = partsWith(async () => {
    theirs = opened.databases.cases.withCase(caseId, testActor, async (tx) => {
      await tx.query('UPDATE document SET etag = etag + 1 WHERE document_id = $1', [fieldId]);
      await tx.query(`UPDATE custom_field SET description = 'theirs' WHERE document_id = $1`, [fieldId]);
    });
    // It is done by then, or waits for the change.
    await Promise.race([
      theirs,
      new Promise((resolve) => {
        setTimeout(resolve, 500);
      }),
    ]);
  });
  await changeField(parts, testActor, caseId, fieldId, { displayOrder: 7 });
  await theirs;
  expect(await only(caseId)).toMatchObject({ description: 'theirs', displayOrder: 7 });
});
