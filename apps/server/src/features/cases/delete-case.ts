/**
 * Deletes a case with everything in it.
 *
 * 1. It is marked `deleting` first; from then on nobody enters it, and an interrupted deletion is finished by
 *    `reconcile-cases`.
 * 2. Each step can be done again and does nothing the second time. Case ids are never used twice, so a process that was
 *    paused in the middle and goes on later meets nothing new under the old name.
 * 3. The row goes last: while anything of the case exists, something says that it has to go.
 */
import type { Actor, CaseId } from '@casebound/contract';
import { dropSchemaAndRoles, shutOut } from '../../database/index.ts';
import type { CasesDependencies } from './dependencies.ts';
import { busy, changeState, findCase, lockCase, notFound, removeCase, type StoredCase } from './store.ts';

/** Errors: `case_not_found`, `case_busy` while it is created, `object_store_unavailable`. */
export async function deleteCase(
  dependencies: CasesDependencies,
  _actor: Actor,
  caseId: CaseId,
  signal?: AbortSignal,
): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  await dependencies.control.transaction(options, async (tx) => {
    const stored = await lockCase(tx, caseId);
    if (stored === undefined) throw notFound(caseId);
    if (stored.state === 'creating') throw busy(stored);
    await changeState(tx, caseId, ['active', 'archived'], 'deleting');
  });
  dependencies.crashPoint('case.delete.marked');
  await finishDeletion(dependencies, caseId, signal);
}

/** Does what is left of a deletion. @returns whether the case was there, marked for deletion. */
export async function finishDeletion(
  dependencies: CasesDependencies,
  caseId: CaseId,
  signal?: AbortSignal,
): Promise<boolean> {
  const options = signal === undefined ? {} : { signal };
  const stored = await dependencies.control.transaction(options, async (tx) => findCase(tx, caseId));
  if (stored?.state !== 'deleting') return false;
  const { control } = await dependencies.roleContext();
  dependencies.sessions.forget(caseId);
  const place = { control, databaseName: stored.databaseName, caseId };
  const owner = dependencies.owner(stored.server, stored.databaseName);
  await owner.transaction(options, async (tx) => shutOut(tx, place));
  await dependencies.removeObjects(`case_${caseId}/`, signal);
  dependencies.crashPoint('case.delete.objects-removed');
  for (const step of dependencies.onCaseDeleted) await step(caseId, signal);
  dependencies.crashPoint('case.delete.steps-done');
  await owner.transaction(options, async (tx) => {
    await tx.query('DELETE FROM casebound.case_migration WHERE case_id = $1', [caseId]);
    await dropSchemaAndRoles(tx, place);
  });
  dependencies.crashPoint('case.delete.schema-dropped');
  await removeRow(dependencies, stored);
  dependencies.crashPoint('case.delete.finished');
  dependencies.log.info('case deleted', { caseId });
  return true;
}

async function removeRow(dependencies: CasesDependencies, stored: StoredCase): Promise<void> {
  await dependencies.control.transaction({}, async (tx) => {
    const counted = await removeCase(tx, stored.caseId);
    if (counted !== undefined) await dependencies.caseDatabases.giveBack(tx, counted);
  });
}
