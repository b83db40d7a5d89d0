/** Whoever changes an account could become it: a token that is rotated is shown to the one who asked. */
import { CaseboundError, isPermitted } from '@casebound/contract';
import type { Account, Actor } from '@casebound/contract';

/** Throws `forbidden`, naming the permission, when the account may do what the actor may not. */
export const refuseMorePowerful = (actor: Actor, account: Account): void => {
  const lacking = account.permissions.find((permission) => !isPermitted(actor, permission));
  if (lacking === undefined) return;
  throw new CaseboundError(
    'forbidden',
    `The account ${account.accountId} has the permission ${lacking}, which the own account lacks; only one that has it may change that account.`,
  );
};
