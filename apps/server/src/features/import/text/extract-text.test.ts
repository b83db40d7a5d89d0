import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder } from '@casebound/test-kit';
import { expect, test } from 'vitest';
import { openImportRoot } from '../sources/open-import-root.ts';
import type { ExtractedText, SourceLimits } from '../sources/source-model.ts';
import type { SourceWorkspace } from '../sources/source-workspace.ts';
import { buildZip } from '../sources/testing/build-zip.ts';
import { codesOf, expandFiles } from '../sources/testing/expand-files.ts';
import { findLibreOffice } from './convert-with-libreoffice.ts';
import { extractText } from './extract-text.ts';

/** Text of each file, by name. */
const textsOf = async (
  files: Readonly<Record<string, Buffer | string>>,
  limits: Partial<SourceLimits> = {},
): Promise<Record<string, ExtractedText>> => {
  const texts: Record<string, ExtractedText> = {};
  await expandFiles(files, limits, async (item, root) => {
    texts[item.path] = await extractText(item, root.workspace);
  });
  return texts;
};

const textOf = async (
  name: string,
  content: Buffer | string,
  limits: Partial<SourceLimits> = {},
): Promise<ExtractedText> => {
  const { [name]: text } = await textsOf({ [name]: content }, limits);
  if (text === undefined) throw new Error('no item');
  return text;
};

test('plain text is read in the encoding its bytes are in', async () => {
  const texts = await textsOf({
    'utf8.txt': 'Grüße\r\naus\rWien',
    'bom.txt': Buffer.from('\uFEFFGrüße', 'utf8'),
    'latin.txt': Buffer.from('Grüße', 'latin1'),
    'utf16.txt': Buffer.from('\uFEFFGrüße', 'utf16le'),
    'utf16-bare.txt': Buffer.from('Gruesse aus Wien', 'utf16le'),
    'nul.log': 'a\0b',
    'empty.txt': '',
  });
  expect(texts['utf8.txt']).toEqual({ pages: ['Grüße\naus\nWien'], method: 'plain', problems: [] });
  expect(texts['bom.txt']?.pages).toEqual(['Grüße']);
  expect(texts['latin.txt']?.pages).toEqual(['Grüße']);
  expect(texts['utf16.txt']?.pages).toEqual(['Grüße']);
  expect(texts['empty.txt']).toEqual({ pages: [], method: 'empty', problems: [] });
});

test('text is cut at the limit, and that is told', async () => {
  const { pages, problems } = await textOf('long.txt', 'x'.repeat(10_000), { maxTextChars: 1000 });
  expect(pages[0]).toHaveLength(1000);
  expect(codesOf(problems)).toEqual(['text_truncated']);
});

test('HTML is text without markup, scripts and addresses, in its own charset', async () => {
  const html = Buffer.from(
    '<!DOCTYPE html><html><head><meta charset="iso-8859-1"><title>T</title><style>p{}</style><script>alert(1)</script></head>' +
      '<body><h1>Grüße</h1><p>one<br>two</p><a href="http://x/y">link</a><img src="http://x/z.png">' +
      '<table><tr><td>a</td><td>b</td></tr></table></body></html>',
    'latin1',
  );
  const { pages, method, problems } = await textOf('x.html', html);
  expect(method).toBe('html');
  expect(problems).toEqual([]);
  expect(pages[0]).toContain('Grüße');
  expect(pages[0]).toContain('one\ntwo');
  expect(pages[0]).toMatch(/a +b/u);
  expect(pages[0]).not.toMatch(/alert|http|p\{\}/u);
});

test('hostile HTML ends within bounds, and the next file is read', async () => {
  const texts = await textsOf(
    {
      'a-deep.html': `<html>${'<div>'.repeat(200_000)}deep`,
      'a-less-deep.html': `<html><p>first</p>${'<div>'.repeat(300)}deep`,
      'b-table.html': `<html>${'<table><tr><td>'.repeat(3000)}x`,
      'c-fine.html': '<html><p>fine</p>',
    },
    { parseTimeoutMs: 4000 },
  );
  expect(texts['c-fine.html']?.pages).toEqual(['fine']);
  expect(texts['a-deep.html']?.pages[0]?.trim()).toBe('deep');
  expect(texts['a-less-deep.html']?.pages[0]?.split(/\s+/).filter(Boolean)).toEqual(['first', 'deep']);
  for (const { problems } of Object.values(texts)) {
    for (const { code } of problems) expect(code).toMatch(/^extraction_/u);
  }
}, 60_000);

