import { setTimeout as wait } from 'node:timers/promises';
import { Account, AccountId, CaseboundError, IssuedToken, permissions as allPermissions } from '@casebound/contract';
import type { Actor } from '@casebound/contract';
import { createFakeClock } from '@casebound/test-kit';
import type { FakeClock } from '@casebound/test-kit';
import { v7 } from 'uuid';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../database/index.ts';
import { openTestDatabases, silentLog } from '../../database/testing/open-test-databases.ts';
import type { TestDatabases } from '../../database/testing/open-test-databases.ts';
import { createLog } from '../../platform/log/create-log.ts';
import { createAccess } from './create-access.ts';
import type { Access } from './create-access.ts';
import { createToken } from './token.ts';

let test: TestDatabases;
let lookUps = 0;
/** The control database, counting transactions. */
let database: Database;
let clock: FakeClock;
let access: Access;
let lines: string[];

const system: Actor = { kind: 'system', reason: 'test' };
const request = {
  requestId: 'r-1',
  signal: new AbortController().signal,
  params: undefined,
  query: undefined,
  body: undefined,
};

const open = (tokenCacheMs = 5000): Access =>
  createAccess({
    database,
    clock,
    config: { tokenCacheMs },
    log: createLog({ level: 'debug' }, { write: (line) => lines.push(line) }),
  });

beforeAll(async () => {
  test = await openTestDatabases();
  const { control } = test.databases;
  database = {
    statistics: control.statistics,
    listen: control.listen.bind(control),
    close: control.close.bind(control),
    transaction: async (options, fn) => {
      lookUps += 1;
      return control.transaction(options, fn);
    },
  };
});
afterAll(async () => test.close());
beforeEach(async () => {
  await test.databases.control.transaction({}, async (tx) => tx.query('TRUNCATE core.accounts'));
  clock = createFakeClock();
  lines = [];
  access = open();
  lookUps = 0;
});

const bootstrap = async (): Promise<IssuedToken> => {
  const issued = await access.bootstrapAdmin();
  if (issued === undefined) throw new Error('There was an account already.');
  return issued;
};
const create = async (name: string, permissions: Account['permissions'] = ['case.read'], actor: Actor = system) =>
  IssuedToken.parse(
    await access.handlers.createAccount({
      ...request,
      actor,
      body: { name, permissions: permissions.filter((permission) => permission !== 'public') },
    }),
  );
const rotate = async (accountId: AccountId) =>
  IssuedToken.parse(await access.handlers.rotateAccountToken({ ...request, actor: system, params: { accountId } }));
const disable = async (accountId: AccountId) =>
  Account.parse(await access.handlers.disableAccount({ ...request, actor: system, params: { accountId } }));
const actorOf = ({ accountId, name, permissions }: Account): Actor => ({
  kind: 'account',
  accountId,
  name,
  permissions,
});

