/** The first account: an administrator, made once in the life of an installation. */
import { grantablePermissions } from '@casebound/contract';
import type { IssuedToken } from '@casebound/contract';
import { v7 } from 'uuid';
import type { Database } from '../../database/index.ts';
import { hasAccounts, insertAccount, lockAccounts } from './store.ts';
import { createToken, hashToken } from './token.ts';

/**
 * Makes the account `admin` with all permissions and returns its token, which is kept nowhere. Of several processes that
 * start together one gets it; the others, and all later ones, get `undefined`, also when the account was disabled since.
 */
export const bootstrapAdmin = async (database: Database): Promise<IssuedToken | undefined> => {
  const token = createToken();
  const account = await database.transaction({}, async (tx) => {
    await lockAccounts(tx);
    if (await hasAccounts(tx)) return undefined;
    const tokenHash = hashToken(token);
    return insertAccount(tx, { accountId: v7(), name: 'admin', permissions: grantablePermissions, tokenHash });
  });
  return account === undefined ? undefined : { account, token };
};
