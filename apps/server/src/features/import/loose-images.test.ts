import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drawPage } from '../../platform/ocr/testing/draw-page.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, type TestImport } from './testing/open-test-import.ts';

let imports: TestImport;
let folder: TemporaryFolder;
beforeAll(async () => {
  imports = await openTestImport();
  folder = await createTemporaryFolder();
});
afterAll(async () => {
  await imports[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

interface Described {
  readonly exhibit: { readonly pages?: readonly { readonly textSource: string }[] };
  readonly document: {
    readonly fileName: string;
    readonly pageCount?: number;
    readonly variants?: readonly { readonly type: string; readonly text?: string }[];
  };
}

const source = async (files: Readonly<Record<string, string | Buffer>>): Promise<string> => {
  const root = path.join(folder.path, crypto.randomUUID());
  await mkdir(root);
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(root, name), content);
  return root;
};

const bring = async (files: Readonly<Record<string, string | Buffer>>, ocr: 'auto' | 'off') => {
  const caseId = await imports.makeCase('images');
  const job = await imports.import(caseId, { path: await source(files), ocr });
  const described = await describeCase(imports, caseId);
  const found = Object.values(described.exhibits as Record<string, Described>);
  const byName = new Map(found.map((it) => [it.document.fileName, it]));
  const problems = await imports.problems(caseId, job.jobId);
  return { job, byName, problems: problems.map(({ code, path: at, severity }) => [code, at, severity]) };
};

const typesOf = (it: Described | undefined): readonly string[] =>
  (it?.document.variants ?? []).map(({ type }) => type).sort();

test('an image that is a document becomes a PDF whose text is recognised, also where it came with a message', async () => {
  const page = Buffer.from(await drawPage(['The cargo never left', 'the harbour of Bremen']));
  const mail = [
    'From: a@example.com',
    'Subject: scan',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'See the scan.',
    '--b',
    'Content-Type: image/png; name=attached.png',
    'Content-Disposition: attachment; filename=attached.png',
    'Content-Transfer-Encoding: base64',
    '',
    page.toString('base64').replaceAll(/(.{76})/g, '$1\r\n'),
    '--b--',
    '',
  ].join('\r\n');
  const { job, byName, problems } = await bring({ 'scan.png': page, 'mail.eml': mail }, 'auto');
  expect(problems).toEqual([]);
  expect(job.state).toBe('finished');
  for (const name of ['scan.png', 'attached.png']) {
    const it = byName.get(name);
    expect(typesOf(it)).toEqual(['native', 'pdf', 'text']);
    expect(it?.document.pageCount).toBe(1);
    expect(it?.exhibit.pages).toMatchObject([{ textSource: 'ocr' }]);
  }
  expect(typesOf(byName.get('mail.eml'))).toEqual(['native', 'text']);
});

test('an image that cannot be read, and one of a kind that makes no pages, are told and come in as natives', async () => {
  const page = Buffer.from(await drawPage(['whole']));
  const { job, byName, problems } = await bring(
    {
      'cut.png': page.subarray(0, 200),
      'moving.gif': Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'),
      'nothing.png': '',
      'whole.png': page,
    },
    'off',
  );
  expect(job.counts).toMatchObject({ rows: 4, imported: 4, rejected: 0 });
  expect(problems.toSorted(([a], [b]) => String(a).localeCompare(String(b)))).toEqual([
    ['empty', 'nothing.png', 'warning'],
    ['empty_native', 'nothing.png', 'warning'],
    ['image_unreadable', 'cut.png', 'error'],
    ['no_extractor', 'moving.gif', 'warning'],
  ]);
  expect(['cut.png', 'moving.gif', 'nothing.png', 'whole.png'].map((name) => typesOf(byName.get(name)))).toEqual([
    ['native'],
    ['native'],
    ['native'],
    ['native', 'pdf'],
  ]);
});