test('a page that cannot be laid out in time gives its words all the same', async () => {
  const slow =
    '<html><script>if (a < b) alert()</script><!-- <p>not</p> --><p>first &amp; last &#x20AC;</p>' +
    '<table><tr><td>x</td></tr>'.repeat(60_000);
  const texts = await textsOf({ 'a.html': slow, 'b.html': '<html><p>fine</p>' }, { parseTimeoutMs: 1500 });
  expect(texts['a.html']?.problems.map(({ code }) => code)).toEqual(['extraction_timeout']);
  expect(texts['a.html']?.pages[0]).toMatch(/^first & last €\n(?:x\n){50}/u);
  expect(texts['b.html']).toEqual({ pages: ['fine'], method: 'html', problems: [] });
});

const docx = (document: string, more: readonly { name: string; content: string }[] = []): Buffer =>
  buildZip([
    { name: '[Content_Types].xml', content: '<Types/>' },
    { name: 'word/document.xml', content: document },
    ...more,
  ]);
const w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"';

test('a Word document is its paragraphs, with what stands around them', async () => {
  const body =
    `<w:document ${w}><w:body><w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr><w:r><w:t>Hello &amp; good</w:t></w:r>` +
    '<w:r><w:tab/><w:t>day</w:t><w:br/><w:t>next</w:t></w:r></w:p><w:p><w:r><w:t>Second</w:t></w:r></w:p></w:body></w:document>';
  const notes = `<w:footnotes ${w}><w:footnote><w:p><w:r><w:t>Note</w:t></w:r></w:p></w:footnote></w:footnotes>`;
  const text = await textOf('x.docx', docx(body, [{ name: 'word/footnotes.xml', content: notes }]));
  expect(text).toEqual({ pages: ['Hello & good\tday\nnext\nSecond\n\nNote\n'], method: 'office', problems: [] });
});

const relations = (...all: readonly (readonly [id: string, type: string, target: string])[]): string =>
  `<Relationships>${all.map(([id, type, target]) => `<Relationship Id="${id}" Type="http://x/${type}" Target="${target}"/>`).join('')}</Relationships>`;

test('sheets and slides are pages, in the order that their document gives them', async () => {
  const cells = (content: string): string => `<worksheet><sheetData><row>${content}</row></sheetData></worksheet>`;
  const xlsx = buildZip([
    { name: '[Content_Types].xml', content: '<Types/>' },
    {
      name: 'xl/workbook.xml',
      content:
        '<workbook xmlns:r="r"><sheets><sheet name="First" r:id="b"/><sheet name="Second" r:id="a"/></sheets></workbook>',
    },
    {
      name: 'xl/_rels/workbook.xml.rels',
      content: relations(['a', 'worksheet', 'worksheets/sheet1.xml'], ['b', 'worksheet', '/xl/worksheets/sheet2.xml']),
    },
    {
      name: 'xl/sharedStrings.xml',
      content: '<sst><si><t>shared</t></si><si><r><t>ri</t></r><r><t>ch</t></r></si></sst>',
    },
    { name: 'xl/worksheets/sheet1.xml', content: cells('<c t="inlineStr"><is><t>inline</t></is></c>') },
    { name: 'xl/worksheets/sheet2.xml', content: cells('<c t="s"><v>0</v></c><c><v>42</v></c><c t="s"><v>1</v></c>') },
    { name: 'xl/worksheets/sheet9.xml', content: cells('<c><v>unlisted</v></c>') },
  ]);
  const slide = (text: string): string =>
    `<p:sld xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>${text}</a:t></a:r></a:p></p:sld>`;
  const pptx = buildZip([
    { name: '[Content_Types].xml', content: '<Types/>' },
    {
      name: 'ppt/presentation.xml',
      content:
        '<p:p xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="1" r:id="y"/><p:sldId id="2" r:id="x"/></p:sldIdLst></p:p>',
    },
    {
      name: 'ppt/_rels/presentation.xml.rels',
      content: relations(['x', 'slide', 'slides/slide1.xml'], ['y', 'slide', 'slides/slide11.xml']),
    },
    { name: 'ppt/slides/slide1.xml', content: slide('last') },
    { name: 'ppt/slides/slide11.xml', content: slide('first') },
    {
      name: 'ppt/slides/_rels/slide11.xml.rels',
      content: relations(['n', 'notesSlide', '../notesSlides/notesSlide1.xml']),
    },
    { name: 'ppt/notesSlides/notesSlide1.xml', content: slide('spoken') },
  ]);
  const odt = buildZip([
    { name: 'mimetype', content: 'application/vnd.oasis.opendocument.text', method: 0 },
    {
      name: 'content.xml',
      content:
        '<office:document-content xmlns:office="o" xmlns:text="t"><text:h>Head</text:h><text:p>a<text:tab/>b</text:p></office:document-content>',
    },
  ]);
  const texts = await textsOf({ 'x.xlsx': xlsx, 'x.pptx': pptx, 'x.odt': odt });
  expect(texts['x.xlsx']).toEqual({
    pages: ['First\nshared\t42\trich\n', 'Second\ninline\n', 'unlisted\n'],
    method: 'office',
    problems: [],
  });
  expect(texts['x.pptx']).toEqual({ pages: ['first\n\nspoken\n', 'last\n'], method: 'office', problems: [] });
  expect(texts['x.odt']?.pages).toEqual(['Head\na\tb\n']);
});

