/** Accounts: who may call, and their tokens. */
import { z } from 'zod';
import { permissions } from '../actor.ts';
import { AccountId } from '../ids.ts';
import type { Operation } from '../operation.ts';
import { wireInteger } from './parameters.ts';

/** What an account can be given; `public` needs no account. */
export const grantablePermissions = permissions.filter((permission) => permission !== 'public');

export const AccountName = z
  .string()
  .normalize('NFC')
  .trim()
  .min(1, 'An account needs a name.')
  .max(100, 'The name of an account has at most 100 characters.')
  .regex(/^\P{Cc}*$/u, 'The name of an account has no control characters.')
  .describe('1 to 100 characters, unique without regard to case; normalised to NFC, outer white space removed.');

export const Account = z
  .object({
    accountId: AccountId,
    name: z.string(),
    permissions: z.array(z.enum(permissions)),
    tokenIssuedAt: z.iso.datetime(),
    createdAt: z.iso.datetime(),
    disabledAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Account' });
export type Account = z.infer<typeof Account>;

export const IssuedToken = z
  .object({
    account: Account,
    token: z.string().describe('Shown in this answer only; the server keeps a hash.'),
  })
  .meta({ id: 'IssuedToken' });
export type IssuedToken = z.infer<typeof IssuedToken>;

const accountParams = z.strictObject({ accountId: AccountId });

export const accountOperations = {
  createAccount: {
    method: 'POST',
    path: '/v1/accounts',
    summary: 'Create an account',
    description: 'Answers its token. Nobody can grant what the own account does not have.',
    tag: 'accounts',
    permission: 'system.manage',
    body: z.strictObject({
      name: AccountName,
      permissions: z.array(z.enum(permissions).exclude(['public'])).max(permissions.length),
    }),
    success: { status: 201, body: IssuedToken },
    errors: ['account_name_taken', 'conflict_retries_exhausted'],
  },
  listAccounts: {
    method: 'GET',
    path: '/v1/accounts',
    summary: 'List accounts',
    description:
      'Ordered by id, which is the order of creation; pass `next` of one page as `after` of the following one.',
    tag: 'accounts',
    permission: 'system.read',
    query: z.strictObject({
      after: AccountId.optional(),
      limit: wireInteger(z.int().min(1).max(500)).default(100),
    }),
    success: { status: 200, body: z.object({ accounts: z.array(Account), next: AccountId.nullable() }) },
    errors: [],
  },
  rotateAccountToken: {
    method: 'POST',
    path: '/v1/accounts/{accountId}/token',
    summary: 'Give an account a new token',
    description:
      'The token before it is void from then on; other servers may take it for a few seconds more (`access.tokenCacheMs`).',
    tag: 'accounts',
    permission: 'system.manage',
    params: accountParams,
    success: { status: 200, body: IssuedToken },
    errors: ['account_not_found', 'account_disabled', 'conflict_retries_exhausted'],
  },
  disableAccount: {
    method: 'POST',
    path: '/v1/accounts/{accountId}/disable',
    summary: 'Disable an account',
    description: 'Its token is void from then on. Disabling a disabled account changes nothing.',
    tag: 'accounts',
    permission: 'system.manage',
    params: accountParams,
    success: { status: 200, body: Account },
    errors: ['account_not_found', 'last_administrator', 'conflict_retries_exhausted'],
  },
} as const satisfies Record<string, Operation>;
