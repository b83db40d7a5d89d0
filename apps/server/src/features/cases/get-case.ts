import type { Actor, Case, CaseId } from '@casebound/contract';
import type { CasesDependencies } from './dependencies.ts';
import { findCase, notFound, toCase } from './store.ts';

/** Errors: `case_not_found`. */
export async function getCase(
  dependencies: Pick<CasesDependencies, 'control'>,
  _actor: Actor,
  caseId: CaseId,
  signal?: AbortSignal,
): Promise<Case> {
  const options = { readOnly: true, ...(signal === undefined ? {} : { signal }) };
  const stored = await dependencies.control.transaction(options, async (tx) => findCase(tx, caseId));
  if (stored === undefined) throw notFound(caseId);
  return toCase(stored);
}
