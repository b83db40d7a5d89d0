/**
 * A process that does one thing to cases and may be made to die in it (`CASEBOUND_CRASH_AT`):
 * `act-on-case.ts create NAME | delete ID | migrate`. The database is in the environment.
 */
import { CaseId } from '@casebound/contract';
import { z } from 'zod';
import { openDatabases, startEmbedded } from '../../../database/index.ts';
import { testOptions } from '../../../database/testing/open-test-databases.ts';
import { createCrashPoints } from '../../../platform/crash-points/create-crash-points.ts';
import { createCase } from '../create-case.ts';
import { deleteCase } from '../delete-case.ts';
import { migrateCases } from '../migrate-cases.ts';
import { reconcileCases } from '../reconcile-cases.ts';
import { caseDependencies, exampleMigrations, exampleProvisioner, systemActor } from './case-dependencies.ts';

const Target = z.object({
  host: z.string(),
  port: z.number(),
  user: z.string(),
  password: z.string(),
  database: z.string(),
});

const [action, subject = ''] = process.argv.slice(2);
const dataDir = process.env['TEST_DATA_DIR'];
const server = dataDir === undefined ? undefined : await startEmbedded({ dataDir });
const target = server?.target ?? Target.parse(JSON.parse(process.env['TEST_TARGET'] ?? ''));
const crashPoint = createCrashPoints(process.env);
const databases = await openDatabases(testOptions(target, { crashPoint }));
const migrations = process.env['TEST_MIGRATIONS'] ?? '';
const cases = caseDependencies(databases, {
  crashPoint,
  provisioners: [exampleProvisioner],
  caseMigrations: exampleMigrations(Number(migrations)),
});
if (server !== undefined) {
  await databases.migrate();
  process.stdout.write(`reconciled ${JSON.stringify(await reconcileCases(cases))}\n`);
}
process.stdout.write('acting\n');
switch (action) {
  case 'create':
    process.stdout.write(`created ${(await createCase(cases, systemActor, { name: subject })).caseId}\n`);
    break;
  case 'delete':
    await deleteCase(cases, systemActor, CaseId.parse(Number(subject)));
    break;
  case 'migrate':
    process.stdout.write(`migrated ${await migrateCases(cases)}\n`);
    break;
  case 'nothing':
    break;
  default:
    throw new Error(`unknown action ${String(action)}`);
}
await databases.close();
await server?.stop();
process.stdout.write('done\n');
