/**
 * One PostgreSQL for a test run, in a temporary folder of the run's own: several runs at once do not meet.
 *
 * It gives up durability for speed. It ends with the run: by teardown, else because the postmaster dies with this process;
 * folders that a killed run left behind are removed by the next one.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import type { ProvidedPostgres } from '@casebound/test-kit';
import { dataFolderPaths, findHolder, startEmbedded } from '../apps/server/src/database/embedded/index.ts';

const prefix = 'casebound-run-';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeAbandoned();
  const dataDir = await mkdtemp(path.join(tmpdir(), prefix));
  const server = await startEmbedded({
    dataDir,
    command: 'test run',
    durable: false,
    maxConnections: 500,
    settings: { wal_level: 'minimal', max_wal_senders: '0', autovacuum_naptime: '1d' },
  });
  const removeAtExit = (): void => {
    rmSync(dataDir, { recursive: true, force: true });
  };
  process.once('exit', removeAtExit);
  const provided: ProvidedPostgres = {
    host: server.target.host,
    port: server.target.port,
    application: { user: server.target.user, password: server.target.password },
    superuser: { user: server.superuserTarget.user, password: server.superuserTarget.password },
  };
  project.provide('postgres', provided);
  return async () => {
    await server.stop();
    process.off('exit', removeAtExit);
    await rm(dataDir, { recursive: true, force: true });
  };
}

async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = path.join(tmpdir(), name);
    // A run that is just starting has no lock yet, but neither has it a cluster.
    const abandoned = await isAbandoned(folder);
    if (abandoned) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isAbandoned(folder: string): Promise<boolean> {
  try {
    const { root } = dataFolderPaths(folder);
    const entries = await readdir(root);
    return entries.includes('postgres') && (await findHolder(root)) === undefined;
  } catch {
    return false; // Another user's run, or one that is being removed.
  }
}
