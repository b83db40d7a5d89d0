/** The text of pages: read from the PDF, judged, and recognised where it is not good. */
import type { PageText } from '@casebound/pdf';
import type { PdfWorkers } from '../document-engine/Port.ts';
import type { OcrConfig } from './config.ts';
import { judgeText } from './judge-text.ts';
import type { Ocr, PageTextOptions, PageTextResult, PageTexts, RecognisedPage } from './Port.ts';

/** Pages whose texts are read at once; each time the document is opened anew. */
const TEXT_CHUNK = 128;
/** Pages whose pictures are in memory at once, a megabyte or two each. */
const PICTURE_CHUNK = 8;

const chunksOf = <T>(items: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));

export interface PageTextsDependencies {
  readonly workers: Pick<PdfWorkers, 'pageInfo' | 'text' | 'render'>;
  readonly ocr: Ocr;
  readonly config: Pick<OcrConfig, 'dpi' | 'maxPixels'>;
}

/** Recognised lines on the page: pixels become points. */
const onPage = (page: PageText, recognised: RecognisedPage, dpi: number): Pick<PageText, 'text' | 'lines'> => {
  const scale = 72 / dpi;
  return {
    text: recognised.text.trimEnd(),
    lines: recognised.lines.map(({ text, rect }) => ({
      text,
      rect: {
        left: Math.min(rect.left * scale, page.width),
        top: Math.min(rect.top * scale, page.height),
        width: rect.width * scale,
        height: rect.height * scale,
      },
    })),
  };
};

export const createPageTexts = ({ workers, ocr, config }: PageTextsDependencies): PageTexts => {
  /** As fine as configured, and coarser where the page is so large that its picture would have too many pixels. */
  const dpiFor = ({ width, height }: PageText): number =>
    Math.max(1, Math.min(config.dpi, Math.floor(72 * Math.sqrt((config.maxPixels * 0.99) / (width * height)))));

  const recognise = async (
    pdf: Uint8Array,
    page: PageText,
    options: PageTextOptions,
  ): Promise<{ readonly page: RecognisedPage; readonly dpi: number }> => {
    const dpi = dpiFor(page);
    const [picture] = await workers.render(
      {
        pdf,
        pages: [page.pageIndex],
        dpi,
        ...(options.password === undefined ? {} : { password: options.password }),
      },
      options.signal === undefined ? {} : { signal: options.signal },
    );
    const recognised = await ocr.recognise(picture?.png ?? new Uint8Array(0), {
      ...(options.languages === undefined ? {} : { languages: options.languages }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return { page: recognised, dpi };
  };

  const textOf = async (pdf: Uint8Array, page: PageText, options: PageTextOptions): Promise<PageTextResult> => {
    const quality = judgeText(page.text);
    if (quality === 'good' && options.force !== true) return { ...page, source: 'pdf', quality, confidence: undefined };
    const { page: recognised, dpi } = await recognise(pdf, page, options);
    // A short text of a page that shows nothing else is better than none.
    if (recognised.text.trim() === '' && quality === 'none')
      return { ...page, source: 'pdf', quality, confidence: undefined };
    return {
      ...page,
      ...onPage(page, recognised, dpi),
      source: 'ocr',
      quality,
      confidence: recognised.confidence,
    };
  };

  return {
    pageTextsOf: async function* (bytes, options = {}) {
      // Shared with the workers, so that a document is copied once however many of its pages are drawn.
      const pdf = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
      pdf.set(bytes);
      const opening = options.password === undefined ? {} : { password: options.password };
      const waiting = options.signal === undefined ? {} : { signal: options.signal };
      const { pages } = await workers.pageInfo({ pdf, ...opening }, waiting);
      for (const indexes of chunksOf([...pages.keys()], TEXT_CHUNK)) {
        const texts = await workers.text({ pdf, pages: indexes, ...opening }, waiting);
        for (const some of chunksOf(texts, PICTURE_CHUNK))
          yield* await Promise.all(some.map(async (page) => textOf(pdf, page, options)));
      }
    },
  };
};
