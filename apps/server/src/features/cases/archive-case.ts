import type { Actor, Case, CaseId } from '@casebound/contract';
import { changeArchived } from './change-archived.ts';
import type { CasesDependencies } from './dependencies.ts';

/** An archived case can be read, not changed. Archiving an archived case changes nothing. Errors: `case_not_found`, `case_busy`. */
export async function archiveCase(
  dependencies: CasesDependencies,
  _actor: Actor,
  caseId: CaseId,
  signal?: AbortSignal,
): Promise<Case> {
  return changeArchived(dependencies, caseId, true, signal);
}
