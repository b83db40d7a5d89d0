/**
 * Creates a case, whole or not at all.
 *
 * 1. Its row is committed as `creating` first, with its name and its place: two creations of one name meet at the unique key.
 * 2. A second transaction holds that row's lock while schema, roles and tables are made in the case's database. A lock ends
 *    with its process, so `reconcile-cases` takes over what nobody holds, and only that.
 * 3. Everything in the case's database is one transaction; it is committed only while the row is still held.
 * 4. What fails is undone here; what dies is undone by `reconcile-cases`.
 */
import { CaseboundError, hasCode, type Actor, type Case, type CaseId } from '@casebound/contract';
import {
  applyCaseMigrations,
  caseRoles,
  caseSchema,
  createSchemaAndRoles,
  violatedUniqueConstraint,
  type OwnerTransaction,
} from '../../database/index.ts';
import type { CasesDependencies } from './dependencies.ts';
import { changeState, findCase, insertCase, insertPlacement, lockCase, toCase, type StoredCase } from './store.ts';
import { undoCreation } from './undo-creation.ts';

/** Conflicts with other creations are rare and short; so is a reconciliation that takes the row for a dead process's. */
const maximumAttempts = 3;

/** Errors: `case_name_taken`, `conflict_retries_exhausted`, `database_denied`, `overloaded`. */
export async function createCase(
  dependencies: CasesDependencies,
  _actor: Actor,
  input: { readonly name: string },
  signal?: AbortSignal,
): Promise<Case> {
  for (let attempt = 1; ; attempt += 1) {
    const caseId = await reserve(dependencies, input.name, signal);
    dependencies.crashPoint('case.create.reserved');
    try {
      const made = await provisionHeld(dependencies, caseId, signal);
      if (made !== undefined) {
        dependencies.crashPoint('case.create.activated');
        dependencies.log.info('case created', { caseId });
        return toCase(made);
      }
    } catch (error) {
      await undoCreation(dependencies, caseId).catch((undoError: unknown) => {
        dependencies.log.error('a failed creation could not be undone; the next start does it', { caseId }, undoError);
      });
      if (!hasCode(error, 'conflict_retries_exhausted')) throw error;
    }
    if (attempt === maximumAttempts) {
      throw new CaseboundError(
        'conflict_retries_exhausted',
        'The creation of the case met others, three times; try again.',
        {
          retryAfterSeconds: 1,
        },
      );
    }
  }
}

async function reserve(
  dependencies: CasesDependencies,
  name: string,
  signal: AbortSignal | undefined,
): Promise<CaseId> {
  const options = signal === undefined ? {} : { signal };
  for (;;) {
    const reserved = await dependencies.control
      .transaction(options, async (tx) => {
        // Asked first, for an id that is rolled back is lost. Taken last, as a deletion gives back last: no deadlock.
        if (!(await dependencies.caseDatabases.hasRoom(tx))) throw new NoRoom();
        const caseId = await insertCase(tx, name);
        const place = await dependencies.caseDatabases.take(tx);
        if (place === undefined) throw new NoRoom();
        await insertPlacement(tx, caseId, place.id, caseSchema(caseId));
        return caseId;
      })
      .catch((error: unknown) => {
        if (error instanceof NoRoom) return undefined;
        throw violatedUniqueConstraint(error) === 'cases_name_key_unique' ? nameTaken(name) : error;
      });
    if (reserved !== undefined) return reserved;
    await dependencies.caseDatabases.openNext();
  }
}

/** Rolls the reservation back: a database is opened outside of any transaction. */
class NoRoom extends Error {}

/** The error for a name that another case has. */
export function nameTaken(name: string): CaseboundError {
  return new CaseboundError(
    'case_name_taken',
    `Another case is called ${JSON.stringify(name)}; names are compared without regard to case.`,
  );
}

async function provisionHeld(
  dependencies: CasesDependencies,
  caseId: CaseId,
  signal: AbortSignal | undefined,
): Promise<StoredCase | undefined> {
  const context = await dependencies.roleContext();
  // Run again after a conflict, it would meet its own schema: the caller undoes and reports instead.
  const options = { retryOnConflict: false, ...(signal === undefined ? {} : { signal }) };
  return dependencies.control.transaction(options, async (held) => {
    const stored = await lockCase(held, caseId);
    if (stored?.state !== 'creating') return undefined;
    await dependencies
      .owner(stored.server, stored.databaseName)
      .transaction({ ...options, alongside: true }, async (tx) => {
        await createSchemaAndRoles(
          tx,
          { control: context.control, databaseName: stored.databaseName, caseId },
          context.caseRoleKey,
        );
        await applyCaseMigrations(tx, caseId, dependencies.caseMigrations, stored.databaseName);
        await provision(tx, dependencies, context.control, caseId);
        dependencies.crashPoint('case.create.provisioned');
        await changeState(held, caseId, ['creating'], 'active'); // Also proves that the row is still held.
      });
    dependencies.crashPoint('case.create.committed');
    return findCase(held, caseId);
  });
}

async function provision(
  tx: OwnerTransaction,
  dependencies: CasesDependencies,
  control: string,
  caseId: CaseId,
): Promise<void> {
  const place = { caseId, schema: caseSchema(caseId), role: caseRoles(control, caseId).login };
  for (const provisioner of dependencies.provisioners) await provisioner(tx, place);
}
