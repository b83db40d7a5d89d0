import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

// Each command is a process of its own, which starts while others compute.
vi.setConfig({ testTimeout: 120_000 });

const binary = fileURLToPath(new URL('../../../bin/casebound.js', import.meta.url));

describe('casebound sample create', () => {
  let folder = '';
  let tries = 0;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'casebound-sample-cli-'));
    run(['reference', '--documents', '60', '--fields', '5']);
  }, 60_000);
  beforeEach(() => {
    tries += 1;
  });
  /** A name that no other try has. */
  const fresh = (name: string): string => `${name}${tries}`;
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [binary, 'sample', 'create', ...args], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, ...env },
    });
    return { status, stdout, stderr };
  };

  it('tells people what it made', () => {
    const a = fresh('a');
    const { status, stdout } = run([a, '--documents', '60', '--fields', '5']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Sample of 60 documents in \d+ families/u);
    expect(stdout).toContain('Load file    MERIDIAN.dat');
    expect(stdout).toMatch(/Flaws {8}(?:\w+, ){3}\w+\n/u);
    expect(existsSync(path.join(folder, a, '.incomplete'))).toBe(false);
  });

  it('tells programs with --json, and makes the same bytes in another time zone and language', () => {
    const b = fresh('b');
    const { status, stdout } = run([b, '--documents', '60', '--fields', '5', '--json'], {
      TZ: 'Pacific/Chatham',
      LANG: 'tr_TR.UTF-8',
    });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ documents: 60, fields: 5, seed: '1', folder: path.join(folder, b) });
    for (const name of ['MERIDIAN.dat', 'MERIDIAN.opt', 'TRUTH.jsonl'])
      expect(readFileSync(path.join(folder, b, name))).toEqual(readFileSync(path.join(folder, 'reference', name)));
  });

  it('says what is wrong with the command', () => {
    expect(run(['reference'])).toMatchObject({ status: 2, stdout: '' });
    expect(run(['reference']).stderr).toContain('is not empty');
    expect(run(['c', '--documents', 'many']).stderr).toContain('--documents is a whole number');
    const both = run(['c', '--mail-only', '--load-file-only', '--json']);
    expect(both.status).toBe(2);
    expect(JSON.parse(both.stdout)).toMatchObject({ error: { code: 'validation_failed' } });
    expect(existsSync(path.join(folder, 'c'))).toBe(false);
  });

  it('leaves its marker when it is killed, and starts anew with --force', async () => {
    const killed = path.join(folder, fresh('killed'));
    const child = spawn(process.execPath, [binary, 'sample', 'create', killed, '--documents', '100000'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await once(child.stderr, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(existsSync(path.join(killed, '.incomplete'))).toBe(true);
    expect(existsSync(path.join(killed, 'VOL001', 'NATIVES', '001', 'MH00000001.eml'))).toBe(true);
    expect(run([killed, '--documents', '60', '--fields', '5']).stderr).toContain('was not finished');
    expect(run([killed, '--documents', '60', '--fields', '5', '--force']).status).toBe(0);
    expect(existsSync(path.join(killed, '.incomplete'))).toBe(false);
    expect(readFileSync(path.join(killed, 'MERIDIAN.dat'))).toEqual(
      readFileSync(path.join(folder, 'reference', 'MERIDIAN.dat')),
    );
  });

  it('replaces, spoils nothing, and writes mail or rows alone', () => {
    const [c, d, e] = [fresh('c'), fresh('d'), fresh('e')];
    expect(run([c, '--documents', '5']).status).toBe(0);
    expect(run([c, '--documents', '60', '--no-flaws', '--force', '--json']).stdout).toContain('"flaws": []');
    expect(run([d, '--documents', '5', '--mail-only']).status).toBe(0);
    expect(existsSync(path.join(folder, d, 'MERIDIAN.mbox'))).toBe(true);
    expect(run([e, '--documents', '5', '--load-file-only', '--zip']).status).toBe(0);
    expect(existsSync(path.join(folder, e, 'MERIDIAN.zip'))).toBe(true);
  });
});
