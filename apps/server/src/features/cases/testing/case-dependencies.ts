/** The feature's dependencies over a test installation. */
import type { Databases } from '../../../database/index.ts';
import { silentLog } from '../../../database/testing/open-test-databases.ts';
import type { CasesDependencies } from '../dependencies.ts';

export const systemActor = { kind: 'system', reason: 'test' } as const;

export function caseDependencies(databases: Databases, changes: Partial<CasesDependencies> = {}): CasesDependencies {
  return {
    control: databases.control,
    caseDatabases: databases.caseDatabases,
    sessions: databases.cases,
    owner: databases.owner,
    roleContext: databases.roleContext,
    provisioners: [],
    caseMigrations: [],
    removeObjects: async () => Promise.resolve(),
    onCaseDeleted: [],
    crashPoint: () => undefined,
    log: silentLog,
    ...changes,
  };
}
