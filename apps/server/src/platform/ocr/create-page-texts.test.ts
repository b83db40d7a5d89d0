import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pdfWorkersConfigSchema } from '../document-engine/config.ts';
import { createPdfWorkers } from '../document-engine/pdf-workers/create-pdf-workers.ts';
import type { PdfWorkers } from '../document-engine/Port.ts';
import { buildPdf, samplePdf } from '../document-engine/testing/sample-pdf.ts';
import { openTesseractOcr } from './adapters/tesseract/tesseract-ocr.ts';
import { ocrConfigSchema } from './config.ts';
import { createPageTexts } from './create-page-texts.ts';
import { pageTextKey, type Ocr, type PageTextResult, type PageTexts } from './Port.ts';
import { drawPage } from './testing/draw-page.ts';
import { BatchId, CaseId, DocumentId } from '@casebound/contract';

let workers: PdfWorkers;
let ocr: Ocr;
let pages: PageTexts;
beforeAll(async () => {
  const config = ocrConfigSchema.parse({ workers: 1 });
  workers = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
  ocr = await openTesseractOcr(config);
  pages = createPageTexts({ workers, ocr, config });
});
afterAll(async () => {
  await workers.close();
  await ocr.close();
});

const all = async (...input: Parameters<PageTexts['pageTextsOf']>): Promise<PageTextResult[]> => {
  const results: PageTextResult[] = [];
  for await (const page of pages.pageTextsOf(...input)) results.push(page);
  return results;
};

const text = 'The committee met on Monday';

/** The page's letters are shown by a font whose codes are mapped to something else. */
const crooked = (mapping: string): Uint8Array => {
  const wrap = (data: string): string => `<</Length ${data.length}>>\nstream\n${data}\nendstream`;
  return buildPdf([
    '<</Type/Catalog/Pages 2 0 R>>',
    '<</Type/Pages/Kids[3 0 R]/Count 1>>',
    '<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>',
    wrap(`BT /F1 20 Tf 40 200 Td (${text}) Tj ET`),
    '<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>',
    wrap(mapping),
  ]);
};

describe('the text of pages', () => {
  it('is that of the PDF where it is good', async () => {
    const bytes = samplePdf([['A page with text of its own'], ['And another one of the same kind']]);
    const results = await all(bytes);
    expect(results.map(({ source, quality, confidence }) => [source, quality, confidence])).toEqual([
      ['pdf', 'good', undefined],
      ['pdf', 'good', undefined],
    ]);
    expect(bytes.byteLength).toBeGreaterThan(0);
  });

  it('is recognised on a scan, with lines in points', async () => {
    const scan = await workers.mergeImages({ images: [await drawPage(['Scanned and never typed', 'on two lines'])] });
    const [page] = await all(scan);
    expect(page).toMatchObject({ source: 'ocr', quality: 'none' });
    expect(page?.text.split(/\n+/)).toEqual(['Scanned and never typed', 'on two lines']);
    expect(page?.confidence).toBeGreaterThan(80);
    expect(page?.lines[0]?.rect.left).toBeGreaterThan(55);
    expect(page?.lines[0]?.rect.left).toBeLessThan(66);
  }, 60_000);

  it('is recognised where the letters of the PDF are mapped to nothing that can be read', async () => {
    const mapping =
      '/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <20> <7E> <E020> endbfrange endcmap';
    const [page] = await all(crooked(mapping));
    expect(page).toMatchObject({ source: 'ocr', quality: 'unmapped' });
    expect(page?.text).toContain(text);
  }, 60_000);

  it('stays that of the PDF on a page without any', async () => {
    const [empty, number] = await all(samplePdf([[], ['- 7 -']]));
    expect(empty).toMatchObject({ source: 'pdf', text: '' });
    expect(number?.text).toContain('7');
  }, 60_000);

  it('is recognised when that is asked for, and ends with its caller', async () => {
    const [page] = await all(samplePdf([['A page with text of its own']]), { force: true });
    expect(page).toMatchObject({ source: 'ocr', text: 'A page with text of its own' });
    await expect(all(samplePdf([['x']]), { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
  }, 60_000);

  it('has a place of its own in the object store', () => {
    const place = { caseId: CaseId.parse(7), batchId: BatchId.parse(3), documentId: DocumentId.parse(41) };
    expect(pageTextKey({ ...place, position: 2 })).toBe('case_7/processed-files/3/txt/41/attachments/2/content.txt');
    expect(() => pageTextKey({ ...place, position: 0 })).toThrow(/empty segment/);
  });
});
