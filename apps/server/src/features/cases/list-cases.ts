import type { Actor, Case, CaseId, CaseState } from '@casebound/contract';
import type { CasesDependencies } from './dependencies.ts';
import { countByState, listCases as listStored, toCase, type CaseFilter } from './store.ts';

/** One page by id, how many there are in all, and what to pass as `after` for the next page. */
export async function listCases(
  dependencies: Pick<CasesDependencies, 'control'>,
  _actor: Actor,
  filter: CaseFilter,
  signal?: AbortSignal,
): Promise<{ cases: Case[]; total: number; next: CaseId | null }> {
  const options = {
    readOnly: true,
    isolation: 'repeatable read' as const,
    ...(signal === undefined ? {} : { signal }),
  };
  const { cases, total, more } = await dependencies.control.transaction(options, async (tx) => listStored(tx, filter));
  return { cases: cases.map(toCase), total, next: more ? (cases.at(-1)?.caseId ?? null) : null };
}

/** How many cases are in each state. */
export async function countCases(
  dependencies: Pick<CasesDependencies, 'control'>,
): Promise<Readonly<Record<CaseState, number>>> {
  return dependencies.control.transaction({ readOnly: true }, countByState);
}
