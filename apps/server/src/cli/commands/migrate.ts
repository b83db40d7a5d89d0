import { CaseboundError } from '@casebound/contract';
import { createCommand, type RegisterCommand, runCommand } from '../command.ts';

export const registerMigrate: RegisterCommand = (program, context) => {
  const command = createCommand('migrate', 'bring the database and every case to the schema of this version');
  command.option('--dry-run', 'list what would be applied and change nothing');
  command.action(() =>
    runCommand(command, context, async ({ options, output }) => {
      const dryRun = command.opts<{ dryRun?: boolean }>().dryRun === true;
      const report = await context.engine.migrate(options, dryRun);
      const lines = dryRun
        ? [
            report.pending.length === 0 ? 'Nothing to apply.' : `Would apply: ${report.pending.join(', ')}`,
            `Cases behind: ${report.cases.pending}`,
          ]
        : [
            report.applied.length === 0 ? 'The database was up to date.' : `Applied: ${report.applied.join(', ')}`,
            `Migration ${report.version}; cases migrated: ${report.cases.migrated}, still behind: ${report.cases.pending}`,
          ];
      output.result(report, lines.join('\n'));
      const [first] = report.cases.failed;
      if (first !== undefined) {
        throw new CaseboundError(
          'migration_failed',
          `${report.cases.failed.length} cases could not be migrated; the first is case ${first.caseId}: ${first.detail}`,
        );
      }
    }),
  );
  program.addCommand(command);
};
