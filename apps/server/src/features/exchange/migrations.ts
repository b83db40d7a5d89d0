/** Tables of exchanges: the jobs in the control database, the ledger in every case. */
import { fileURLToPath } from 'node:url';
import type { MigrationFolder } from '../../database/index.ts';

const folder = (name: string): string => fileURLToPath(new URL(`${name}/`, import.meta.url));

export const exchangeControlMigrations: MigrationFolder = { set: 'exchange', folder: folder('control-migrations') };
export const exchangeCaseMigrations: MigrationFolder = { set: 'exchange', folder: folder('case-migrations') };
