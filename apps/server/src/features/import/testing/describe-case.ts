/**
 * Everything an import left in a case, in words that two imports of one source share: ids, keys and times are replaced by what they
 * stand for. Two such descriptions are equal when the imports came to the same.
 */
import { createHash } from 'node:crypto';
import type { CaseId } from '@casebound/contract';
import { readMany } from '@casebound/records';
import { objectPrefix } from '../../../platform/object-store/Port.ts';
import { caseResource } from '../../records/index.ts';
import { testActor, type TestImport } from './open-test-import.ts';

export interface CaseDescription {
  /** Exhibits with their documents, values and pages, by control number. */
  readonly exhibits: Readonly<Record<string, unknown>>;
  /** Custodians, labels, folders, codes, fields. */
  readonly shared: readonly string[];
  readonly objects: readonly string[];
  readonly audit: number;
  readonly problems: readonly string[];
  readonly jobs: readonly unknown[];
  readonly leftovers: readonly string[];
}

const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

export const describeCase = async (test: TestImport, caseId: CaseId): Promise<CaseDescription> => {
  const { parts } = test;
  const { model } = parts.records;
  const found = await parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ document_id: string; document_document_id: string }>(
      'SELECT document_id, document_document_id FROM exhibit ORDER BY control_number',
    );
    const store = await parts.records.within(caseId, tx);
    const bodies = async (endpoint: string, ids: readonly number[]) =>
      readMany(store, tx, caseResource(model, endpoint), ids);
    const shared = await tx.query<{ line: string }>(
      `SELECT 'custodian ' || name AS line FROM custodian UNION ALL SELECT 'label ' || category_name || '/' || name FROM label JOIN label_category AS c ON c.document_id = label_category_document_id
       UNION ALL SELECT 'folder ' || path FROM folder_tag UNION ALL SELECT 'code ' || code || ' ' || bit FROM confidentiality_code
       UNION ALL SELECT 'field ' || title || ' ' || input_type FROM custom_field ORDER BY 1`,
    );
    const count = async (table: string): Promise<number> =>
      Number((await tx.query<{ count: string }>(`SELECT count(*) FROM ${table}`)).rows[0]?.count);
    const problems = await tx.query<{ line: string }>(
      `SELECT concat_ws(' | ', severity, code, row_no, line, path, field, value, reason, rejected) AS line FROM import_problem ORDER BY 1`,
    );
    const jobs = await tx.query(
      'SELECT state, row_done, rows, imported, duplicates, overlaid, rejected, files, bytes, processed, to_process, error_code FROM import_job ORDER BY created_at',
    );
    const orphans = await tx.query<{ line: string }>(
      `SELECT 'document without exhibit' AS line FROM source_document AS d WHERE NOT EXISTS (SELECT FROM exhibit WHERE document_document_id = d.document_id)
       UNION ALL SELECT 'pointer without exhibit' FROM custom_field_pointer AS p WHERE NOT EXISTS (SELECT FROM exhibit WHERE document_id = p.exhibit_id)
       UNION ALL SELECT 'row of the stage' FROM import_row UNION ALL SELECT 'page of the stage' FROM import_page
       UNION ALL SELECT 'unprocessed' FROM import_processing WHERE NOT done`,
    );
    return {
      rows,
      exhibits: await bodies(
        'exhibits',
        rows.map((row) => Number(row.document_id)),
      ),
      documents: await bodies(
        'documents',
        rows.map((row) => Number(row.document_document_id)),
      ),
      shared: shared.rows.map((row) => row.line),
      audit: await count('model_audit'),
      problems: problems.rows.map((row) => row.line),
      jobs: jobs.rows,
      leftovers: orphans.rows.map((row) => row.line),
    };
  });
  const names = new Map<string, string>();
  const clean = (text: string): string =>
    text
      .replaceAll(uuid, (key) => names.get(key) ?? 'JOB')
      .replaceAll(`case_${caseId}/`, 'CASE/')
      .replaceAll(/processed-files\/\d+\//g, 'processed-files/BATCH/')
      .replaceAll(/("batchReference":\{"name":")[^"]*/g, '$1BATCH');
  for (const row of found.rows) {
    const exhibit = JSON.parse(found.exhibits.get(Number(row.document_id))?.body ?? '{}') as {
      controlNumber: string;
      documentReference: { documentKey: string };
    };
    names.set(exhibit.documentReference.documentKey, exhibit.controlNumber);
  }
  const values = await parts.fields.read(
    caseId,
    testActor,
    found.rows.map((row) => Number(row.document_id)),
  );
  const exhibits = Object.fromEntries(
    found.rows.map((row) => {
      const exhibit = parse(clean(found.exhibits.get(Number(row.document_id))?.body ?? '{}'));
      const document = parse(clean(found.documents.get(Number(row.document_document_id))?.body ?? '{}'));
      const stored = values.get(Number(row.document_id));
      return [
        String(exhibit['controlNumber']),
        {
          exhibit,
          document,
          values: stored?.values ?? null,
          version: stored?.version ?? 0,
        },
      ];
    }),
  );
  const { shared, audit, problems, jobs, leftovers } = found;
  return { exhibits, shared, objects: await listObjects(test, caseId, clean), audit, problems, jobs, leftovers };
};

const parse = (body: string): Record<string, unknown> => {
  const { id: _id, _etag, _lastModifiedDate, ...rest } = JSON.parse(body) as Record<string, unknown>;
  return rest;
};

/** Keys with digests; what is made anew each time, or holds ids, is named by its key alone. */
const listObjects = async (
  test: TestImport,
  caseId: CaseId,
  clean: (text: string) => string,
): Promise<readonly string[]> => {
  const found: string[] = [];
  for await (const page of test.parts.objects.list(objectPrefix(`case_${caseId}/`))) {
    for (const { key } of page) {
      // Segments hold ids, and the engine names its files anew each time it is given a document.
      const engine = /\/document-engine\/(?:\d+|pdf|\/)*\/([0-9a-f]+)-/.exec(key);
      if (engine !== null) {
        found.push(`document-engine ${engine[1] ?? ''}`);
        continue;
      }
      const isMade = key.includes('custom-fields');
      const hash = createHash('sha256');
      for await (const chunk of (await test.parts.objects.get(key)).body) hash.update(chunk as Uint8Array);
      // A segment that was written and not committed is swept later; the next takes a key beside it.
      const name = clean(key).replace(/-[0-9a-f]{8}-[0-9a-f]{4}(?=\.jsonl$)/, '');
      found.push(`${name} ${isMade ? '' : hash.digest('hex')}`);
    }
  }
  return [...new Set(found)].toSorted();
};
