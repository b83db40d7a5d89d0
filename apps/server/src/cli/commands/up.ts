import { Option } from 'commander';
import { createCommand, type RegisterCommand, runCommand, untilInterrupted } from '../command.ts';
import type { Role, RunningServer } from '../engine.ts';

const ROLES: readonly Role[] = ['all', 'api', 'worker', 'migrate'];

const describeStart = (server: RunningServer): string =>
  [
    `Casebound ${server.status.version} is up after ${(server.startedInMs / 1000).toFixed(1)} s, role ${server.status.role}, process ${server.status.pid}.`,
    ...(server.address === undefined ? [] : [`  address   ${server.address}   (operations at ${server.address}/docs)`]),
    `  database  PostgreSQL ${server.status.database.serverVersion} (${server.status.database.kind})`,
    `  objects   ${server.status.objectStore.kind}`,
    ...(server.bootstrapToken === undefined
      ? []
      : ['', 'Administrator token, shown this once and kept only as a hash:', `  ${server.bootstrapToken}`]),
    '',
    'Ctrl-C stops it.',
  ].join('\n');

export const registerUp: RegisterCommand = (program, context) => {
  const command = createCommand('up', 'start the server and stay in the foreground')
    .addOption(new Option('--role <role>', 'what this process does').choices([...ROLES]).default('all'))
    .option('--port <port>', 'port of the HTTP server; short for --set http.port=')
    .option('--host <host>', 'address to listen on; short for --set http.host=');
  command.action(async () => {
    const given = command.opts<{ role: Role; port?: string; host?: string }>();
    const overrides = new Map<string, string>();
    if (given.port !== undefined) overrides.set('http.port', given.port);
    if (given.host !== undefined) overrides.set('http.host', given.host);
    await runCommand(
      command,
      context,
      async ({ options, output }) => {
        if (given.role === 'migrate') {
          const report = await context.engine.migrate(options, false);
          output.result(report, `Migration ${report.version}; cases migrated: ${report.casesMigrated}.`);
          return;
        }
        const server = await context.engine.up(options, given.role, (line) => output.note(line));
        const { address, status, bootstrapToken, startedInMs } = server;
        output.result({ address, status, bootstrapToken, startedInMs }, describeStart(server));
        await untilInterrupted(context, server, output);
      },
      overrides,
    );
  });
  program.addCommand(command);
};
