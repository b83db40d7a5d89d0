import type { Actor, Case, CaseId } from '@casebound/contract';
import { changeArchived } from './change-archived.ts';
import type { CasesDependencies } from './dependencies.ts';

/** Takes a case out of the archive. Restoring an active case changes nothing. Errors: `case_not_found`, `case_busy`. */
export async function restoreCase(
  dependencies: CasesDependencies,
  _actor: Actor,
  caseId: CaseId,
  signal?: AbortSignal,
): Promise<Case> {
  return changeArchived(dependencies, caseId, false, signal);
}
