/** Takes back a creation that did not finish. Done again, or for a case that is whole, it does nothing. */
import type { CaseId } from '@casebound/contract';
import { dropSchemaAndRoles } from '../../database/index.ts';
import type { CasesDependencies } from './dependencies.ts';
import { lockCase, removeCase } from './store.ts';

/** @returns whether there was something to undo. A creation that is still running in some process is left alone. */
export async function undoCreation(dependencies: CasesDependencies, caseId: CaseId): Promise<boolean> {
  const { control } = await dependencies.roleContext();
  return dependencies.control.transaction({}, async (held) => {
    const stored = await lockCase(held, caseId, true);
    if (stored?.state !== 'creating') return false;
    await dependencies
      .owner(stored.server, stored.databaseName)
      .transaction({ alongside: true }, async (tx) =>
        dropSchemaAndRoles(tx, { control, databaseName: stored.databaseName, caseId }),
      );
    const counted = await removeCase(held, caseId);
    if (counted !== undefined) await dependencies.caseDatabases.giveBack(held, counted);
    return true;
  });
}
