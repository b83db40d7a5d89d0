/** A new token in place of the one before. */
import { CaseboundError } from '@casebound/contract';
import type { AccountId, IssuedToken } from '@casebound/contract';
import type { Database } from '../../database/index.ts';
import { findAccount, replaceToken } from './store.ts';
import { createToken, hashToken } from './token.ts';

/** Throws `account_not_found`, `account_disabled`. */
export const rotateToken = async (database: Database, accountId: AccountId): Promise<IssuedToken> => {
  const token = createToken();
  const account = await database.transaction({}, async (tx) => {
    const replaced = await replaceToken(tx, accountId, hashToken(token));
    if (replaced !== undefined) return replaced;
    if ((await findAccount(tx, accountId)) === undefined) {
      throw new CaseboundError('account_not_found', `There is no account ${accountId}.`);
    }
    throw new CaseboundError('account_disabled', `The account ${accountId} is disabled and gets no token.`);
  });
  return { account, token };
};