describe('an account that may do less', () => {
  it('cannot take over or shut out one that may do more', async () => {
    const admin = await bootstrap();
    const { accountId } = admin.account;
    const operator = actorOf((await create('operator', ['system.read', 'system.manage'])).account);
    const attempt = { ...request, actor: operator, params: { accountId } };
    await expect(access.handlers.rotateAccountToken(attempt)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(access.handlers.disableAccount(attempt)).rejects.toMatchObject({ code: 'forbidden' });
    expect(await access.authenticate(admin.token)).toEqual(actorOf(admin.account));
  });

  it('may change one that may do no more', async () => {
    const operator = actorOf((await create('operator', ['system.read', 'system.manage'])).account);
    const { account, token } = await create('reader', ['system.read']);
    const rotated = await access.handlers.rotateAccountToken({
      ...request,
      actor: operator,
      params: { accountId: account.accountId },
    });
    expect(await access.authenticate(token)).toBeUndefined();
    expect(await access.authenticate(rotated.token)).toEqual(actorOf(account));
  });
});

describe('the first account', () => {
  it('is an administrator, and is made once', async () => {
    const { account, token } = await bootstrap();
    expect(account).toMatchObject({ name: 'admin', disabledAt: null });
    expect(account.permissions).toEqual(allPermissions.filter((permission) => permission !== 'public'));
    expect(await access.authenticate(token)).toEqual(actorOf(account));
    expect(await access.bootstrapAdmin()).toBeUndefined();
    expect(await open().bootstrapAdmin()).toBeUndefined();
  });

  it('is not made while another process is making it', async () => {
    const inserted = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const other = test.databases.control.transaction({}, async (tx) => {
      await tx.query(
        `INSERT INTO core.accounts (account_id, name, name_key, permissions, token_hash)
         VALUES (gen_random_uuid(), 'first', 'first', '{}', sha256('x'))`,
      );
      inserted.resolve();
      await goOn.promise;
    });
    await inserted.promise;
    const late = access.bootstrapAdmin();
    const early = await Promise.race([late, wait(200).then(() => 'waits')]);
    goOn.resolve();
    await other;
    expect(early).toBe('waits');
    expect(await late).toBeUndefined();
  });

  it('is made once also when several processes start together', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, async () => open().bootstrapAdmin()));
    expect(made.filter((issued) => issued !== undefined)).toHaveLength(1);
    const { accounts } = await access.handlers.listAccounts({ ...request, actor: system, query: { limit: 100 } });
    expect(accounts).toHaveLength(1);
  });
});

describe('a token', () => {
  it('is nowhere: neither in the database nor in the log', async () => {
    const first = await bootstrap();
    const second = await create('Reader');
    const third = await rotate(second.account.accountId);
    await access.authenticate(third.token);
    const { rows } = await test.databases.control.transaction({}, async (tx) =>
      tx.query('SELECT * FROM core.accounts'),
    );
    for (const { token } of [first, second, third]) {
      expect(JSON.stringify([rows, lines])).not.toContain(token.slice(3, 40));
      expect(lines.join('')).not.toContain(token);
    }
    expect(lines.length).toBeGreaterThan(0);
  });

  it('that nobody has is nobody’s', async () => {
    await bootstrap();
    expect(await access.authenticate(createToken())).toBeUndefined();
  });

  it('that cannot be one is refused without asking the database', async () => {
    lookUps = 0;
    for (const text of ['', 'x', 'cb_', `${createToken().slice(0, -1)}!`, "' OR 1=1 --"]) {
      expect(await access.authenticate(text)).toBeUndefined();
    }
    expect(lookUps).toBe(0);
  });

  it('is void as soon as it is rotated, and the new one counts', async () => {
    const { account, token } = await bootstrap();
    await access.authenticate(token);
    const rotated = await rotate(account.accountId);
    expect(await access.authenticate(token)).toBeUndefined();
    expect(await access.authenticate(rotated.token)).toEqual(actorOf(rotated.account));
  });

  it('is void as soon as its account is disabled', async () => {
    await bootstrap();
    const { account, token } = await create('Reader');
    await access.authenticate(token);
    const disabled = await disable(account.accountId);
    expect(disabled.disabledAt).not.toBeNull();
    expect(await access.authenticate(token)).toBeUndefined();
    expect(await disable(account.accountId)).toEqual(disabled);
    await expect(rotate(account.accountId)).rejects.toMatchObject({ code: 'account_disabled' });
  });
});

