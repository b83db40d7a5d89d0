/**
 * `withCase`: the only way to a case's data.
 *
 * 1. The connection is signed in as the case's own role, in the database that holds the case. What runs on it, whoever
 *    wrote it, can reach that one schema and nothing else: PostgreSQL refuses the rest.
 * 2. Where a case lies is remembered for `placementLifetimeMs`. A memory that is wrong does no harm: the role of a case
 *    that is gone cannot sign in, and that of an archived one cannot write.
 * 3. An exchange is the one operation that holds two cases, by `withTwoCases` and a role of its own that sees exactly these.
 */
import { CaseboundError, hasCode, type Actor, type CaseId } from '@casebound/contract';
import { caseRoles, caseSchema, pairRole } from './case-names.ts';
import { ensurePairRole, repairRoles, type CaseRoleContext } from './case-roles.ts';
import { isSignInRefused, sqlStateOf } from './classify-error.ts';
import type { ConnectionKey } from './connection-pool.ts';
import type { ClientConfig } from './connection-target.ts';
import type { Database, Transaction, TransactionOptions } from './Database.ts';
import { transact, type Engine } from './pg-database.ts';
import { derivePassword } from './scram-verifier.ts';

export interface CaseTransaction extends Transaction {
  readonly caseId: CaseId;
  /** Unqualified names are looked up here; `quoteIdentifier(schema)` to name it. */
  readonly schema: string;
}

export interface TwoCasesTransaction extends Transaction {
  /** Can be read. Name its tables in full: unqualified names are the destination's. */
  readonly sourceSchema: string;
  /** Can be read and changed. */
  readonly destinationSchema: string;
}

