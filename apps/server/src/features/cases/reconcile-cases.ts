/**
 * Puts right what crashes left: run at each start, and safe beside running servers.
 *
 * 1. A case that is `creating`, and whose row nobody holds, is undone; one that is `deleting` is finished.
 * 2. A schema or role that speaks of a case which does not exist is an orphan and goes. What exists is read before what
 *    should exist: a case made in between is not taken for an orphan.
 * 3. A case without its schema is reported, never removed.
 * 4. A case whose role may not do what its state allows, or more, is given the rights of its state.
 */
import { CaseId } from '@casebound/contract';
import {
  caseIdOfSchema,
  caseIdsOfRole,
  caseRoles,
  dropPairRole,
  dropSchemaAndRoles,
  listAdministered,
  type CaseDatabase,
} from '../../database/index.ts';
import { mendWritable } from './change-archived.ts';
import { finishDeletion } from './delete-case.ts';
import type { CasesDependencies } from './dependencies.ts';
import { listUnsettled } from './store.ts';
import { undoCreation } from './undo-creation.ts';

export interface Reconciliation {
  readonly undone: number;
  readonly deleted: number;
  /** Cases whose creation could not be undone or whose deletion could not be finished now. */
  readonly unsettled: number;
  readonly orphanSchemas: number;
  readonly orphanRoles: number;
  /** Cases whose role disagreed with their state. */
  readonly mendedRoles: number;
  /** Active or archived cases whose schema is missing. */
  readonly damaged: readonly CaseId[];
}

/** Errors: those of the control database. What fails for one case is logged, counted, and left for the next run. */
export async function reconcileCases(dependencies: CasesDependencies, signal?: AbortSignal): Promise<Reconciliation> {
  let undone = 0;
  let deleted = 0;
  let unsettled = 0;
  for (const { caseId, state } of await dependencies.control.transaction({ readOnly: true }, listUnsettled)) {
    signal?.throwIfAborted();
    try {
      if (state === 'creating') undone += (await undoCreation(dependencies, caseId)) ? 1 : 0;
      else deleted += (await finishDeletion(dependencies, caseId, signal)) ? 1 : 0;
    } catch (error) {
      if (signal?.aborted === true) throw error;
      // An object store that is down must not keep the other cases from being served.
      unsettled += 1;
      dependencies.log.error('a case could not be put right; it is tried again later', { caseId, state }, error);
    }
  }
  let orphanSchemas = 0;
  let orphanRoles = 0;
  let mendedRoles = 0;
  const damaged: CaseId[] = [];
  for (const database of await dependencies.caseDatabases.list()) {
    const found = await compare(dependencies, database);
    for (const caseId of found.orphanSchemas) await drop(dependencies, database, caseId);
    for (const role of found.orphanRoles) await dropRole(dependencies, database, role);
    for (const caseId of found.disagreeing) mendedRoles += (await mendWritable(dependencies, caseId)) ? 1 : 0;
    orphanSchemas += found.orphanSchemas.length;
    orphanRoles += found.orphanRoles.length;
    damaged.push(...found.damaged);
  }
  const report = { undone, deleted, unsettled, orphanSchemas, orphanRoles, mendedRoles, damaged };
  for (const caseId of damaged)
    dependencies.log.error('a case has lost its schema; restore it from a backup', { caseId });
  const count = undone + deleted + orphanSchemas + orphanRoles + mendedRoles;
  if (count > 0) dependencies.log.warn('put right what an earlier crash left of cases', { count });
  return report;
}

interface Comparison {
  readonly orphanSchemas: readonly CaseId[];
  /** Case ids that a role speaks of, at least one of which does not exist. */
  readonly orphanRoles: readonly (readonly CaseId[])[];
  /** Active cases whose role may not write, archived ones whose role may. */
  readonly disagreeing: readonly CaseId[];
  readonly damaged: readonly CaseId[];
}

async function compare(dependencies: CasesDependencies, database: CaseDatabase): Promise<Comparison> {
  const { control } = await dependencies.roleContext();
  const found = await dependencies
    .owner(database.server, database.databaseName)
    .transaction({ readOnly: true }, async (tx) => {
      const schemas = await tx.query<{ nspname: string }>(
        `SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'case_')`,
      );
      const roles = await listAdministered(tx, database.databaseName);
      const writers = await tx.query<{ rolname: string }>(
        `SELECT member.rolname
         FROM pg_auth_members AS membership
         JOIN pg_roles AS granted ON granted.oid = membership.roleid
         JOIN pg_roles AS member ON member.oid = membership.member
         WHERE granted.rolname = member.rolname || '_write' AND starts_with(member.rolname, $1)`,
        [`${control}_case_`],
      );
      return {
        administered: new Set(roles),
        writers: new Set(writers.rows.map((row) => row.rolname)),
        schemas: schemas.rows.flatMap((row) => caseIdOfSchema(row.nspname) ?? []),
        roles: roles.map((role) => caseIdsOfRole(control, role)).filter((ids) => ids.length > 0),
      };
    });
  const { rows } = await dependencies.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string; case_database_id: number; state: string }>(
      'SELECT case_id, case_database_id, state FROM core.cases JOIN core.case_placement USING (case_id)',
    ),
  );
  const everywhere = new Set(rows.map((row) => Number(row.case_id)));
  const here = rows.filter((row) => row.case_database_id === database.id);
  const hereIds = new Set(here.map((row) => Number(row.case_id)));
  const schemas = new Set(found.schemas);
  const orphanRoles = found.roles.filter((ids) => ids.some((id) => !everywhere.has(id)));
  return {
    orphanSchemas: found.schemas.filter((id) => !hereIds.has(id)).map((id) => CaseId.parse(id)),
    orphanRoles: orphanRoles.map((ids) => ids.map((id) => CaseId.parse(id))),
    disagreeing: here
      .map((row) => ({ caseId: CaseId.parse(Number(row.case_id)), state: row.state }))
      .filter(({ caseId, state }) => {
        const { login, read, write } = caseRoles(control, caseId);
        // Roles that a restore did not bring are made when somebody enters the case.
        if (![login, read, write].every((role) => found.administered.has(role))) return false;
        return found.writers.has(login) ? state === 'archived' : state === 'active';
      })
      .map(({ caseId }) => caseId),
    damaged: here
      .filter((row) => ['active', 'archived'].includes(row.state) && !schemas.has(Number(row.case_id)))
      .map((row) => CaseId.parse(Number(row.case_id))),
  };
}

async function drop(dependencies: CasesDependencies, database: CaseDatabase, caseId: CaseId): Promise<void> {
  const { control } = await dependencies.roleContext();
  await dependencies.owner(database.server, database.databaseName).transaction({}, async (tx) => {
    await tx.query('DELETE FROM casebound.case_migration WHERE case_id = $1', [caseId]);
    await dropSchemaAndRoles(tx, { control, databaseName: database.databaseName, caseId });
  });
}

async function dropRole(
  dependencies: CasesDependencies,
  database: CaseDatabase,
  [caseId, destination]: readonly CaseId[],
): Promise<void> {
  if (caseId === undefined) return;
  const { control } = await dependencies.roleContext();
  await dependencies
    .owner(database.server, database.databaseName)
    .transaction({}, async (tx) =>
      destination === undefined
        ? dropSchemaAndRoles(tx, { control, databaseName: database.databaseName, caseId })
        : dropPairRole(tx, { control, databaseName: database.databaseName, caseId: destination }, caseId),
    );
}
