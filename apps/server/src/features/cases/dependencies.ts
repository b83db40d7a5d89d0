/** What the use cases of this feature work with. `compose.ts` gives it. */
import type { CaseId } from '@casebound/contract';
import type { CaseDatabases, CaseRoleContext, CaseSessions, Database, OwnerTransaction } from '../../database/index.ts';
import type { Migration } from '../../database/index.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import type { Log } from '../../platform/log/Port.ts';

/** Makes what a part of the product keeps in every case. Unqualified names go to the case's schema. */
export type CaseProvisioner = (
  tx: OwnerTransaction,
  place: { readonly caseId: CaseId; readonly schema: string; readonly role: string },
) => Promise<void>;

export interface CasesDependencies {
  readonly control: Database;
  readonly caseDatabases: CaseDatabases;
  readonly sessions: CaseSessions;
  readonly owner: (server: string, databaseName: string) => Database;
  readonly roleContext: () => Promise<CaseRoleContext>;
  /** Run in the transaction that makes a case's schema, in this order, after the migrations. */
  readonly provisioners: readonly CaseProvisioner[];
  /** Applied to every case: new ones when they are made, older ones by `migrateCases`. */
  readonly caseMigrations: readonly Migration[];
  /** Removes every object under the prefix, `case_{id}/`. Doing it again removes what is left. */
  readonly removeObjects: (prefix: string, signal: AbortSignal | undefined) => Promise<void>;
  /** Further things that end with a case (queues, index). Each can be done again. */
  readonly onCaseDeleted: readonly ((caseId: CaseId, signal: AbortSignal | undefined) => Promise<void>)[];
  readonly crashPoint: CrashPoint;
  readonly log: Log;
}
