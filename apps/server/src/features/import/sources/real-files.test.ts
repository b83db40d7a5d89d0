/** Real files: a production of samples, and mailboxes of Outlook. Where they are not at hand, the tests are skipped and say so. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { expect, test } from 'vitest';
import { extractText } from '../text/extract-text.ts';
import { openImportRoot } from './open-import-root.ts';
import type { ContentItem, ExtractedText } from './source-model.ts';
import { buildZip } from './testing/build-zip.ts';
import { expandAll, expandFiles } from './testing/expand-files.ts';

const samples = process.env['CASEBOUND_SAMPLES'] ?? path.resolve('..', 'shared', 'data', 'relativity-samples');
const mailboxes = path.resolve(
  path.dirname(createRequire(import.meta.url).resolve('pst-extractor/package.json')),
  'example',
  'testdata',
);

test.skipIf(!existsSync(samples))('a production of samples is read whole, each file as what it is', async () => {
  await using root = await openImportRoot(samples, { libreOffice: null });
  const texts = new Map<string, ExtractedText>();
  const { items, problems } = await expandAll(root, async (item) => {
    texts.set(item.fileName, await extractText(item, root.workspace));
  });
  expect(items.every(({ failure }) => failure === undefined)).toBe(true);
  expect(problems.map(({ path: at, code }) => `${path.basename(at)} ${code}`)).toEqual([
    'TextAsTiffFile.tif content_mismatch',
  ]);
  const methods = Object.fromEntries([...texts].map(([name, { method }]) => [name, method]));
  expect(methods).toMatchObject({
    'EDRM-Sample1.pdf': 'pdf',
    'EDRM-Sample2.doc': 'none',
    'EDRM-Sample3.xlsx': 'office',
    'EDRM-Sample4.msg': 'mail',
    'EDRM-Sample5.htm': 'html',
    'EDRM-Sample7.ppt': 'none',
    'EDRM-Sample8.png': 'image',
    'EDRM-Sample9.txt': 'plain',
    'EDRM-Sample10.wmf': 'none',
    'SYM-00011001_REV.tif': 'image',
    'TextAsTiffFile.tif': 'plain',
  });
  expect(texts.get('EDRM-Sample3.xlsx')?.pages[0]).toContain('Creating Practical Resources');
  expect(texts.get('EDRM-Sample5.htm')?.pages[0]).toContain('Video games are addictive');
  expect(texts.get('EDRM-Sample4.msg')?.pages[0]).toContain('Received an email from you on 1/7');
  const message = items.find(({ fileName }) => fileName === 'EDRM-Sample4.msg');
  expect(message?.mail).toMatchObject({
    messageId: '<0000000031F175CBE4B30C47A5AE958595AE8B6804E22000@PMZL01>',
    to: [{ name: 'mary richards', address: 'maryrichards7@hotmail.com' }],
    sentAt: { utc: '2000-01-08T07:29:00.000Z', offsetMinutes: -480 },
  });
});

test.skipIf(!existsSync(mailboxes))(
  'mailboxes of Outlook are walked, folder by folder, with all attachments',
  async () => {
    await using root = await openImportRoot(mailboxes);
    const read = async (): Promise<{
      items: ContentItem[];
      messages: number;
      attachments: number;
      codes: string[];
    }> => {
      const { items, problems } = await expandAll(root);
      return {
        items,
        messages: items.filter(({ kind }) => kind === 'message').length,
        attachments: items.filter(({ attachment }) => attachment !== null).length,
        codes: [...new Set(problems.map(({ code }) => code))],
      };
    };
    const first = await read();
    expect(new Set(first.items.map(({ path: at }) => at)).size).toBe(first.items.length);
    expect(first.items.filter(({ kind }) => kind === 'container').map(({ path: at }) => at)).toEqual([
      'enron.pst',
      'pstextractortest@outlook.com.ost',
      'pstextractortestpdf@outlook.com.ost',
    ]);
    expect(first.messages).toBeGreaterThan(50);
    expect(first.attachments).toBeGreaterThan(20);
    expect(first.codes.toSorted()).toEqual(['content_mismatch']);
    // A rebuilt message is the same in every run, and is mail by its own bytes.
    const second = await read();
    expect(second.items.map((item) => item.path)).toEqual(first.items.map((item) => item.path));
  },
);

test.skipIf(!existsSync(mailboxes))(
  'a mailbox within a zip is read as well; one that is encrypted or cut short is told',
  async () => {
    const mailbox = await readFile(path.join(mailboxes, 'pstextractortestpdf@outlook.com.ost'));
    const encrypted = Buffer.from(mailbox);
    encrypted[513] = 2;
    const files = {
      'box.zip': buildZip([{ name: 'a.ost', content: mailbox }]),
      'locked.ost': encrypted,
      'cut.ost': mailbox.subarray(0, mailbox.length >> 2),
    };
    const { items, problems } = await expandFiles(files);
    expect(
      items.filter(({ path: at, kind }) => at.startsWith('box.zip/a.ost/') && kind === 'message').length,
    ).toBeGreaterThan(100);
    expect(problems.filter(({ path: at }) => at === 'locked.ost').map(({ code }) => code)).toEqual(['encrypted']);
    expect(problems.filter(({ path: at }) => at.startsWith('cut.ost')).length).toBeGreaterThan(0);
    expect(items.map(({ path: at }) => at)).toEqual(expect.arrayContaining(['cut.ost', 'locked.ost']));
  },
  60_000,
);
