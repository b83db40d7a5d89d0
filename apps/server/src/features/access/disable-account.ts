/** The end of an account. It stays on record, since others refer to it, but its token is void. */
import { CaseboundError } from '@casebound/contract';
import type { Account, AccountId, Actor } from '@casebound/contract';
import type { Database } from '../../database/index.ts';
import { refuseMorePowerful } from './refuse-more-powerful.ts';
import { anotherHas, findAccount, lockAccounts, setDisabled } from './store.ts';

/** Throws `account_not_found`, `forbidden` for an account that may do what the actor may not, and `last_administrator` when nobody would be left to manage the installation. */
export const disableAccount = async (database: Database, actor: Actor, accountId: AccountId): Promise<Account> =>
  database.transaction({}, async (tx) => {
    await lockAccounts(tx);
    const account = await findAccount(tx, accountId);
    if (account === undefined) throw new CaseboundError('account_not_found', `There is no account ${accountId}.`);
    refuseMorePowerful(actor, account);
    if (account.disabledAt !== null) return account;
    if (account.permissions.includes('system.manage') && !(await anotherHas(tx, accountId, 'system.manage'))) {
      throw new CaseboundError(
        'last_administrator',
        `The account ${accountId} is the last that can manage this installation; give another the permission first.`,
      );
    }
    return setDisabled(tx, accountId);
  });
