/** A new account with a token. */
import { CaseboundError, isPermitted } from '@casebound/contract';
import type { Actor, IssuedToken, Permission } from '@casebound/contract';
import { v7 } from 'uuid';
import { violatedUniqueConstraint } from '../../database/index.ts';
import type { Database } from '../../database/index.ts';
import { insertAccount } from './store.ts';
import { createToken, hashToken } from './token.ts';

export interface AccountRequest {
  readonly name: string;
  readonly permissions: readonly Permission[];
}

/** Throws `forbidden` for a permission that the actor does not have itself, `account_name_taken`. */
export const createAccount = async (
  database: Database,
  actor: Actor,
  request: AccountRequest,
): Promise<IssuedToken> => {
  const lacking = request.permissions.find((permission) => !isPermitted(actor, permission));
  if (lacking !== undefined) {
    throw new CaseboundError('forbidden', `To grant the permission ${lacking} the own account must have it.`);
  }
  const token = createToken();
  const permissions = [...new Set(request.permissions)];
  const account = { accountId: v7(), name: request.name, permissions, tokenHash: hashToken(token) };
  try {
    return { account: await database.transaction({}, async (tx) => insertAccount(tx, account)), token };
  } catch (cause) {
    if (violatedUniqueConstraint(cause) !== 'accounts_name_key_unique') throw cause;
    throw new CaseboundError('account_name_taken', 'Another account has this name; choose another.', { cause });
  }
};
