/** A database in which something happens between two statements of a transaction, for tests of races. */
import type { RecordDatabase } from '../session.ts';

export interface Between extends RecordDatabase {
  /** Whether it has happened. */
  readonly hasHappened: () => boolean;
}

/**
 * Does something once, before the first statement that `when` holds of: what was sent before it in its transaction has been answered
 * by then, and nothing after it is sent until it is done.
 */
export const happenBetween = (
  database: RecordDatabase,
  when: (text: string, values: readonly unknown[]) => boolean,
  happen: () => Promise<unknown>,
): Between => {
  let hasHappened = false;
  return {
    hasHappened: () => hasHappened,
    transaction: async (fn) =>
      database.transaction((tx) => {
        let before: Promise<unknown> = Promise.resolve();
        return fn({
          query: async (text, values) => {
            if (!hasHappened && when(text, values ?? [])) {
              hasHappened = true;
              before = before.then(async () => tx.query('SELECT 1')).then(happen);
            }
            await before;
            return tx.query(text, values);
          },
        });
      }),
  };
};
