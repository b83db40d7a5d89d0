import { createCommand, type RegisterCommand, runCommand, untilInterrupted } from '../command.ts';

const nextCommands = (dataDir: string, address: string | undefined): string =>
  [
    '',
    'Try next, in another terminal:',
    `  npx casebound status --data ${dataDir}`,
    `  npx casebound case list --data ${dataDir}`,
    `  npx casebound case create "Another case" --data ${dataDir}`,
    `  npx casebound doctor --data ${dataDir}`,
    ...(address === undefined
      ? []
      : [`  ${address}/docs in a browser (any user name; password: the administrator's token)`]),
  ].join('\n');

export const registerDemo: RegisterCommand = (program, context) => {
  const command = createCommand(
    'demo',
    'the tour of the README: start, two cases, what keeps them apart, an object that travels',
  ).option('--exit', 'end after the tour instead of staying up');
  command.action(() =>
    runCommand(command, context, async ({ options, output }) => {
      const stays = command.opts<{ exit?: boolean }>().exit !== true;
      const lines: string[] = [];
      const demonstration = await context.engine.demo(options, (line) => {
        if (output.json) output.note(line);
        else context.streams.stdout.write(`${line}\n`);
        lines.push(line);
      });
      const { server, facts } = demonstration;
      const token =
        server.bootstrapToken === undefined
          ? []
          : ['', `Administrator token, shown this once: ${server.bootstrapToken}`];
      try {
        output.result(
          { ...facts, address: server.address, bootstrapToken: server.bootstrapToken },
          [
            ...token,
            nextCommands(options.dataDir, server.address),
            ...(stays ? ['', 'The server stays up; Ctrl-C stops it.'] : []),
          ].join('\n'),
        );
        if (stays) await untilInterrupted(context, server, output);
      } finally {
        await server.stop('demo ended');
      }
    }),
  );
  program.addCommand(command);
};
