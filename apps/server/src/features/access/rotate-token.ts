/** A new token in place of the one before. */
import { CaseboundError } from '@casebound/contract';
import type { AccountId, Actor, IssuedToken } from '@casebound/contract';
import type { Database } from '../../database/index.ts';
import { refuseMorePowerful } from './refuse-more-powerful.ts';
import { findAccount, lockAccounts, replaceToken } from './store.ts';
import { createToken, hashToken } from './token.ts';

/** Throws `account_not_found`, `account_disabled`, `forbidden` for an account that may do what the actor may not. */
export const rotateToken = async (database: Database, actor: Actor, accountId: AccountId): Promise<IssuedToken> => {
  const token = createToken();
  const account = await database.transaction({}, async (tx) => {
    await lockAccounts(tx);
    const found = await findAccount(tx, accountId);
    if (found === undefined) throw new CaseboundError('account_not_found', `There is no account ${accountId}.`);
    refuseMorePowerful(actor, found);
    const replaced = await replaceToken(tx, accountId, hashToken(token));
    if (replaced !== undefined) return replaced;
    throw new CaseboundError('account_disabled', `The account ${accountId} is disabled and gets no token.`);
  });
  return { account, token };
};
