import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { mergeImages } from '@casebound/pdf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CliContext } from '../command.ts';
import { runCli } from '../program.ts';

/** A PNG of one white pixel. */
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP6DwABBQECz6AuzQAAAABJRU5ErkJggg==',
  'base64',
);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'casebound-pdf-cli-'));
});
afterEach(() => rm(folder, { recursive: true }));

const run = async (...argv: string[]): Promise<{ code: number; out: string; err: string }> => {
  let code = 0;
  let out = '';
  let err = '';
  const unused = (): never => {
    throw new Error('the pdf commands need no server');
  };
  const context: CliContext = {
    engine: {
      version: '0',
      createMetrics: unused,
      demo: unused,
      up: unused,
      connect: unused,
      migrate: unused,
      configuration: unused,
      doctor: unused,
    },
    streams: { stdout: { write: (text) => (out += text) }, stderr: { write: (text) => (err += text) } },
    env: {},
    cwd: folder,
    setExitCode: (value) => (code = value),
    interrupted: new AbortController().signal,
  };
  await runCli(['pdf', ...argv], context);
  return { code, out, err };
};

const redaction = (pageIndex: number): string =>
  JSON.stringify({
    annotations: [{ id: 'r', type: 'pspdfkit/markup/redaction', pageIndex, rects: [[100, 100, 200, 50]] }],
  });

describe('casebound pdf', () => {
  it('stamps, reads, redacts and verifies a file', async () => {
    await writeFile(path.join(folder, 'in.pdf'), mergeImages([png]));
    await writeFile(path.join(folder, 'r.json'), redaction(0));
    expect((await run('stamp', 'in.pdf', '--text', 'ACME{number}', '-o', 'stamped.pdf')).code).toBe(0);
    expect((await run('text', 'stamped.pdf')).out).toContain('ACME000001');
    const redacted = await run(
      'redact',
      'stamped.pdf',
      '--annotations',
      'r.json',
      '--search',
      'ACME000001',
      '-o',
      'out.pdf',
      '--json',
    );
    expect(JSON.parse(redacted.out)).toMatchObject({ pages: 1, verification: { verified: true } });
    expect((await run('text', 'out.pdf')).out).not.toContain('ACME');
    expect((await run('verify', 'out.pdf', '--annotations', 'r.json', '--original', 'stamped.pdf')).code).toBe(0);
    expect((await run('render', 'out.pdf', '-o', 'page.png')).code).toBe(0);
    expect((await readFile(path.join(folder, 'page.png'))).subarray(1, 4).toString()).toBe('PNG');
    expect(JSON.parse((await run('info', 'out.pdf', '--json')).out)).toMatchObject({ encrypted: false });
  });

  it('ends with 47 where something is left under a redaction', async () => {
    await writeFile(path.join(folder, 'in.pdf'), mergeImages([png]));
    expect((await run('stamp', 'in.pdf', '--text', 'ACME', '-o', 'stamped.pdf', '--position', 'top-left')).code).toBe(
      0,
    );
    await writeFile(path.join(folder, 'r.json'), redaction(0).replace('[100,100,200,50]', '[10,10,200,50]'));
    const failed = await run('verify', 'stamped.pdf', '--annotations', 'r.json');
    expect(failed.code).toBe(47);
    expect(failed.err).toContain('text_under_redaction');
    expect(failed.err).not.toContain('ACME');
  });

  it('leaves nothing behind when it fails', async () => {
    await writeFile(path.join(folder, 'in.pdf'), mergeImages([png]));
    await writeFile(path.join(folder, 'r.json'), redaction(7));
    expect((await run('redact', 'in.pdf', '--annotations', 'r.json', '-o', 'out.pdf')).code).toBe(2);
    await writeFile(path.join(folder, 'broken.pdf'), '%PDF-1.7 nothing');
    expect((await run('info', 'broken.pdf', '--json')).code).toBe(40);
    expect((await readdir(folder)).toSorted()).toEqual(['broken.pdf', 'in.pdf', 'r.json']);
  });
});
