/** The README's first tour, word by word, against the real command in an empty folder. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type SpawnedScript, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runCasebound, runJson, startCasebound } from './run-casebound.ts';

// Each command is a process of its own, which starts while others compute.
vi.setConfig({ testTimeout: 120_000 });

let folder: TemporaryFolder;
let data: string;
/** Names of the cases that were made here. */
const names: string[] = [];

beforeAll(async () => {
  folder = await createTemporaryFolder();
  data = path.join(folder.path, 'data');
});
afterAll(async () => folder.remove());

describe('with a running server', () => {
  let server: SpawnedScript;
  let address: string;
  let token: string;

  beforeAll(async () => {
    server = startCasebound(['up', '--data', data, '--port', '0'], { timeoutMs: 120_000 });
    address = /http:\/\/\S+/.exec(await server.waitForLine(/^ {2}address/, 60_000))?.[0] ?? '';
    token = /cb_\S+/.exec(await server.waitForLine(/cb_/))?.[0] ?? '';
  });
  afterAll(async () => {
    server.signal('SIGTERM');
    const { exitCode, stderr } = await server.ended;
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain('Stopped.');
  });

  test('requests need the token, except health', async () => {
    expect((await fetch(`${address}/health/live`)).status).toBe(200);
    expect((await fetch(`${address}/health/ready`)).status).toBe(200);
    for (const address_ of ['/v1/cases', '/metrics', '/docs', '/openapi.json', '/nowhere']) {
      expect((await fetch(address + address_)).status, address_).toBe(401);
    }
    const headers = { authorization: `Bearer ${token}` };
    for (const address_ of ['/v1/cases', '/metrics', '/docs', '/openapi.json', '/v1/status']) {
      expect((await fetch(address + address_, { headers })).status, address_).toBe(200);
    }
  });

  test('commands find the server; a name that is taken is a conflict with its own exit code', async () => {
    const name = `Meridian v. Halcyon ${randomUUID()}`;
    const created = await runJson(['case', 'create', name, '--data', data]);
    expect(created.exitCode, created.stderr).toBe(0);
    expect(created.document).toMatchObject({ name, state: 'active' });
    names.push(name);

    const again = await runCasebound(['case', 'create', name.toUpperCase(), '--data', data]);
    expect(again.exitCode).toBe(4);
    expect(again.stderr).toMatch(/case_name_taken/);
    expect(again.stdout).toBe('');

    const status = await runJson(['status', '--data', data]);
    expect(status.document).toMatchObject({ via: address, cases: { active: names.length } });
  });

  test('a second server on the folder is refused and told who holds it', async () => {
    const second = await runCasebound(['up', '--data', data, '--port', '0']);
    expect(second.exitCode).toBe(15);
    expect(second.stderr).toContain(String(server.pid));
  });

  test('a busy port is one clear sentence, and nothing is half made', async () => {
    const other = path.join(folder.path, 'other');
    const second = await runCasebound(['up', '--data', other, '--port', new URL(address).port]);
    expect(second.exitCode).toBe(14);
    expect(second.stderr).toMatch(/port_in_use/);
    expect(existsSync(other)).toBe(false);
  });

  test('doctor finds everything in order', async () => {
    const { exitCode, document, stdout } = await runJson(['doctor', '--data', data]);
    expect(exitCode, stdout).toBe(0);
    expect(document).toMatchObject({ ok: true });
  });
});

describe('without a server', () => {
  test('a command starts what it needs and sees the same cases', async () => {
    const listed = await runJson(['case', 'list', '--data', data]);
    expect(listed.exitCode, listed.stderr).toBe(0);
    expect(listed.document).toMatchObject({ total: names.length, cases: names.map((name) => ({ name })) });
  });

  test('delete says what it would do, then does it', async () => {
    const name = `Halcyon v. Meridian ${randomUUID()}`;
    await runJson(['case', 'create', name, '--data', data]);
    const dry = await runJson(['case', 'delete', name, '--data', data]);
    expect(dry.document).toHaveProperty('wouldDelete.name', name);
    const done = await runJson(['case', 'delete', name, '--yes', '--data', data]);
    expect(done.exitCode, done.stderr).toBe(0);
    const { document } = await runJson(['case', 'list', '--data', data]);
    expect((document['cases'] as { name: string }[]).map((it) => it.name)).not.toContain(name);
  });

  test('what holds secrets is readable by its owner alone', async () => {
    expect((await stat(path.join(data, 'secrets'))).mode & 0o077).toBe(0);
  });

  test('two commands at a time: the second waits for the first', async () => {
    const timed = async (...args: string[]) => {
      const began = performance.now();
      const end = await runJson([...args, '--data', data], { timeoutMs: 100_000 });
      return { ...end, milliseconds: performance.now() - began };
    };
    const both = await Promise.all([timed('status'), timed('case', 'list')]);
    // The second waits for ten seconds: on a machine on which the first takes longer, it is told who holds the folder.
    const slow = both.find(({ exitCode }) => exitCode === 15);
    if (slow !== undefined) expect(slow.milliseconds).toBeGreaterThan(10_000);
    expect(
      both.filter((one) => one !== slow).map((one) => one.exitCode),
      both.map((one) => one.stdout).join('\n'),
    ).toEqual(slow === undefined ? [0, 0] : [0]);
  });
});

describe('usage', () => {
  const commands = [
    [],
    ['up'],
    ['status'],
    ['case'],
    ['case', 'create'],
    ['config', 'print'],
    ['migrate'],
    ['doctor'],
    ['demo'],
  ];

  test.each(commands.map((command) => [command.join(' '), command] as const))(
    'casebound %s --help',
    async (_name, command) => {
      const { exitCode, stdout } = await runCasebound([...command, '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/Usage: casebound/);
    },
  );

  test('an unknown command is wrong usage', async () => {
    const { exitCode, stderr } = await runCasebound(['frobnicate']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('frobnicate');
  });

  test('config print shows origins and masks secrets', async () => {
    const { stdout, exitCode } = await runCasebound(['config', 'print', '--data', data, '--set', 'http.port=4999'], {
      env: { CASEBOUND_LOG_LEVEL: 'warn' },
    });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/http\.port = 4999 .*--set/);
    expect(stdout).toMatch(/log\.level = warn .*CASEBOUND_LOG_LEVEL/);
    expect(stdout).toMatch(/http\.host = 127\.0\.0\.1 .*default/);
  });
});

test('with --json wrong usage is one document, too', async () => {
  const { exitCode, document } = await runJson(['case', 'create']);
  expect(exitCode).toBe(2);
  expect(document).toHaveProperty('error.code', 'validation_failed');
});

test('the documents name scripts that exist', async () => {
  const { scripts } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  for (const name of ['README.md', 'CONTRIBUTING.md']) {
    const text = await readFile(new URL(`../../${name}`, import.meta.url), 'utf8');
    const mentioned = [...text.matchAll(/npm run ([a-z-]+)/g)].map(([, script]) => script ?? '');
    expect(mentioned.length).toBeGreaterThan(0);
    for (const script of mentioned) expect(scripts, `${name}: npm run ${script}`).toHaveProperty(script);
  }
});

test('the documents name the commands that exist', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const { stdout } = await runCasebound(['--help']);
  const mentioned = [...readme.matchAll(/npx casebound ([a-z]+)/g)].map(([, name]) => name ?? '');
  expect(mentioned.length).toBeGreaterThan(5);
  for (const name of mentioned) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
});
