/**
 * What the store needs of a database: transactions with parameterized statements, and nothing that outlives one.
 *
 * - Statements of one transaction may be sent without waiting for each other; they run in the order sent. A connection that
 *   pipelines then needs one round trip for all of them.
 * - `transaction` must not repeat by itself: the store repeats whole transactions and counts them (`retry.ts`).
 */

export interface RecordTransaction {
  query(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: readonly Record<string, unknown>[]; readonly rowCount: number | null }>;
  /**
   * Announces that the statements sent so far are the last: a connection that pipelines may send COMMIT behind them, which then
   * costs no round trip of its own. The transaction commits once all of them have succeeded, and only then.
   */
  sendCommit?(): void;
}

export interface RecordDatabase {
  /** READ COMMITTED; commits when `fn` resolves, rolls back when it rejects. */
  transaction<T>(fn: (tx: RecordTransaction) => Promise<T>): Promise<T>;
}

/** What a driver says of a failed statement, as far as the store decides by it. */
export interface SqlFailure {
  readonly sqlState: string;
  readonly constraint: string | null;
  readonly table: string | null;
  /** Text of an exception that the store itself raised; null for any other. */
  readonly raised: string | null;
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** Reads SQLSTATE, constraint and table from a driver's error or from an error that wraps one; null for another error. */
export const sqlFailureOf = (error: unknown): SqlFailure | null => {
  for (let at: unknown = error, depth = 0; typeof at === 'object' && at !== null && depth < 5; depth += 1) {
    const fields = at as Readonly<Record<string, unknown>>;
    const sqlState = [fields['sqlState'], fields['code']].find(
      (code) => typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code),
    );
    if (typeof sqlState === 'string') {
      return {
        sqlState,
        constraint: text(fields['constraint']),
        table: text(fields['table']),
        raised: sqlState.startsWith('CB') ? text(fields['message']) : null,
      };
    }
    at = fields['cause'];
  }
  return null;
};

/** SQLSTATE of a statement that was skipped because an earlier one of the transaction had failed. */
const abortedState = '25P02';

/**
 * Waits for statements that were sent together and gives their results.
 * @throws the failure of the first that failed by itself, once all have settled
 */
export const settleAll = async <T>(sent: readonly Promise<T>[]): Promise<T[]> => {
  const results = await Promise.allSettled(sent);
  const failures = results.filter((result) => result.status === 'rejected').map((result): unknown => result.reason);
  const [first] = failures;
  if (failures.length > 0) throw failures.find((failure) => sqlFailureOf(failure)?.sqlState !== abortedState) ?? first;
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};
