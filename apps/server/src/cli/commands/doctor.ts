import { createCommand, type RegisterCommand, runCommand } from '../command.ts';

const SIGNS = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ' } as const;

export const registerDoctor: RegisterCommand = (program, context) => {
  const command = createCommand(
    'doctor',
    'check Node, disk, ports, database, object store, secrets and clock, and say what to do',
  );
  command.action(() =>
    runCommand(command, context, async ({ options, output }) => {
      const checks = await context.engine.doctor(options);
      const failed = checks.filter((check) => check.state === 'failed').length;
      const width = Math.max(...checks.map((check) => check.name.length));
      const lines = checks.flatMap((check) => [
        `${SIGNS[check.state]} ${check.name.padEnd(width)}  ${check.found}`,
        ...(check.remedy === '' ? [] : [`${' '.repeat(SIGNS.ok.length + width + 3)}${check.remedy}`]),
      ]);
      const summary =
        failed === 0 ? 'Everything that was checked works.' : `${failed} of ${checks.length} checks failed.`;
      output.result({ ok: failed === 0, checks }, [...lines, '', summary].join('\n'));
      if (failed > 0) context.setExitCode(1);
    }),
  );
  program.addCommand(command);
};
