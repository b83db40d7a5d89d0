import {
  CaseboundError,
  grantablePermissions,
  type Account,
  type AccountId,
  type IssuedToken,
} from '@casebound/contract';
import { Command, Option } from 'commander';
import { type CliContext, createCommand, type RegisterCommand, withConnection } from '../command.ts';
import type { Connection } from '../engine.ts';
import { table } from '../output.ts';

const PAGE = 200;

const listAll = async ({ client }: Connection): Promise<readonly Account[]> => {
  const accounts: Account[] = [];
  for (let after: AccountId | undefined; ;) {
    const page = await client.listAccounts({ query: { limit: PAGE, ...(after === undefined ? {} : { after }) } });
    accounts.push(...page.accounts);
    if (page.next === null) return accounts;
    after = page.next;
  }
};

const findAccount = async (connection: Connection, given: string): Promise<Account> => {
  const wanted = given.normalize('NFC').toLowerCase();
  const accounts = await listAll(connection);
  const found = accounts.find(({ name, accountId }) => name.toLowerCase() === wanted || accountId === wanted);
  if (found === undefined) throw new CaseboundError('account_not_found', `There is no account named "${given}".`);
  return found;
};

const describeToken = ({ account, token }: IssuedToken): string =>
  `Token of the account "${account.name}", shown this once and kept only as a hash:\n  ${token}`;

const createCreateCommand = (context: CliContext): Command => {
  const command = createCommand('create', 'make an account and print its token')
    .argument('<name>', 'unique without regard to case')
    .addOption(
      new Option('--permission <permission...>', 'what it may do; default: read cases').choices([
        ...grantablePermissions,
      ]),
    );
  return command.action((name: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const { permission } = command.opts<{ permission?: typeof grantablePermissions }>();
      const issued = await connection.client.createAccount({
        body: { name, permissions: permission ?? ['case.read'] },
      });
      output.result(issued, describeToken(issued));
    }),
  );
};

const createListCommand = (context: CliContext): Command => {
  const command = createCommand('list', 'list accounts');
  return command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const accounts = await listAll(connection);
      const rows = accounts.map((it) => [
        it.name,
        it.disabledAt === null ? 'enabled' : 'disabled',
        it.permissions.join(' '),
        it.tokenIssuedAt,
      ]);
      output.result({ accounts }, table(['name', 'state', 'permissions', 'token issued'], rows));
    }),
  );
};

const createRotateCommand = (context: CliContext): Command => {
  const command = createCommand('rotate', 'give an account a new token; the old one stops working').argument(
    '<account>',
    'name or id',
  );
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const { accountId } = await findAccount(connection, given);
      const issued = await connection.client.rotateAccountToken({ params: { accountId } });
      output.result(issued, describeToken(issued));
    }),
  );
};

const createDisableCommand = (context: CliContext): Command => {
  const command = createCommand('disable', 'take the right to sign in from an account').argument(
    '<account>',
    'name or id',
  );
  return command.action((given: string) =>
    withConnection(command, context, async ({ connection, output }) => {
      const found = await findAccount(connection, given);
      await connection.client.disableAccount({ params: { accountId: found.accountId } });
      output.result({ disabled: found.accountId }, `The account "${found.name}" is disabled.`);
    }),
  );
};

export const registerAccount: RegisterCommand = (program, context) => {
  const group = new Command('account').description('accounts and their tokens');
  for (const create of [createCreateCommand, createListCommand, createRotateCommand, createDisableCommand]) {
    group.addCommand(create(context));
  }
  program.addCommand(group);
};
