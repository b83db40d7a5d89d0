import { Command } from 'commander';
import { createCommand, type RegisterCommand, runCommand } from '../command.ts';

export const registerConfig: RegisterCommand = (program, context) => {
  const group = new Command('config').description('the effective configuration');
  const print = createCommand('print', 'show every setting with its value and where it comes from; secrets are masked');
  print.action(() =>
    runCommand(print, context, async ({ options, output }) => {
      const report = await context.engine.configuration(options);
      output.result({ settings: report.entries }, report.text);
    }),
  );
  program.addCommand(group.addCommand(print));
};
