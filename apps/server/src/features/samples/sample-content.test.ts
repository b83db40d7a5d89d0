import {
  createPdfEngine,
  kindOf,
  locatePdfiumWasm,
  mergeImages,
  openDocument,
  parseInstantJson,
  type PdfEngine,
  produceDocument,
  readPageText,
  renderPage,
  searchText,
} from '@casebound/pdf';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseOffice } from 'officeparser';
import PostalMime, { type Address, type Email } from 'postal-mime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawPage, renderGlyphs } from './formats/draw-page.ts';
import { BODY_SIZE, findPhrase, HEADING_SIZE, layOutPages, portrait } from './formats/lay-out-text.ts';
import { createSample, type SampleSummary } from './index.ts';
import { readLinked, readSample, type ReadSample, type Row } from './testing/read-sample.ts';

let folder = '';
let sample: ReadSample;
let summary: SampleSummary;
let engine: PdfEngine;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'casebound-content-'));
  summary = await createSample(folder, { documents: 260, fields: 2, flaws: false, seed: 'content' });
  sample = await readSample(folder);
  engine = await createPdfEngine({ wasm: readFileSync(locatePdfiumWasm()) });
});
afterAll(() => rmSync(folder, { recursive: true }));

const linked = (row: Row | undefined, column: string): Buffer => readLinked(folder, row?.[column] ?? '');
const rowsOf = (...extensions: readonly string[]): readonly Row[] =>
  sample.rows.filter((row) => row['NATIVELINK'] !== '' && extensions.includes(row['FILEEXT'] ?? ''));
const textOf = (row: Row | undefined): string => linked(row, 'TEXTLINK').toString('utf8');

/** What a reviewer sees of a document: its PDF, or its page images as one. */
const shownPdf = (row: Row | undefined): Uint8Array | undefined => {
  if (row === undefined) return undefined;
  if (row['PDFLINK'] !== '') return linked(row, 'PDFLINK');
  if (row['NATIVELINK'] !== '') return row['FILEEXT'] === 'pdf' ? linked(row, 'NATIVELINK') : undefined;
  const pages = sample.images.find(({ key }) => key === row['BEGBATES'])?.pages ?? [];
  return mergeImages([...new Set(pages.map(({ path: link }) => link))].map((link) => readLinked(folder, link)));
};

describe('mail of a sample', () => {
  const messages = new Map<string, { readonly row: Row; readonly email: Email }>();
  beforeAll(async () => {
    for (const row of rowsOf('eml')) {
      const email = await PostalMime.parse(linked(row, 'NATIVELINK'));
      messages.set(row['BEGBATES'] ?? '', { row, email });
    }
  });
  const show = (list: readonly Address[] | undefined): string =>
    (list ?? []).map((one) => `${one.name} <${one.address ?? ''}>`).join('; ');

  it('says in its headers what the load file says', () => {
    expect(messages.size).toBeGreaterThan(80);
    for (const { row, email } of messages.values()) {
      expect(email.subject).toBe(row['SUBJECT']);
      expect(show(email.from === undefined ? [] : [email.from])).toBe(row['FROM']);
      expect(show(email.to)).toBe(row['TO']);
      expect(show(email.cc)).toBe(row['CC']);
      expect(show(email.bcc)).toBe(row['BCC']);
      expect(email.messageId).toBe(row['MESSAGEID']);
      expect(email.inReplyTo ?? '').toBe(row['INREPLYTO']);
      expect((email.references ?? '').split(' ').join('; ')).toBe(row['REFERENCES']);
      expect(email.date).toBe(`${(row['DATESENT'] ?? '').replace(' ', 'T')}.000Z`);
      expect(row['EDRM MIH']).toBe(
        createHash('md5')
          .update(email.messageId ?? '')
          .digest('hex'),
      );
    }
    const subjects = [...messages.values()].map(({ row }) => row['SUBJECT'] ?? '');
    // eslint-disable-next-line no-control-regex
    expect(subjects.some((subject) => /[^\u0000-\u00FF]/u.test(subject))).toBe(true);
  });

  it('is at most 998 bytes a line, of ASCII, and folds its headers', () => {
    for (const row of rowsOf('eml')) {
      const text = linked(row, 'NATIVELINK').toString('latin1');
      // eslint-disable-next-line no-control-regex
      expect(/^[\u0000-\u007F]*$/u.test(text)).toBe(true);
      expect(/(?<!\r)\n/u.test(text)).toBe(false);
      expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
      const [headers = ''] = text.split('\r\n\r\n');
      const long = headers.split('\r\n').filter((line) => line.length > 78);
      expect(long.filter((line) => line.trim().includes(' '))).toEqual([]);
    }
  });

  it('carries its attachments byte by byte', () => {
    const rows = new Map(sample.rows.map((row) => [row['BEGBATES'], row]));
    let carried = 0;
    for (const { row, email } of messages.values()) {
      const children = (row['ATTCHIDS'] ?? '').split('; ').filter((id) => id !== '');
      expect(email.attachments).toHaveLength(children.length);
      expect(email.attachments.map(({ filename }) => filename).join('; ')).toBe(row['ATTACHMENTS']);
      email.attachments.forEach(({ content }, at) => {
        const bytes = typeof content === 'string' ? Buffer.from(content) : new Uint8Array(content as ArrayBuffer);
        const child = rows.get(children[at]);
        expect(createHash('sha256').update(bytes).digest('hex')).toBe(child?.['SHA256HASH']);
        carried += 1;
      });
    }
    expect(carried).toBeGreaterThan(20);
  });

  it('answers messages of its thread, and quotes them', () => {
    const byId = new Map([...messages.values()].map((one) => [one.row['MESSAGEID'], one]));
    let answers = 0;
    for (const { row, email } of messages.values()) {
      if (row['INREPLYTO'] === '') continue;
      const answered = byId.get(row['INREPLYTO'] ?? '');
      if (answered === undefined) continue;
      answers += 1;
      expect(answered.row['THREADID']).toBe(row['THREADID']);
      expect((answered.row['DATESENT'] ?? '') < (row['DATESENT'] ?? '')).toBe(true);
      const [first = ''] = (answered.email.text ?? '').split('\n');
      expect(email.text).toContain(`> ${first.trimEnd()}`);
      if (email.html !== undefined) expect(email.html).toContain('<blockquote>');
    }
    expect(answers).toBeGreaterThan(20);
  });
});

