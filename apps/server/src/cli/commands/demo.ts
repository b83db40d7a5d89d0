import { createCommand, type RegisterCommand, runCommand, untilInterrupted } from '../command.ts';

const nextCommands = (dataDir: string, address: string | undefined, jobId: string): string =>
  [
    '',
    'Try next, in another terminal:',
    `  npx casebound status --data ${dataDir}`,
    `  npx casebound case list --data ${dataDir}`,
    `  npx casebound exchange show ${jobId} --data ${dataDir}`,
    `  npx casebound exchange verify ${jobId} --data ${dataDir}`,
    `  npx casebound exchange report ${jobId} -o report.pdf --data ${dataDir}`,
    `  npx casebound exchange rollback ${jobId} --data ${dataDir}`,
    `  npx casebound doctor --data ${dataDir}`,
    ...(address === undefined
      ? []
      : [
          `  ${address}/exchanges/${jobId} in a browser (any user name; password: the administrator's token)`,
          `  ${address}/docs for all operations`,
        ]),
  ].join('\n');

export const registerDemo: RegisterCommand = (program, context) => {
  const command = createCommand(
    'demo',
    'the tour of the README: two cases, a production imported into one, exchanged to the other, and proved',
  ).option('--exit', 'end after the tour instead of staying up');
  command.action(() =>
    runCommand(command, context, async ({ options, output }) => {
      const stays = command.opts<{ exit?: boolean }>().exit !== true;
      const lines: string[] = [];
      const demonstration = await context.engine.demo(
        options,
        (line) => {
          if (output.json) output.note(line);
          else context.streams.stdout.write(`${line}\n`);
          lines.push(line);
        },
        context.interrupted,
      );
      const { server, facts, jobId } = demonstration;
      const token =
        server.bootstrapToken === undefined
          ? []
          : ['', `Administrator token, shown this once: ${server.bootstrapToken}`];
      try {
        output.result(
          { ...facts, address: server.address, bootstrapToken: server.bootstrapToken },
          [
            ...token,
            nextCommands(options.dataDir, server.address, jobId),
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
