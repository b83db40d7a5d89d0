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

  /** A page of 400 x 300 with a line of text, and whatever is drawn over it. */
  const pageWith = (over: string): Buffer => {
    const content = `BT /F1 14 Tf 60 200 Td (Pay the SECRET amount) Tj ET\n${over}`;
    return Buffer.from(
      `%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>endobj\n4 0 obj<</Length ${content.length}>>stream\n${content}\nendstream endobj\n5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n`,
      'latin1',
    );
  };
  const secret = { id: 'secret', type: 'pspdfkit/markup/redaction', pageIndex: 0, rects: [[110, 86, 59, 18]] };

  it('is not deceived by a black box over the text', async () => {
    await writeFile(path.join(folder, 'cheat.pdf'), pageWith('0 g 110 196 59 18 re f'));
    await writeFile(path.join(folder, 'r.json'), JSON.stringify({ annotations: [secret] }));
    const caught = await run('verify', 'cheat.pdf', '--annotations', 'r.json');
    expect(caught.code).toBe(47);
    expect(caught.err).toMatch(/FAILED page 1 {2}redaction secret: something is left under it/);
    expect(caught.err).toContain('text_under_redaction');
    const json = await run('verify', 'cheat.pdf', '--annotations', 'r.json', '--json');
    expect(json.code).toBe(47);
    expect(JSON.parse(json.out)).toMatchObject({ verified: false, annotations: [{ found: 'leaked' }] });
    expect(`${caught.err}${json.out}`).not.toContain('SECRET');
  });

  it('says for each annotation what is found of it', async () => {
    await writeFile(path.join(folder, 'in.pdf'), pageWith(''));
    const common = { v: 2, pageIndex: 0 };
    const annotations = [
      secret,
      { ...common, id: 'high', type: 'pspdfkit/markup/highlight', rects: [[60, 150, 100, 12]] },
      { ...common, id: 'note', type: 'pspdfkit/note', bbox: [300, 20, 24, 24], text: 'look' },
      {
        ...common,
        id: 'bates',
        type: 'pspdfkit/text',
        bbox: [250, 270, 140, 20],
        text: 'ACME000001',
        customData: { type: 'bates_stamp' },
      },
    ];
    await writeFile(path.join(folder, 'a.json'), JSON.stringify({ annotations }));
    await writeFile(path.join(folder, 'most.json'), JSON.stringify({ annotations: annotations.toSpliced(2, 1) }));
    expect((await run('redact', 'in.pdf', '--annotations', 'most.json', '-o', 'out.pdf')).code).toBe(0);
    const verified = await run('verify', 'out.pdf', '--annotations', 'a.json', '--original', 'in.pdf', '--json');
    expect(verified.code).toBe(0);
    const report: { annotations: { found: string }[] } = JSON.parse(verified.out);
    expect(report.annotations.map(({ found }) => found)).toEqual(['removed', 'layered', 'absent', 'drawn']);
    expect((await run('annotate', 'in.pdf', '--annotations', 'a.json', '-o', 'marked.pdf')).code).toBe(0);
    const marked = await run('verify', 'marked.pdf', '--annotations', 'a.json', '--json');
    expect(marked.code).toBe(47);
    const marks: { annotations: { found: string }[] } = JSON.parse(marked.out);
    expect(marks.annotations[0]?.found).toBe('mark');
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
