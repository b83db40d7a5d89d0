/** Accounts as one thing: the use cases, what they mean for tokens that are remembered, and the operations. */
import type { AccountId, Actor, HandlersOf, IssuedToken, accountOperations } from '@casebound/contract';
import type { Database } from '../../database/index.ts';
import type { Clock } from '../../platform/clock/Port.ts';
import type { Log } from '../../platform/log/Port.ts';
import { createAuthenticator } from './authenticate.ts';
import { bootstrapAdmin } from './bootstrap-admin.ts';
import type { AccessConfig } from './config.ts';
import { createAccount } from './create-account.ts';
import { disableAccount } from './disable-account.ts';
import { rotateToken } from './rotate-token.ts';
import { listAfter } from './store.ts';

export interface Access {
  readonly authenticate: (token: string) => Promise<Actor | undefined>;
  /** The token of the first administrator, at the one call that makes it; `undefined` ever after. */
  readonly bootstrapAdmin: () => Promise<IssuedToken | undefined>;
  readonly handlers: HandlersOf<typeof accountOperations>;
}

interface Dependencies {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: AccessConfig;
}

export const createAccess = (dependencies: Dependencies): Access => {
  const { database } = dependencies;
  const log = dependencies.log.with({ component: 'access' });
  const authenticator = createAuthenticator(dependencies);

  const voidTokens = async <T>(message: string, accountId: AccountId, change: () => Promise<T>): Promise<T> => {
    const changed = await change();
    authenticator.invalidate();
    log.info(message, { accountId });
    return changed;
  };

  return {
    authenticate: authenticator.authenticate,
    bootstrapAdmin: async () => {
      const issued = await bootstrapAdmin(database);
      if (issued !== undefined) log.info('First account made', { accountId: issued.account.accountId });
      return issued;
    },
    handlers: {
      createAccount: async ({ actor, body }) => {
        const issued = await createAccount(database, actor, body);
        log.info('Account made', { accountId: issued.account.accountId });
        return issued;
      },
      listAccounts: async ({ query, signal }) => {
        const accounts = await database.transaction({ readOnly: true, signal }, async (tx) =>
          listAfter(tx, query.after, query.limit + 1),
        );
        const page = accounts.slice(0, query.limit);
        return { accounts: page, next: accounts.length > query.limit ? (page.at(-1)?.accountId ?? null) : null };
      },
      rotateAccountToken: async ({ actor, params }) =>
        voidTokens('Token rotated', params.accountId, async () => rotateToken(database, actor, params.accountId)),
      disableAccount: async ({ actor, params }) =>
        voidTokens('Account disabled', params.accountId, async () => disableAccount(database, actor, params.accountId)),
    },
  };
};
