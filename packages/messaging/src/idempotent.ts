/**
 * One effect for a key, however often and however concurrently it is asked for.
 *
 * 1. The claim, the effect and its result are one transaction: the effect is there if, and only if, its record is.
 * 2. A second transaction with the key waits for the first. If that commits it gets the recorded result; if that rolls back it
 *    makes the effect itself.
 * 3. The record holds the fencing token of who made it. A handler with an older token than the record's has been overtaken:
 *    `lease_lost`, so that it states nothing further.
 */
import { CaseboundError } from '@casebound/contract';
import { boolean, integer } from './postgres/rows.ts';
import type { Sql } from './ports.ts';

/** What can be recorded: it survives JSON unchanged. */
export type Recordable =
  | null
  | boolean
  | number
  | string
  | readonly Recordable[]
  | { readonly [member: string]: Recordable };

/**
 * Runs `effect` in the caller's transaction unless it was run for `key` before, and returns its (recorded) result.
 * @param key Names the effect for good, e.g. `object_copy/{jobId}/{documentId}`; at most 500 characters.
 * @throws CaseboundError `lease_lost` when a newer delivery has made the effect; whatever `effect` throws, and nothing is recorded.
 */
export const idempotent = async <T extends Recordable | void>(
  tx: Sql,
  key: string,
  fencingToken: number,
  effect: () => Promise<T>,
): Promise<T> => {
  if (key === '' || key.length > 500)
    throw new CaseboundError('message_invalid', `An effect's key has ${key.length} characters; it can have 1 to 500.`);
  const { rows } = await tx.query(
    'SELECT fresh, fencing_token, result FROM messaging.claim_effect($1, $2::bigint, false)',
    [key, fencingToken],
  );
  const claim = rows[0];
  if (claim === undefined) throw new TypeError('messaging.claim_effect returned no row.');
  if (!boolean(claim, 'fresh')) {
    if (integer(claim, 'fencing_token') > fencingToken) {
      throw new CaseboundError('lease_lost', 'A newer delivery of the message has made its effect already.');
    }
    if (claim['result'] === null) {
      throw new CaseboundError('lease_lost', 'The effect was ruled out: what it belongs to has been undone.');
    }
    // Written below, from a T: `[value]`, or `[]` for nothing.
    const [recorded] = claim['result'] as [T];
    return recorded;
  }
  const result = await effect();
  // The claim itself records nothing as the result: an effect without one costs a single statement.
  if (result !== undefined) {
    await tx.query('SELECT messaging.record_effect($1, $2::bigint, $3)', [key, fencingToken, JSON.stringify([result])]);
  }
  return result;
};
