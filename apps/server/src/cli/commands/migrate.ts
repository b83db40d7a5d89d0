import { createCommand, type RegisterCommand, runCommand } from '../command.ts';

export const registerMigrate: RegisterCommand = (program, context) => {
  const command = createCommand('migrate', 'bring the database and every case to the schema of this version');
  command.option('--dry-run', 'list what would be applied and change nothing');
  command.action(() =>
    runCommand(command, context, async ({ options, output }) => {
      const dryRun = command.opts<{ dryRun?: boolean }>().dryRun === true;
      const report = await context.engine.migrate(options, dryRun);
      const text = dryRun
        ? report.pending.length === 0
          ? 'Nothing to apply.'
          : `Would apply: ${report.pending.join(', ')}`
        : `${report.applied.length === 0 ? 'The database was up to date.' : `Applied: ${report.applied.join(', ')}.`} Migration ${report.version}; cases migrated: ${report.casesMigrated}.`;
      output.result(report, text);
    }),
  );
  program.addCommand(command);
};
