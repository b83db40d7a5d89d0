/** Transactions into which something else comes between two statements, for tests. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { CaseSessions, CaseTransaction, Database, OwnerTransaction } from '../index.ts';

type IsNext = (text: string, values: readonly unknown[]) => boolean;

/**
 * Makes transactions wait, once, before the first statement that `isNext` is true of: those before it have been answered, and `meanwhile` has
 * ended, when it is sent.
 */
const waitBefore = (isNext: IsNext, meanwhile: () => Promise<unknown>): (<Tx extends object>(tx: Tx) => Tx) => {
  let waits: Promise<unknown> | undefined;
  // What comes between is of another caller, and no part of the transaction.
  const outside = AsyncLocalStorage.snapshot();
  const watched = <Tx extends object>(tx: Tx): Tx =>
    new Proxy(tx, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        if (name === 'query')
          return async (text: string, values: readonly unknown[] = []): Promise<unknown> => {
            if (waits === undefined && isNext(text, values))
              waits = (member.call(target, 'SELECT 1') as Promise<unknown>).then(async () => outside(meanwhile));
            // Those that were sent along with it keep their places.
            await waits;
            return member.call(target, text, values) as Promise<unknown>;
          };
        if (name === 'savepoint')
          return async (fn: (inner: object) => Promise<unknown>): Promise<unknown> =>
            member.call(target, async (inner: object) => fn(watched(inner))) as Promise<unknown>;
        return member.bind(target) as unknown;
      },
    });
  return watched;
};

/** Sessions of cases whose transactions wait. */
export const betweenStatements = (
  sessions: CaseSessions,
  isNext: IsNext,
  meanwhile: () => Promise<unknown>,
): CaseSessions => {
  const watched = waitBefore(isNext, meanwhile);
  return {
    ...sessions,
    withCase: async (caseId, actor, fn, options) =>
      sessions.withCase(caseId, actor, async (tx: CaseTransaction) => fn(watched(tx)), options),
  };
};

/** A database whose transactions wait. */
export const betweenStatementsOf = (
  database: Database,
  isNext: IsNext,
  meanwhile: () => Promise<unknown>,
): Database => {
  const watched = waitBefore(isNext, meanwhile);
  return {
    ...database,
    transaction: async (options, fn) => database.transaction(options, async (tx: OwnerTransaction) => fn(watched(tx))),
  };
};
