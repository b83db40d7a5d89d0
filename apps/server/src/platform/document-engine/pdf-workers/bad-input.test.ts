/** Hostile and damaged documents: for each an error of its own or a proved result, and the pool lives on. */
import { CaseboundError } from '@casebound/contract';
import { createPdfEngine, defaultRouting, locatePdfiumWasm, openDocument, parseInstantJson } from '@casebound/pdf';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pdfWorkersConfigSchema } from '../config.ts';
import { buildPdf, samplePdf } from '../testing/sample-pdf.ts';
import { createPdfWorkers } from './create-pdf-workers.ts';
import type { PdfTasks, PdfWorkers } from './pdf-tasks.ts';

let workers: PdfWorkers;
beforeAll(() => {
  workers = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1, taskTimeoutMs: 60_000 }));
});
afterAll(async () => workers.close());

const good = (): Uint8Array => samplePdf([['Pay the SECRET amount today'], ['Second page']]);
const redaction = (changes: Record<string, unknown> = {}): unknown => ({
  id: 'r',
  type: 'pspdfkit/markup/redaction',
  pageIndex: 0,
  rects: [[110, 86, 59, 18]],
  ...changes,
});

/** The code of the failure, or `proved`; whatever it was, the next document is read as ever. */
const attempt = async (pdf: Uint8Array, annotations: readonly unknown[] = [redaction()]): Promise<string> => {
  let outcome = 'proved';
  try {
    const json = parseInstantJson({ annotations });
    const result: PdfTasks['burnIn']['output'] = await workers.burnIn({
      pdf,
      annotations: json,
      routing: { ...defaultRouting, highlight: 'brand_in' },
    });
    expect(result.redactionReport.verification?.verified ?? true).toBe(true);
  } catch (error) {
    if (!(error instanceof CaseboundError)) throw error;
    expect(error.message).not.toContain('SECRET');
    outcome = error.code;
  }
  const [page] = await workers.text({ pdf: good(), pages: [1] });
  expect(page?.text.trim()).toBe('Second page');
  return outcome;
};

const stream = (dict: string, data: string): string => `<<${dict}/Length ${data.length}>>\nstream\n${data}\nendstream`;

const onePage = (content: string, resources: string, more: readonly string[] = [], kids = '[3 0 R]'): Uint8Array =>
  buildPdf([
    '<</Type/Catalog/Pages 2 0 R>>',
    `<</Type/Pages/Kids${kids}/Count 1>>`,
    `<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Resources<<${resources}>>/Contents 4 0 R>>`,
    stream('', content),
    ...more,
  ]);

const encrypted = async (): Promise<Uint8Array> => {
  const engine = await createPdfEngine({ wasm: await readFile(locatePdfiumWasm()) });
  using document = openDocument(engine, good());
  return engine.call('encrypt', (native, heap) => {
    native.EPDF_SetEncryption(document.handle, 'user', 'owner', 0xfffff0c0 | 0);
    const writer = native.PDFiumExt_OpenFileWriter();
    native.PDFiumExt_SaveAsCopy(document.handle, writer);
    const size = native.PDFiumExt_GetFileWriterSize(writer);
    return heap.scope((allocate) => {
      const target = allocate(size);
      native.PDFiumExt_GetFileWriterData(writer, target, size);
      native.PDFiumExt_CloseFileWriter(writer);
      return heap.bytes(target, size);
    });
  });
};

const wide = '<</Type/Font/Subtype/Type0/BaseFont/None/Encoding/Identity-H/DescendantFonts[6 0 R]>>';
const descendant =
  '<</Type/Font/Subtype/CIDFontType2/BaseFont/None/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor 7 0 R/DW 600>>';
const descriptor =
  '<</Type/FontDescriptor/FontName/None/Flags 4/FontBBox[0 -200 1000 800]/ItalicAngle 0/Ascent 800/Descent -200/CapHeight 700/StemV 80>>';

