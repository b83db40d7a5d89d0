import { CaseboundError, type Actor, type Case, type CaseId } from '@casebound/contract';
import { violatedUniqueConstraint } from '../../database/index.ts';
import { nameTaken } from './create-case.ts';
import type { CasesDependencies } from './dependencies.ts';
import { busy, changeName, findCase, lockCase, notFound, toCase } from './store.ts';

/** Errors: `case_not_found`, `case_name_taken`, `case_archived`, `case_busy`. */
export async function renameCase(
  dependencies: Pick<CasesDependencies, 'control'>,
  _actor: Actor,
  caseId: CaseId,
  input: { readonly name: string },
  signal?: AbortSignal,
): Promise<Case> {
  try {
    return await dependencies.control.transaction(signal === undefined ? {} : { signal }, async (tx) => {
      const stored = await lockCase(tx, caseId);
      if (stored === undefined) throw notFound(caseId);
      if (stored.state === 'creating' || stored.state === 'deleting') throw busy(stored);
      if (stored.state === 'archived') {
        throw new CaseboundError('case_archived', `The case ${caseId} is archived; restore it before you rename it.`);
      }
      if (stored.name !== input.name) await changeName(tx, caseId, input.name);
      return toCase((await findCase(tx, caseId)) ?? stored);
    });
  } catch (error) {
    throw violatedUniqueConstraint(error) === 'cases_name_key_unique' ? nameTaken(input.name) : error;
  }
}
