/** Figures of the connection pool and of transactions. */
import type { Databases } from '../database/index.ts';
import type { Metrics } from '../platform/metrics/Port.ts';

export const observeDatabases = (metrics: Metrics, databases: Databases): void => {
  metrics.gauge({
    name: 'casebound_database_connections',
    help: 'Connections to PostgreSQL by state; waiting: requests in line for one.',
    labels: ['state'],
    collect: (gauge) => {
      const { open, inUse, waiting } = databases.statistics();
      gauge.set({ state: 'in_use' }, inUse);
      gauge.set({ state: 'unused' }, open - inUse);
      gauge.set({ state: 'waiting' }, waiting);
    },
  });
  metrics.gauge({
    name: 'casebound_database_transactions',
    help: 'Transactions since the process started by what became of them: begun, repeated after a conflict, repeated on a new connection.',
    labels: ['event'],
    collect: (gauge) => {
      const { transactions, conflicts, reconnects } = databases.statistics();
      gauge.set({ event: 'begun' }, transactions);
      gauge.set({ event: 'conflict' }, conflicts);
      gauge.set({ event: 'reconnect' }, reconnects);
    },
  });
};