describe('a document that is', () => {
  it('cut off anywhere fails, or is repaired and proved', async () => {
    const bytes = good();
    for (let length = 9; length < bytes.length; length += 101)
      expect(await attempt(bytes.slice(0, length))).toMatch(/^(pdf_damaged|pdf_page_out_of_range|proved)$/);
  }, 60_000);

  it.each([
    ['empty', async () => new Uint8Array(0), /^pdf_damaged$/],
    [
      'without pages',
      async () => buildPdf(['<</Type/Catalog/Pages 2 0 R>>', '<</Type/Pages/Kids[]/Count 0>>']),
      /^pdf_damaged$/,
    ],
    ['encrypted, without its password', encrypted, /^pdf_encrypted$/],
    ['a page tree that holds itself', async () => onePage('', '', [], '[2 0 R 3 0 R]'), /^(pdf_damaged|proved)$/],
    [
      'forms that draw each other',
      async () =>
        onePage('/A Do', '/XObject<</A 5 0 R>>', [
          stream('/Subtype/Form/BBox[0 0 400 300]/Resources<</XObject<</B 6 0 R>>>>', '/B Do'),
          stream('/Subtype/Form/BBox[0 0 400 300]/Resources<</XObject<</A 5 0 R>>>>', '/A Do'),
        ]),
      /^(pdf_damaged|pdf_too_large|proved)$/,
    ],
    [
      'a huge picture',
      async () =>
        onePage('q 400 0 0 300 0 0 cm /Im Do Q', '/XObject<</Im 5 0 R>>', [
          stream(
            '/Type/XObject/Subtype/Image/Width 100000/Height 100000/ColorSpace/DeviceGray/BitsPerComponent 8',
            'x',
          ),
        ]),
      /^pdf_too_large$/,
    ],
    [
      'a huge page',
      async () =>
        buildPdf([
          '<</Type/Catalog/Pages 2 0 R>>',
          '<</Type/Pages/Kids[3 0 R]/Count 1>>',
          '<</Type/Page/Parent 2 0 R/MediaBox[0 0 2000000 2000000]>>',
        ]),
      /^(pdf_too_large|proved)$/,
    ],
    [
      'text in a font without any mapping',
      async () =>
        onePage('BT /F1 14 Tf 60 200 Td <00410042004300440045004600470048> Tj ET', '/Font<</F1 5 0 R>>', [
          wide,
          descendant,
          descriptor,
        ]),
      /^proved$/,
    ],
  ])(
    '%s fails with a reason, or is proved',
    async (_name, pdf, outcome) => {
      expect(await attempt(await pdf())).toMatch(outcome);
    },
    60_000,
  );

  it('a million objects fails with a reason', async () => {
    const count = 1_000_000;
    const lists = Array.from(
      { length: count / 1_000 },
      (_, list) =>
        `[${Array.from({ length: 1_000 }, (__, at) => `${4 + count / 1_000 + list * 1_000 + at} 0 R`).join(' ')}]`,
    );
    const pdf = buildPdf([
      `<</Type/Catalog/Pages 2 0 R/Extra[${lists.map((_, at) => `${4 + at} 0 R`).join(' ')}]>>`,
      '<</Type/Pages/Kids[3 0 R]/Count 1>>',
      '<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]>>',
      ...lists,
      ...Array.from({ length: count }, () => '[]'),
    ]);
    expect(await attempt(pdf)).toBe('pdf_too_large');
  }, 120_000);
});

describe('annotations that', () => {
  const highlight = (changes: Record<string, unknown>): unknown => ({
    id: 'h',
    type: 'pspdfkit/markup/highlight',
    pageIndex: 0,
    rects: [[10, 10, 20, 20]],
    ...changes,
  });

  it.each([
    ['lie outside the page', [redaction({ rects: [[900, 900, 10, 10]] })], 'annotation_invalid'],
    ['have no number for a place', [redaction({ rects: [[Number.NaN, 0, 10, 10]] })], 'annotation_invalid'],
    ['reach to infinity', [redaction({ rects: [[0, 0, Infinity, 10]] })], 'annotation_invalid'],
    ['have a negative size', [redaction({ rects: [[10, 10, -5, 10]] })], 'annotation_invalid'],
    ['have no size', [redaction({ rects: [[10, 10, 0, 10]] })], 'annotation_invalid'],
    ['have no rects', [redaction({ rects: [] })], 'annotation_invalid'],
    ['are on a page that there is not', [redaction({ pageIndex: 2 })], 'pdf_page_out_of_range'],
    ['are on a page before the first', [redaction({ pageIndex: -1 })], 'annotation_invalid'],
    [
      'are of a type that nobody knows',
      [redaction(), { ...Object(redaction()), id: 'x', type: 'pspdfkit/ink' }],
      'annotation_unknown_type',
    ],
    [
      'need an attachment that is not there',
      [{ id: 's', type: 'pspdfkit/image', pageIndex: 0, bbox: [10, 10, 20, 20], imageAttachmentId: 'f'.repeat(64) }],
      'attachment_missing',
    ],
    ['have one id twice', [highlight({}), highlight({})], 'annotation_invalid'],
  ])('%s fail with a reason', async (_name, annotations, code) => {
    expect(await attempt(good(), annotations)).toBe(code);
  });

  it('are 100,000 are branded in, redactions among them', async () => {
    const many = Array.from({ length: 100_000 }, (_, at) =>
      at % 10 === 0
        ? redaction({ id: `r${at}`, pageIndex: 1, rects: [[(at / 10) % 390, 200 + ((at / 100) % 90), 3, 3]] })
        : highlight({ id: `h${at}`, rects: [[at % 390, (at / 390) % 290, 4, 4]] }),
    );
    expect(await attempt(good(), many)).toMatch(/^(proved|pdf_too_large)$/);
  }, 120_000);
});
