/** A case with custom fields and exhibits, made by the record store, for tests and benches. */
import type { CaseId } from '@casebound/contract';
import { type BulkRow, bulkWrite } from '@casebound/records';
import { caseResource } from '../../records/index.ts';
import { testActor, type TestCases } from '../../records/testing/open-test-cases.ts';
import type { FieldType } from '../field-values.ts';

export const exampleFields: Readonly<Record<string, FieldType>> = {
  Responsive: 'single_choice',
  Issues: 'multi_choice',
  'Reviewed on': 'date',
  Pages: 'number',
  Hot: 'yes_no',
  Comment: 'text',
};

const rowsOf = (opened: TestCases, from: number, count: number): BulkRow[] => {
  const documents = caseResource(opened.records.model, 'documents');
  const exhibits = caseResource(opened.records.model, 'exhibits');
  return Array.from({ length: count }, (_, index) => from + index).flatMap((number) => [
    { resource: documents, document: { documentKey: `doc-${number}`, fileName: `file ${number}.txt` } },
    {
      resource: exhibits,
      document: {
        controlNumber: `EX-${String(number).padStart(6, '0')}`,
        documentReference: { documentKey: `doc-${number}` },
        batchReference: { name: 'Batch' },
        custodians: [],
        labels: [],
        folders: [],
        pages: [],
      },
    },
  ]);
};

/** Adds the fields and exhibits EX-000001 and on. @returns ids of the exhibits in the order of their numbers */
export const fillFields = async (opened: TestCases, caseId: CaseId, count: number): Promise<number[]> => {
  const { model } = opened.records;
  const store = await opened.records.open(caseId, testActor);
  const first: BulkRow[] = [
    { resource: caseResource(model, 'batches'), document: { name: 'Batch', kind: 'import' } },
    ...Object.entries(exampleFields).map(([title, inputType]): BulkRow => ({
      resource: caseResource(model, 'customFields'),
      document: { title, inputType, choices: inputType === 'single_choice' ? ['Yes', 'No'] : [] },
    })),
  ];
  await bulkWrite(store, [...first, ...rowsOf(opened, 1, count)], {
    chunkSize: 2_000,
    onRow: (outcome) => {
      if (outcome.outcome === 'failed') throw outcome.error;
    },
  });
  const { rows } = await opened.databases.cases.withCase(caseId, testActor, async (tx) =>
    tx.query<{ document_id: string }>('SELECT document_id FROM exhibit ORDER BY control_number'),
  );
  return rows.map((row) => Number(row.document_id));
};
