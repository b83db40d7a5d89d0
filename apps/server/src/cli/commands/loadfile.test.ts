import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const binary = fileURLToPath(new URL('../../../bin/casebound.js', import.meta.url));

describe('casebound loadfile inspect', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'casebound-loadfile-'));
    const rows = ['BEGDOC', 'CUSTODIAN'].join('þ\u0014þ');
    writeFileSync(path.join(folder, 'a.dat'), Buffer.from(`þ${rows}þ\r\nþA1þ\u0014þJosé Doeþ\r\nþA2þ\r\n`, 'latin1'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [binary, 'loadfile', 'inspect', ...args], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status, stdout, stderr };
  };

  it('tells people what is in a file, without a server', () => {
    const { status, stdout } = run('a.dat');
    expect(status).toBe(0);
    expect(stdout).toContain('Format     Concordance DAT');
    expect(stdout).toContain('Encoding   windows-1252');
    expect(stdout).toContain('Rows       2, 1 of them rejected');
    expect(stdout).toContain('error at line 3: too_few_cells: The row has 1 cells; 2 are expected. [A2]');
  });

  it('tells programs with --json, and ends with 1 for a rejected row with --strict', () => {
    const { status, stdout } = run('a.dat', '--json', '--strict', '--delimiter', '20', '--qualifier', 'U+00FE');
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      file: path.join(folder, 'a.dat'),
      rows: 2,
      rejected: 1,
      delimited: {
        dialect: { column: '\u0014', qualifier: 'þ' },
        columns: [{ name: 'BEGDOC' }, { samples: ['José Doe'] }],
      },
    });
  });

  it('says what is wrong with the command', () => {
    expect(run('missing.dat')).toMatchObject({ status: 2, stdout: '' });
    expect(run('a.dat', '--encoding', 'klingon').stderr).toContain('klingon');
    expect(run('a.dat', '--delimiter', 'abc').stderr).toContain('--delimiter');
  });
});
