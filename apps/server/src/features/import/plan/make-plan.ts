/** The first step of an import: what the columns are, and the custom fields that they need, in one transaction with what is told of it. */
import { bulkWrite } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { caseResource } from '../../records/index.ts';
import type { HeldImport } from '../held-import.ts';
import { insertProblems } from '../import-problem.ts';
import { AheadOfPlan, type KeysAhead } from '../stage/stage-ahead.ts';
import { requireNew } from '../write/shared-records.ts';
import type { ImportPlan } from './import-plan.ts';
import { openSource, planImport } from './plan-import.ts';

/** @returns keys of the rows that were copied as the source was read, for the stage */
export const makePlan = async (held: HeldImport): Promise<KeysAhead | undefined> => {
  const { job, parts, caseId } = held;
  const opened = await openSource(job.request.path);
  await using _root = opened.root;
  const ahead = new AheadOfPlan(held);
  const planned = await planImport(opened, job.request, held.signal, ahead);
  await held.transaction(async (tx) => {
    const custom = await defineFields(held, tx, planned.plan);
    await tx.query(`DELETE FROM import_problem WHERE job_id = $1 AND stage = 'planning'`, [job.job_id]);
    await insertProblems(tx, job.job_id, 'planning', planned.problems);
    await held.advance(tx, ['planning'], `plan = $4, state = 'staging', step_started_at = now()`, [
      JSON.stringify(planned.plan),
    ]);
    await held.publish(tx, {
      type: 'IMPORT_INITIATED',
      detail: {
        rows: planned.report?.rows ?? null,
        mappedFields:
          planned.plan.kind === 'load_file' ? planned.plan.columns.filter((it) => it.target === 'core').length : 0,
        customFields: custom,
      },
    });
  });
  parts.fields.forget(caseId);
  held.became({ plan: planned.plan, state: 'staging' });
  parts.crashPoint('import.planned');
  return ahead.keysFor(planned.plan);
};

/** Custom fields that the case does not have yet; one that it has keeps its type, and values are read by it. @returns how many are used */
const defineFields = async ({ parts, caseId }: HeldImport, tx: Transaction, planned: ImportPlan): Promise<number> => {
  if (planned.kind !== 'load_file') return 0;
  const wanted = planned.columns.flatMap((column) => (column.target === 'custom' ? [column] : []));
  if (wanted.length === 0) return 0;
  const { rows } = await tx.query<{ title: string }>('SELECT title FROM custom_field WHERE title = ANY ($1::text[])', [
    wanted.map((column) => column.title),
  ]);
  const there = new Set(rows.map((row) => row.title));
  const resource = caseResource(parts.records.model, 'customFields');
  await bulkWrite(
    await parts.records.within(caseId, tx),
    wanted
      .filter((column) => !there.has(column.title))
      .map((column) => ({
        resource,
        document: { title: column.title, inputType: column.type, displayOrder: column.index },
      })),
    { onRow: requireNew },
  );
  return wanted.length;
};