describe('pages of a sample', () => {
  it('open, render, and hold the text that the load file links', () => {
    let seen = 0;
    const turned = new Set<string>();
    for (const row of sample.rows) {
      const pdf = shownPdf(row);
      if (pdf === undefined) continue;
      using document = openDocument(engine, pdf);
      expect(document.pageCount).toBe(Number(row['PGCOUNT']));
      const pages = textOf(row).split('\f');
      expect(pages).toHaveLength(document.pageCount);
      const squeeze = (text: string): string => text.replaceAll(/\s+/gu, ' ').trim();
      pages.forEach((text, at) => {
        const page = readPageText(document, at);
        turned.add(`${Math.round(page.width)}x${Math.round(page.height)}`);
        if (page.text !== '') expect(squeeze(page.text)).toBe(squeeze(text));
      });
      expect(renderPage(document, 0, { dpi: 20 }).length).toBeGreaterThan(200);
      seen += 1;
    }
    expect(seen).toBeGreaterThan(90);
    expect(turned).toEqual(new Set(['612x792', '792x612']));
  });

  it('carry annotations that are well formed and lie on the page', () => {
    const counts: Record<string, number> = {};
    for (const row of sample.rows) {
      if (row['ANNOTATIONSLINK'] === '') continue;
      const { annotations, comments } = parseInstantJson(JSON.parse(linked(row, 'ANNOTATIONSLINK').toString('utf8')));
      for (const annotation of [...annotations, ...comments]) {
        const kind = kindOf(annotation);
        counts[kind] = (counts[kind] ?? 0) + 1;
        expect(annotation.pageIndex).toBeLessThan(Number(row['PGCOUNT']));
      }
      const stamps = annotations.filter((annotation) => kindOf(annotation) === 'bates_stamp');
      expect(stamps.map(({ pageIndex }) => pageIndex)).toEqual(stamps.map((_, at) => at));
      expect(stamps).toHaveLength(Number(row['PGCOUNT']));
      expect(JSON.stringify(stamps[0])).toContain(`"${row['BEGBATES'] ?? ''}"`);
      expect(annotations.some((annotation) => kindOf(annotation) === 'redaction')).toBe(row['REDACTED'] === 'Yes');
      expect(annotations.some((annotation) => kindOf(annotation) === 'confidentiality_stamp')).toBe(
        row['CONFIDENTIALITY'] !== '',
      );
    }
    expect(counts).toEqual(Object.fromEntries(Object.entries(summary.annotations).filter(([, count]) => count > 0)));
  });

  it(
    'are redacted where the words stand, and hold them no longer when that is applied',
    { timeout: 120_000 },
    async () => {
      const rows = new Map(sample.rows.map((row) => [row['BEGBATES'], row]));
      const lines = sample.truth.filter((line) => line.kind === 'redaction');
      const documents = Map.groupBy(lines, ({ document }) => document);
      expect(documents.size).toBe(summary.redactedDocuments);
      let withText = 0;
      for (const [begin, redactions] of documents) {
        const row = rows.get(begin);
        const pdf = shownPdf(row);
        if (pdf === undefined) throw new Error(`${begin} is redacted and has no pages.`);
        {
          using document = openDocument(engine, pdf);
          for (const { page, words, rects, text } of redactions) {
            expect(readLinked(folder, text).toString('utf8').replaceAll('\n', ' ')).toContain(words);
            if (readPageText(document, page - 1).text === '') continue;
            withText += 1;
            const found = searchText(document, words).filter(({ pageIndex }) => pageIndex === page - 1);
            expect(found, `${begin}: ${words}`).toHaveLength(1);
            found[0]?.rects.forEach((rect, at) => {
              const [left = 0, top = 0, width = 0, height = 0] = rects[at] ?? [];
              expect(Math.abs(rect.left - left)).toBeLessThan(2);
              expect(Math.abs(rect.left + rect.width - left - width)).toBeLessThan(2);
              expect(Math.abs(rect.top + rect.height / 2 - top - height / 2)).toBeLessThan(3);
            });
          }
        }
        const produced = await produceDocument(engine, pdf, {
          annotations: parseInstantJson(JSON.parse(linked(row, 'ANNOTATIONSLINK').toString('utf8'))),
        });
        using after = openDocument(engine, produced.bytes);
        for (const { words } of redactions) expect(searchText(after, words)).toEqual([]);
      }
      expect(withText).toBeGreaterThan(20);
    },
  );

  it('hold the redacted words nowhere else', () => {
    const texts = sample.rows.map((row) => [row['BEGBATES'] ?? '', textOf(row).replaceAll(/\s+/gu, ' ')] as const);
    const lines = sample.truth.filter((line) => line.kind === 'redaction');
    for (const words of new Set(lines.map((line) => line.words))) {
      const told = new Set(lines.filter((line) => line.words === words).map(({ document }) => document));
      const holders = texts.filter(([, text]) => text.includes(words)).map(([document]) => document);
      expect(holders, words).toEqual([...told]);
    }
  });

  it('are drawn where the layout says', async () => {
    const glyphs = await renderGlyphs([BODY_SIZE, HEADING_SIZE]);
    const text = 'Please pay to account NX12 34567 89012 at the usual bank, and Ångström too.';
    const paragraphs = [{ text }];
    const [page] = layOutPages([portrait], () => paragraphs.shift());
    if (page === undefined) throw new Error('There is no page.');
    const { width, bits } = drawPage(page, glyphs, 'test');
    const ink = ({
      left,
      top,
      width: across,
      height,
    }: {
      left: number;
      top: number;
      width: number;
      height: number;
    }) => {
      let black = 0;
      const scale = 200 / 72;
      for (let y = Math.ceil(top * scale); y < (top + height) * scale; y += 1)
        for (let x = Math.ceil(left * scale); x < (left + across) * scale; x += 1)
          if (((bits[y * ((width + 7) >> 3) + (x >> 3)] ?? 255) & (128 >> (x & 7))) === 0) black += 1;
      return black;
    };
    const [[rect] = []] = findPhrase(page, 'NX12 34567 89012');
    if (rect === undefined) throw new Error('The phrase was not found.');
    expect(ink(rect)).toBeGreaterThan(800);
    expect(ink({ ...rect, top: rect.top + 3 * rect.height })).toBeLessThan(10);
  });
});

