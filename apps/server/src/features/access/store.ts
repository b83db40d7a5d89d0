/** SQL of `core.accounts`. */
import { CaseboundError, permissions } from '@casebound/contract';
import type { Account, AccountId, Permission } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';

interface AccountRow {
  readonly account_id: AccountId;
  readonly name: string;
  readonly permissions: readonly string[];
  readonly token_issued_at: Date;
  readonly created_at: Date;
  readonly disabled_at: Date | null;
}

export interface StoredToken {
  readonly account: Account;
  readonly tokenHash: Buffer;
}

export interface NewAccount {
  readonly accountId: string;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly tokenHash: Buffer;
}

const columns = 'account_id, name, permissions, token_issued_at, created_at, disabled_at';

/** Permissions that this version does not know are left out: it could not check them. */
const toAccount = (row: AccountRow): Account => ({
  accountId: row.account_id,
  name: row.name,
  permissions: permissions.filter((permission) => row.permissions.includes(permission)),
  tokenIssuedAt: row.token_issued_at.toISOString(),
  createdAt: row.created_at.toISOString(),
  disabledAt: row.disabled_at?.toISOString() ?? null,
});

const one = (rows: readonly AccountRow[]): Account => {
  const [row] = rows;
  if (row === undefined) throw new CaseboundError('internal', 'A statement that returns an account returned none.');
  return toAccount(row);
};

/** What "unique without regard to case" compares. */
export const nameKey = (name: string): string => name.normalize('NFC').toLowerCase();

/**
 * Until the end of the transaction nobody else writes accounts; they are read meanwhile. For decisions on all accounts
 * together (is this the first, is this the last?), which row locks cannot protect.
 */
export const lockAccounts = async (tx: Queryable): Promise<void> => {
  await tx.query('LOCK TABLE core.accounts IN SHARE ROW EXCLUSIVE MODE');
};

export const hasAccounts = async (tx: Queryable): Promise<boolean> => {
  const { rows } = await tx.query<{ found: boolean }>('SELECT EXISTS (SELECT FROM core.accounts) AS found');
  return rows[0]?.found === true;
};

/** Throws a `DatabaseError` of the constraint `accounts_name_key_unique` when the name is taken. */
export const insertAccount = async (tx: Queryable, account: NewAccount): Promise<Account> => {
  const { rows } = await tx.query<AccountRow>(
    `INSERT INTO core.accounts (account_id, name, name_key, permissions, token_hash)
     VALUES ($1, $2, $3, $4, $5) RETURNING ${columns}`,
    [account.accountId, account.name, nameKey(account.name), account.permissions, account.tokenHash],
  );
  return one(rows);
};

export const findAccount = async (tx: Queryable, accountId: AccountId): Promise<Account | undefined> => {
  const { rows } = await tx.query<AccountRow>(`SELECT ${columns} FROM core.accounts WHERE account_id = $1`, [
    accountId,
  ]);
  return rows.length === 0 ? undefined : one(rows);
};

/** The enabled account whose token has the hash. */
export const findByTokenHash = async (tx: Queryable, tokenHash: Buffer): Promise<StoredToken | undefined> => {
  const { rows } = await tx.query<AccountRow & { token_hash: Buffer }>(
    `SELECT ${columns}, token_hash FROM core.accounts WHERE token_hash = $1 AND disabled_at IS NULL`,
    [tokenHash],
  );
  const [row] = rows;
  return row === undefined ? undefined : { account: toAccount(row), tokenHash: row.token_hash };
};

export const listAfter = async (tx: Queryable, after: AccountId | undefined, limit: number): Promise<Account[]> => {
  const { rows } = await tx.query<AccountRow>(
    `SELECT ${columns} FROM core.accounts WHERE $1::uuid IS NULL OR account_id > $1 ORDER BY account_id LIMIT $2`,
    [after ?? null, limit],
  );
  return rows.map(toAccount);
};

/** Gives an enabled account a token; `undefined` when there is no such account, or it is disabled. */
export const replaceToken = async (
  tx: Queryable,
  accountId: AccountId,
  tokenHash: Buffer,
): Promise<Account | undefined> => {
  const { rows } = await tx.query<AccountRow>(
    `UPDATE core.accounts SET token_hash = $2, token_issued_at = now()
     WHERE account_id = $1 AND disabled_at IS NULL RETURNING ${columns}`,
    [accountId, tokenHash],
  );
  return rows.length === 0 ? undefined : one(rows);
};

export const setDisabled = async (tx: Queryable, accountId: AccountId): Promise<Account> => {
  const { rows } = await tx.query<AccountRow>(
    `UPDATE core.accounts SET disabled_at = coalesce(disabled_at, now()) WHERE account_id = $1 RETURNING ${columns}`,
    [accountId],
  );
  return one(rows);
};

/** Whether an enabled account other than this one has the permission. */
export const anotherHas = async (tx: Queryable, accountId: AccountId, permission: Permission): Promise<boolean> => {
  const { rows } = await tx.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM core.accounts
       WHERE account_id <> $1 AND disabled_at IS NULL AND $2 = ANY (permissions)) AS found`,
    [accountId, permission],
  );
  return rows[0]?.found === true;
};
