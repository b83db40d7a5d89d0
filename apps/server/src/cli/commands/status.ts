import { createCommand, type RegisterCommand, withConnection } from '../command.ts';
import type { Status } from '@casebound/contract';

const describeStatus = (status: Status, via: string): string =>
  [
    `Casebound ${status.version}, ${via === 'in-process' ? 'no server is running (answered in process)' : `server at ${via}, role ${status.role}, process ${status.pid}`}`,
    `up          ${Math.round(status.uptimeSeconds)} s, since ${status.startedAt}`,
    `database    PostgreSQL ${status.database.serverVersion} (${status.database.kind}), migration ${status.database.migration}`,
    `objects     ${status.objectStore.kind}`,
    `cases       ${status.cases.active} active, ${status.cases.archived} archived, ${status.cases.creating} being created, ${status.cases.deleting} being deleted`,
  ].join('\n');

export const registerStatus: RegisterCommand = (program, context) => {
  const command = createCommand('status', 'show version, database, object store and number of cases');
  command.action(() =>
    withConnection(command, context, async ({ connection, output }) => {
      const status = await connection.client.getStatus({});
      output.result({ ...status, via: connection.via }, describeStatus(status, connection.via));
    }),
  );
  program.addCommand(command);
};
