/**
 * Into the archive and out of it.
 *
 * The role of the case loses or regains its right to write, in the case's database; the row follows, under its lock. A crash
 * between the two leaves a case whose role disagrees with its state: repeating the operation, or `reconcileCases`, mends it,
 * and until then the stricter of the two holds.
 */
import type { Case, CaseId } from '@casebound/contract';
import { setWritable } from '../../database/index.ts';
import type { CasesDependencies } from './dependencies.ts';
import { busy, changeState, findCase, lockCase, notFound, toCase } from './store.ts';

/** Errors: `case_not_found`, `case_busy`. */
export async function changeArchived(
  dependencies: Pick<CasesDependencies, 'control' | 'owner' | 'roleContext' | 'sessions'>,
  caseId: CaseId,
  archived: boolean,
  signal?: AbortSignal,
): Promise<Case> {
  const { control } = await dependencies.roleContext();
  const options = signal === undefined ? {} : { signal };
  const changed = await dependencies.control.transaction(options, async (held) => {
    const stored = await lockCase(held, caseId);
    if (stored === undefined) throw notFound(caseId);
    if (stored.state === 'creating' || stored.state === 'deleting') throw busy(stored);
    await dependencies
      .owner(stored.server, stored.databaseName)
      .transaction({ ...options, alongside: true }, async (tx) =>
        setWritable(tx, { control, databaseName: stored.databaseName, caseId }, !archived),
      );
    await changeState(held, caseId, [archived ? 'active' : 'archived'], archived ? 'archived' : 'active');
    return toCase((await findCase(held, caseId)) ?? stored);
  });
  dependencies.sessions.forget(caseId);
  return changed;
}

/**
 * Gives the role of a case the rights that its state asks for. A case that somebody else holds is left to them.
 * @returns whether it was done.
 */
export async function mendWritable(
  dependencies: Pick<CasesDependencies, 'control' | 'owner' | 'roleContext'>,
  caseId: CaseId,
): Promise<boolean> {
  const { control } = await dependencies.roleContext();
  return dependencies.control.transaction({}, async (held) => {
    const stored = await lockCase(held, caseId, true);
    if (stored?.state !== 'active' && stored?.state !== 'archived') return false;
    const { server, databaseName, state } = stored;
    await dependencies
      .owner(server, databaseName)
      .transaction({ alongside: true }, async (tx) =>
        setWritable(tx, { control, databaseName, caseId }, state === 'active'),
      );
    return true;
  });
}
