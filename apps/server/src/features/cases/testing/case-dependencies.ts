/** The feature's dependencies over a test installation. */
import type { Databases, Migration } from '../../../database/index.ts';
import { silentLog } from '../../../database/testing/open-test-databases.ts';
import type { CaseProvisioner, CasesDependencies } from '../dependencies.ts';

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

/** One table a case, so that there is something to lose. */
export const exampleProvisioner: CaseProvisioner = async (tx) =>
  tx.script('CREATE TABLE exhibit (exhibit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text)');

/** The first `count` of a row of small migrations. */
export function exampleMigrations(count: number): Migration[] {
  return Array.from({ length: count }, (_, index) => ({
    set: 'example',
    number: index + 1,
    name: `000${index + 1}_example.sql`,
    text: `CREATE TABLE example_${index + 1} (id bigint PRIMARY KEY);`,
    checksum: String(index + 1)
      .repeat(64)
      .slice(0, 64),
  }));
}