export interface CaseSessions {
  /**
   * Runs `fn` in a transaction within the case. Errors: those of `Database.transaction`; `case_not_found`; `case_busy` while
   * it is created or deleted; `case_archived` unless `readOnly`.
   */
  withCase<T>(
    caseId: CaseId,
    actor: Actor,
    fn: (tx: CaseTransaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /**
   * Runs `fn` in one transaction that reads `source` and changes `destination`. Both must lie in one database: otherwise
   * `case_not_together`, and the copy goes through two transactions.
   */
  withTwoCases<T>(
    source: CaseId,
    destination: CaseId,
    actor: Actor,
    fn: (tx: TwoCasesTransaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /** Forgets where a case lies and closes its unused connections. */
  forget(caseId: CaseId): void;
}

export interface Placement {
  readonly server: string;
  readonly databaseName: string;
  readonly state: string;
}

export interface CaseSessionsDependencies {
  readonly engine: Engine;
  readonly control: Database;
  readonly roleContext: () => Promise<CaseRoleContext>;
  readonly maxConnectionsPerCase: number;
  /** How to enter a database of a server as the given role. */
  readonly clientConfigAs: (
    server: string,
    databaseName: string,
    endpoint: 'writer' | 'reader',
    role: { readonly user: string; readonly password: string },
  ) => Promise<ClientConfig>;
  /** A database as its owner. */
  readonly owner: (server: string, databaseName: string) => Database;
}

const placementLifetimeMs = 30_000;
const rememberedPlacements = 20_000;

export function createCaseSessions(dependencies: CaseSessionsDependencies): CaseSessions {
  const { engine, owner } = dependencies;
  const remembered = new Map<CaseId, { readonly placement: Placement; readonly until: number }>();

  const placementOf = async (caseId: CaseId, signal: AbortSignal | undefined): Promise<Placement> => {
    const found = remembered.get(caseId);
    if (found !== undefined && found.until > engine.clock.monotonicMs()) return found.placement;
    remembered.delete(caseId);
    const placement = await readPlacement(dependencies.control, caseId, signal);
    if (remembered.size >= rememberedPlacements) remembered.clear();
    remembered.set(caseId, { placement, until: engine.clock.monotonicMs() + placementLifetimeMs });
    return placement;
  };

  const keyFor = (
    placement: Placement,
    role: string,
    context: CaseRoleContext,
    options: TransactionOptions,
  ): ConnectionKey => {
    const endpoint = options.endpoint ?? 'writer';
    return {
      id: `${placement.server}/${placement.databaseName}/${role}/${endpoint}`,
      maxConnections: dependencies.maxConnectionsPerCase,
      connect: async () =>
        dependencies.clientConfigAs(placement.server, placement.databaseName, endpoint, {
          user: role,
          password: derivePassword(context.caseRoleKey, role),
        }),
    };
  };

  const forget = (caseId: CaseId): void => {
    remembered.delete(caseId);
  };

  /** Runs `enter`; when the role cannot sign in, looks again where the case is, repairs the role once, and runs it again. */
  const repairing = async <T>(
    cases: readonly CaseId[],
    repair: () => Promise<void>,
    enter: () => Promise<T>,
  ): Promise<T> => {
    try {
      return await enter();
    } catch (error) {
      if (!couldNotSignIn(error)) throw error;
      for (const caseId of cases) forget(caseId);
      await repair();
      return enter();
    }
  };

  return {
    forget,
    async withCase<T>(
      caseId: CaseId,
      actor: Actor,
      fn: (tx: CaseTransaction) => Promise<T>,
      options: TransactionOptions = {},
    ) {
      const context = await dependencies.roleContext();
      const { login } = caseRoles(context.control, caseId);
      const schema = caseSchema(caseId);
      const enter = async (): Promise<T> => {
        const placement = await placementOf(caseId, options.signal);
        if (options.readOnly !== true) refuseArchived(caseId, placement);
        const settings = { searchPath: [schema], localSettings: actorSettings(actor) };
        const key = keyFor(placement, login, context, options);
        return transact(engine, key, settings, options, async (tx) => fn(asCase(tx, caseId, schema)));
      };
      const repair = async (): Promise<void> => {
        const placement = await placementOf(caseId, options.signal);
        await owner(placement.server, placement.databaseName).transaction({}, async (tx) =>
          repairRoles(
            tx,
            { control: context.control, databaseName: placement.databaseName, caseId },
            context.caseRoleKey,
            placement.state === 'archived',
          ),
        );
      };
      try {
        return await repairing([caseId], repair, enter);
      } catch (error) {
        if (options.readOnly !== true && sqlStateOf(error) === insufficientPrivilege) {
          // Another process may have archived the case since its place was read.
          forget(caseId);
          refuseArchived(caseId, await placementOf(caseId, options.signal));
        }
        throw error;
      }
    },
    async withTwoCases<T>(
      source: CaseId,
      destination: CaseId,
      actor: Actor,
      fn: (tx: TwoCasesTransaction) => Promise<T>,
      options: TransactionOptions = {},
    ) {
      const context = await dependencies.roleContext();
      const role = pairRole(context.control, source, destination);
      const schemas = { sourceSchema: caseSchema(source), destinationSchema: caseSchema(destination) };
      const placements = async (): Promise<Placement> => {
        const [from, to] = [await placementOf(source, options.signal), await placementOf(destination, options.signal)];
        refuseArchived(destination, to);
        if (from.server === to.server && from.databaseName === to.databaseName) return to;
        throw new CaseboundError(
          'case_not_together',
          `The cases ${source} and ${destination} lie in different databases (${from.databaseName}, ${to.databaseName}), so one transaction cannot hold both.`,
        );
      };
      const enter = async (): Promise<T> => {
        const key = keyFor(await placements(), role, context, options);
        const settings = { searchPath: [schemas.destinationSchema], localSettings: actorSettings(actor) };
        return transact(engine, key, settings, options, async (tx) => fn(Object.assign(handleOf(tx), schemas)));
      };
      const repair = async (): Promise<void> => {
        const placement = await placements();
        await owner(placement.server, placement.databaseName).transaction({}, async (tx) =>
          ensurePairRole(
            tx,
            { control: context.control, databaseName: placement.databaseName, caseId: destination },
            context.caseRoleKey,
            source,
          ),
        );
      };
      return repairing([source, destination], repair, enter);
    },
  };
}

const insufficientPrivilege = '42501';

function couldNotSignIn(error: unknown): boolean {
  return hasCode(error, 'database_denied') && isSignInRefused(error.cause);
}

function refuseArchived(caseId: CaseId, placement: Placement): void {
  if (placement.state !== 'archived') return;
  throw new CaseboundError('case_archived', `The case ${caseId} is archived; restore it before you change it.`);
}

/** For audit triggers; says who asked, proves nothing against SQL that runs in the case. */
function actorSettings(actor: Actor): Readonly<Record<string, string>> {
  return { 'casebound.actor': actor.kind === 'account' ? actor.accountId : 'system' };
}

function asCase(tx: Transaction, caseId: CaseId, schema: string): CaseTransaction {
  return Object.assign(handleOf(tx), { caseId, schema });
}

/** The handle without what only owners may do. */
function handleOf(tx: Transaction): Transaction {
  return {
    query: async (text, values) => tx.query(text, values),
    savepoint: async (fn) => tx.savepoint(async (inner) => fn(handleOf(inner))),
    copyFrom: (text) => tx.copyFrom(text),
    copyTo: (text) => tx.copyTo(text),
    sendCommit: () => {
      tx.sendCommit();
    },
    signal: tx.signal,
  };
}

async function readPlacement(control: Database, caseId: CaseId, signal: AbortSignal | undefined): Promise<Placement> {
  const options: TransactionOptions = { readOnly: true, alongside: true, ...(signal === undefined ? {} : { signal }) };
  const { rows } = await control.transaction(options, async (tx) =>
    tx.query<{ server: string; database_name: string; state: string }>(
      `SELECT server, database_name, cases.state
       FROM core.cases JOIN core.case_placement USING (case_id) JOIN core.case_database USING (case_database_id)
       WHERE case_id = $1`,
      [caseId],
    ),
  );
  const row = rows[0];
  if (row === undefined) throw new CaseboundError('case_not_found', `There is no case ${caseId}.`);
  if (row.state === 'creating' || row.state === 'deleting') {
    throw new CaseboundError(
      'case_busy',
      `The case ${caseId} is ${row.state === 'creating' ? 'being created' : 'being deleted'}.`,
      {
        retryAfterSeconds: 1,
      },
    );
  }
  return { server: row.server, databaseName: row.database_name, state: row.state };
}