describe('other files of a sample', () => {
  it('are Office documents with the text that the load file links', async () => {
    const rows = [...rowsOf('docx').slice(0, 6), ...rowsOf('xlsx').slice(0, 6)];
    expect(rows).toHaveLength(12);
    for (const row of rows) {
      const text = (await parseOffice(linked(row, 'NATIVELINK'))).toText();
      const words = (from: string): readonly string[] => from.split(/\s+/u).filter((word) => word !== '');
      const expected = words(textOf(row));
      expect(expected.length).toBeGreaterThan(20);
      const found = new Set(words(text));
      expect(expected.filter((word) => !found.has(word)).length / expected.length, row['NATIVELINK']).toBeLessThan(
        0.02,
      );
    }
  });

  it('are plain files that say what they are', () => {
    for (const row of rowsOf('txt')) expect(linked(row, 'NATIVELINK').toString('utf8').trimEnd()).toBe(textOf(row));
    for (const row of rowsOf('csv')) expect(linked(row, 'NATIVELINK').toString('utf8')).toMatch(/^Date,Order,/u);
    for (const row of rowsOf('png')) expect(mergeImages([linked(row, 'NATIVELINK')]).length).toBeGreaterThan(1000);
  });
});

it('is mail alone, as files and as a mailbox', async () => {
  const mail = path.join(folder, 'mail-only');
  const made = await createSample(mail, { documents: 90, mailOnly: true, seed: 'mail' });
  expect(readdirSync(mail).toSorted()).toEqual(['MERIDIAN.mbox', 'TRUTH.jsonl', 'mail']);
  const files = readdirSync(path.join(mail, 'mail', '001')).toSorted();
  expect(made).toMatchObject({ documents: 90, loadFile: undefined, flaws: [] });
  const ids: (string | undefined)[] = [];
  let documents = 0;
  for (const name of files) {
    const email = await PostalMime.parse(readFileSync(path.join(mail, 'mail', '001', name)));
    ids.push(email.messageId);
    documents += 1 + email.attachments.length;
  }
  expect(documents).toBe(90);
  const box = readFileSync(path.join(mail, 'MERIDIAN.mbox'), 'latin1');
  const entries = box.split(/^From \S+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n/mu).slice(1);
  const boxed: (string | undefined)[] = [];
  for (const entry of entries) boxed.push((await PostalMime.parse(Buffer.from(entry, 'latin1'))).messageId);
  expect(boxed).toEqual(ids);
});