describe('what is remembered of tokens', () => {
  it('saves the look-up for its time, and no longer', async () => {
    const { token } = await bootstrap();
    lookUps = 0;
    await access.authenticate(token);
    await clock.advance(4999);
    await access.authenticate(token);
    expect(lookUps).toBe(1);
    await clock.advance(1);
    await access.authenticate(token);
    expect(lookUps).toBe(2);
  });

  it('is shared by requests that come at once', async () => {
    const { token } = await bootstrap();
    lookUps = 0;
    const actors = await Promise.all(Array.from({ length: 20 }, async () => access.authenticate(token)));
    expect(new Set(actors).size).toBe(1);
    expect(lookUps).toBe(1);
  });

  it('does not outlive a rotation that happens during the look-up', async () => {
    const { account, token } = await bootstrap();
    const found = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow: Database = {
      ...database,
      transaction: async (options, fn) => {
        const result = await database.transaction(options, fn);
        if (options.readOnly === true) {
          found.resolve();
          await goOn.promise;
        }
        return result;
      },
    };
    access = createAccess({ database: slow, clock, config: { tokenCacheMs: 5000 }, log: silentLog });
    const looking = access.authenticate(token);
    await found.promise;
    await rotate(account.accountId);
    goOn.resolve();
    await looking;
    expect(await access.authenticate(token)).toBeUndefined();
  });

  it('ends, on another server, with its time', async () => {
    const { account, token } = await bootstrap();
    const other = open();
    await other.authenticate(token);
    await rotate(account.accountId);
    expect(await other.authenticate(token)).toBeDefined();
    await clock.advance(5000);
    expect(await other.authenticate(token)).toBeUndefined();
  });

  it('is nothing when that is the setting', async () => {
    const { token } = await bootstrap();
    access = open(0);
    lookUps = 0;
    await access.authenticate(token);
    await access.authenticate(token);
    expect(lookUps).toBe(2);
  });

  it('is nothing of a look-up that failed', async () => {
    const { token, account } = await bootstrap();
    const broken: Database = {
      ...database,
      transaction: async () => {
        throw new CaseboundError('database_unreachable', 'No answer.');
      },
    };
    let current = broken;
    const flaky = createAccess({
      database: { ...database, transaction: async (options, fn) => current.transaction(options, fn) },
      clock,
      config: { tokenCacheMs: 5000 },
      log: silentLog,
    });
    await expect(flaky.authenticate(token)).rejects.toMatchObject({ code: 'database_unreachable' });
    current = database;
    expect(await flaky.authenticate(token)).toEqual(actorOf(account));
  });
});

describe('accounts', () => {
  it('have names of their own, without regard to case', async () => {
    await create('Jane Smith');
    await expect(create('jane SMITH')).rejects.toMatchObject({ code: 'account_name_taken' });
  });

  it('cannot grant what they do not have', async () => {
    const { account } = await create('Half', ['system.manage', 'case.read']);
    await expect(create('Whole', ['case.manage'], actorOf(account))).rejects.toMatchObject({
      code: 'forbidden',
      message: 'To grant the permission case.manage the own account must have it.',
    });
    expect((await create('Reader', ['case.read', 'case.read'], actorOf(account))).account.permissions).toEqual([
      'case.read',
    ]);
  });

  it('leave one administrator, also when two are disabled at once', async () => {
    const { account: admin } = await bootstrap();
    await expect(disable(admin.accountId)).rejects.toMatchObject({ code: 'last_administrator' });
    const { account: second } = await create('Second', ['system.manage']);
    const ends = await Promise.allSettled([disable(admin.accountId), disable(second.accountId)]);
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('that do not exist are said not to', async () => {
    const nobody = AccountId.parse(v7());
    await expect(rotate(nobody)).rejects.toMatchObject({ code: 'account_not_found' });
    await expect(disable(nobody)).rejects.toMatchObject({ code: 'account_not_found' });
  });

  it('are listed in pages, each once', async () => {
    for (let count = 0; count < 5; count += 1) await create(`Account ${count}`);
    const names: string[] = [];
    let after: AccountId | null | undefined;
    do {
      const query = { limit: 2, ...(after === undefined || after === null ? {} : { after }) };
      const page = await access.handlers.listAccounts({ ...request, actor: system, query });
      names.push(...page.accounts.map(({ name }) => name));
      after = page.next === null ? null : AccountId.parse(page.next);
    } while (after !== null);
    expect(names).toEqual(['Account 0', 'Account 1', 'Account 2', 'Account 3', 'Account 4']);
  });
});