test('hostile Office documents give what is good in them, and say what is not', async () => {
  const xxe = `<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "yyyy">]><w:document ${w}><w:p><w:t>&x;&y;</w:t></w:p></w:document>`;
  const bomb = docx(`<w:document ${w}><w:p><w:t>${'0'.repeat(3_000_000)}</w:t></w:p></w:document>`);
  const deep = docx(`<w:document ${w}><w:p><w:t>start</w:t></w:p>${'<w:x>'.repeat(20_000)}`);
  const cut = docx(`<w:document ${w}><w:p><w:t>good</w:t></w:p><w:p><w:t>broken`);
  const none = buildZip([{ name: '[Content_Types].xml', content: '<Types/>' }]);
  const texts = await textsOf(
    { 'xxe.docx': docx(xxe), 'bomb.docx': bomb, 'deep.docx': deep, 'cut.docx': cut, 'none.docx': none },
    { ratioFloorBytes: 1_000_000, maxRatio: 50 },
  );
  expect(texts['xxe.docx']?.pages.join('')).not.toMatch(/root:|yyyy/u);
  expect(texts['xxe.docx']?.problems.map(({ reason }) => reason)).toEqual([
    'Part word/document.xml: It has a document type declaration, which Office never writes.',
  ]);
  expect(codesOf(texts['bomb.docx']?.problems ?? [])).toContain('bomb');
  expect(texts['deep.docx']?.pages[0]).toContain('start');
  expect(codesOf(texts['deep.docx']?.problems ?? [])).toEqual(['corrupt']);
  expect(texts['cut.docx']?.pages[0]).toContain('good');
  expect(codesOf(texts['cut.docx']?.problems ?? [])).toEqual(['corrupt']);
  expect(codesOf(texts['none.docx']?.problems ?? [])).toEqual(['no_extractor']);
});

test('RTF is its text, in the code pages of its fonts, without what is hidden', async () => {
  const rtf =
    '{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}{\\f1\\fcharset204 Cyr;}}{\\*\\generator x;}{\\info{\\title secret}}' +
    "\\f0 Gr\\'fc\\'dfe\\par {\\f1 \\'cf\\'f0}\\u8364?\\tab end\\line{\\pict 0102}{\\b bold}}";
  const { pages, method, problems } = await textOf('x.rtf', rtf);
  expect({ method, problems }).toEqual({ method: 'rtf', problems: [] });
  expect(pages).toEqual(['Grüße\nПр€\tend\nbold']);
  const wrapped =
    '{\\rtf1\\ansi\\fromhtml1 {\\*\\htmltag64 <p>}\\htmlrtf {\\htmlrtf0 shown\\htmlrtf\\par}\\htmlrtf0 {\\*\\htmltag72 </p>}}';
  expect((await textOf('w.rtf', wrapped)).pages[0]?.trim()).toBe('shown');
  expect((await textOf('deep.rtf', `{\\rtf1 ${'{'.repeat(100_000)}x`)).pages).toEqual(['x']);
});

test('mail is its headers and its words: plain when there are any, else what the HTML says', async () => {
  const mail = (type: string, body: string): string =>
    `From: a@b\r\nSubject: S\r\nContent-Type: ${type}\r\n\r\n${body}`;
  const texts = await textsOf({
    'plain.eml': mail('text/plain; charset=x-none', 'words'),
    'html.eml': mail('text/html; charset=utf-8', '<p>only <b>HTML</b></p>'),
    'wrong.eml': Buffer.concat([Buffer.from(mail('text/plain; charset=utf-8', 'Gr')), Buffer.from([0xfc])]),
    'blank.eml': mail(
      'multipart/alternative; boundary=b',
      '--b\r\n\r\n  \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--',
    ),
  });
  expect(texts['plain.eml']?.pages).toEqual(['From: a@b\nSubject: S\n\nwords']);
  expect(codesOf(texts['plain.eml']?.problems ?? [])).toEqual(['charset_unknown']);
  expect(texts['html.eml']?.pages).toEqual(['From: a@b\nSubject: S\n\nonly HTML']);
  expect(texts['wrong.eml']?.pages[0]).toContain('Grü');
  expect(codesOf(texts['wrong.eml']?.problems ?? [])).toEqual(['charset_mismatch']);
  expect(texts['blank.eml']?.pages[0]).toContain('html');
});

test('PDF and images are left to the document engine; what nothing reads is told', async () => {
  const texts = await textsOf({
    'x.pdf': '%PDF-1.4\n%%EOF',
    'x.png': Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    'x.gif': Buffer.from('GIF89a'),
    'x.bin': Buffer.from([0, 1, 2, 3, 0, 255]),
  });
  expect(codesOf(texts['x.gif']?.problems ?? [])).toEqual(['no_extractor']);
  expect(texts['x.pdf']).toEqual({ pages: [], method: 'pdf', problems: [] });
  expect(texts['x.png']?.method).toBe('image');
  expect(texts['x.bin']?.method).toBe('none');
  expect(codesOf(texts['x.bin']?.problems ?? [])).toEqual(['no_extractor']);
});

/** Stands where LibreOffice would: a program that is given its arguments. */
const program = async (folder: string, script: string): Promise<string> => {
  const file = path.join(folder, 'bin', 'soffice');
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o700);
  return file;
};

const convert = async (
  script: string,
  limits: Partial<SourceLimits> = {},
): Promise<ExtractedText & { readonly log: string; readonly left: string[] }> => {
  await using folder = await createTemporaryFolder();
  const soffice = await program(folder.path, script.replaceAll('$LOG', path.join(folder.path, 'log')));
  expect(await findLibreOffice(path.dirname(soffice))).toBe(soffice);
  await mkdir(path.join(folder.path, 'root'));
  await using root = await openImportRoot(path.join(folder.path, 'root'), {
    libreOffice: soffice,
    limits,
    temporaryFolder: path.join(folder.path, 'spool'),
  });
  const { Readable } = await import('node:stream');
  const workspace: SourceWorkspace = root.workspace;
  const source = {
    path: 'x.doc',
    fileName: 'x.doc',
    kind: 'document' as const,
    mime: 'application/msword',
    size: 3,
    mail: null,
    open: () => Promise.resolve(Readable.from([Buffer.from('doc')])),
  };
  const text = await extractText(source, workspace);
  const log = await readFile(path.join(folder.path, 'log'), 'utf8').catch(() => '');
  const left = await readdir(await root.workspace.spool.folder());
  return { ...text, log, left };
};

test('LibreOffice gets a profile and folder of its own, and nothing of them is left', async () => {
  const { pages, method, log, left } = await convert(
    'echo "$@" > $LOG; mkdir -p output; cat input.doc > output/input.txt; echo " read" >> output/input.txt',
  );
  expect({ pages, method }).toEqual({ pages: ['doc read\n\n'], method: 'libreoffice' });
  expect(log).toMatch(/--headless .*-env:UserInstallation=file:.*--convert-to txt/u);
  expect(left).toEqual([]);
});

test('LibreOffice that hangs is ended with what it started; one that fails is told', async () => {
  const started = performance.now();
  const hung = await convert('sleep 60 & echo $! > $LOG; sleep 60', { parseTimeoutMs: 2_000 });
  expect(hung.problems.map(({ code }) => code)).toEqual(['extraction_timeout']);
  expect(performance.now() - started).toBeLessThan(20_000);
  expect(Number(hung.log)).toBeGreaterThan(1);
  await expect.poll(() => isAlive(Number(hung.log)), { timeout: 10_000 }).toBe(false);
  const failed = await convert('exit 3');
  expect(failed.problems.map(({ code }) => code)).toEqual(['extraction_failed']);
});

/** A process that ended may stand in the table until it is asked after. */
const isAlive = (pid: number): boolean => {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z');
};
