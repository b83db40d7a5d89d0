/**
 * Pages of documents: sizes, text, pictures and search.
 *
 * - Coordinates and units of the engine are ours: points from the top left of the page as shown.
 * - Pages are rendered without our annotations on a layer that nothing is ever written to: it shows what was uploaded.
 */
import { CaseboundError } from '@casebound/contract';
import { parseQuery, type PageText, type Rect, type TextMatch } from '@casebound/pdf';
import type { Clock } from '../../../clock/Port.ts';
import type { PageSize } from '../../Port.ts';
import { isJson } from './annotation-records.ts';
import { type AnswerContext, garbage } from './classify-answer.ts';
import type { EngineClient, Signal } from './engine-client.ts';
import { pathOf, type Place } from './engine-records.ts';
import { requirePng } from './read-body.ts';

const untouchedLayer = 'casebound-untouched';

const maxPixels = 200_000_000;
const defaultDpi = 150;
/** How long and of how many documents sizes of pages are kept, for their text and pictures. */
const sizesLiveMs = 5_000;
const mostKnown = 100;

export interface EnginePages {
  sizes(document: string, signal: Signal): Promise<readonly PageSize[]>;
  text(document: string, pageIndex: number, signal: Signal): Promise<PageText>;
  render(
    document: string,
    pageIndex: number,
    dpi: number | undefined,
    bare: boolean,
    signal: Signal,
  ): Promise<Uint8Array>;
  search(document: string, query: string, signal: Signal): Promise<readonly TextMatch[]>;
  /** The document is another one, or none. */
  forget(document: string): void;
}

const context = (doing: string): AnswerContext => ({ doing, missing: 'engine_document_not_found' });

const number = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

/** Rects of search results: the published description says `[top, left, width, height]`, as do its examples of no other call. */
type RectOrder = 'left-top' | 'top-left';

const toRect = (value: unknown, order: RectOrder): Rect => {
  const [first, second, width, height] = Array.isArray(value) ? value.map(number) : [];
  if (first === undefined || second === undefined || width === undefined || height === undefined)
    throw garbage('a rect is none');
  return order === 'left-top'
    ? { left: first, top: second, width, height }
    : { left: second, top: first, width, height };
};

/** How much of a rect lies within lines, from 0 to 1. */
const within = (rect: Rect, lines: PageText['lines']): number => {
  const overlaps = lines.map(({ rect: line }) => {
    const width = Math.min(rect.left + rect.width, line.left + line.width) - Math.max(rect.left, line.left);
    const height = Math.min(rect.top + rect.height, line.top + line.height) - Math.max(rect.top, line.top);
    return width > 0 && height > 0 ? (width * height) / (rect.width * rect.height) : 0;
  });
  return Math.max(0, ...overlaps);
};

export const createEnginePages = (client: EngineClient, clock: Pick<Clock, 'monotonicMs'>): EnginePages => {
  /** Learned from the first answer that tells. */
  let rectOrder: RectOrder | undefined;

  const sizes: EnginePages['sizes'] = async (document, signal) => {
    const answer = await client.json({
      method: 'GET',
      path: `${pathOf({ document })}/document_info`,
      signal,
      ...context('describe the pages of a document'),
      invalid: 'pdf_damaged',
    });
    const data = isJson(answer) ? answer['data'] : undefined;
    const pages = isJson(data) ? data['pages'] : undefined;
    if (!isJson(data) || !Array.isArray(pages) || pages.length !== data['pageCount'])
      throw garbage('it does not state the pages of a document');
    return pages.map((page: unknown, pageIndex) => {
      const width = isJson(page) ? number(page['width']) : undefined;
      const height = isJson(page) ? number(page['height']) : undefined;
      if (width === undefined || height === undefined) throw garbage('a page has no size');
      return { pageIndex, width, height };
    });
  };

  /** Page after page of a document is asked for: its sizes are not asked for each time. */
  const known = new Map<string, { readonly pages: readonly PageSize[]; readonly until: number }>();

  const knownSizes = async (document: string, signal: Signal): Promise<readonly PageSize[]> => {
    const now = clock.monotonicMs();
    const kept = known.get(document);
    if (kept !== undefined && now < kept.until) return kept.pages;
    const pages = await sizes(document, signal);
    known.delete(document);
    known.set(document, { pages, until: now + sizesLiveMs });
    const [oldest] = known.keys();
    if (known.size > mostKnown && oldest !== undefined) known.delete(oldest);
    return pages;
  };

  const sizeOf = async (document: string, pageIndex: number, signal: Signal): Promise<PageSize> => {
    const all = await knownSizes(document, signal);
    const size = all[pageIndex];
    if (size === undefined)
      throw new CaseboundError(
        'pdf_page_out_of_range',
        `There is no page with index ${pageIndex}; the document has ${all.length} pages, counted from 0.`,
      );
    return size;
  };

  const lines = async (document: string, pageIndex: number, signal: Signal): Promise<PageText['lines']> => {
    const answer = await client.json({
      method: 'GET',
      path: `${pathOf({ document })}/pages/${pageIndex}/text`,
      signal,
      ...context('give the text of a page'),
    });
    const listed = isJson(answer) ? answer['textLines'] : undefined;
    if (!Array.isArray(listed)) throw garbage('the text of a page is none');
    return listed.map((line: unknown) => {
      const own = isJson(line) ? line : {};
      const [left, top, width, height] = ['left', 'top', 'width', 'height'].map((name) => number(own[name]));
      const text = own['contents'];
      if (typeof text !== 'string' || left === undefined || top === undefined) throw garbage('a line of text is none');
      return { text, rect: { left, top, width: width ?? 0, height: height ?? 0 } };
    });
  };

  /** Which of the two readings of a rect lies on the text of its page. */
  const learnOrder = async (document: string, found: readonly unknown[], signal: Signal): Promise<RectOrder> => {
    if (rectOrder !== undefined) return rectOrder;
    for (const result of found.slice(0, 3)) {
      const pageIndex = isJson(result) ? number(result['pageIndex']) : undefined;
      const rects = isJson(result) ? result['rectsOnPage'] : undefined;
      if (pageIndex === undefined || !Array.isArray(rects)) continue;
      const onPage = await lines(document, pageIndex, signal);
      const score = (order: RectOrder): number =>
        rects.reduce((sum: number, rect: unknown) => sum + within(toRect(rect, order), onPage), 0);
      const [plain, swapped] = [score('left-top'), score('top-left')];
      if (Math.abs(plain - swapped) > 0.5) {
        rectOrder = plain > swapped ? 'left-top' : 'top-left';
        return rectOrder;
      }
    }
    return 'top-left';
  };

  return {
    sizes,
    forget: (document) => {
      known.delete(document);
    },
    async text(document, pageIndex, signal) {
      const { width, height } = await sizeOf(document, pageIndex, signal);
      const found = await lines(document, pageIndex, signal);
      return { pageIndex, width, height, text: found.map(({ text }) => text).join('\n'), lines: found };
    },
    async render(document, pageIndex, dpi = defaultDpi, bare, signal) {
      if (!Number.isFinite(dpi) || dpi < 1 || dpi > 2_400)
        throw new CaseboundError('validation_failed', `The resolution is between 1 and 2400 dpi; this is ${dpi}.`);
      const size = await sizeOf(document, pageIndex, signal);
      const width = Math.max(1, Math.round((size.width * dpi) / 72));
      const height = Math.max(1, Math.round((size.height * dpi) / 72));
      if (width * height > maxPixels)
        throw new CaseboundError(
          'pdf_too_large',
          `The page with index ${pageIndex} has ${width} x ${height} pixels at ${dpi} dpi; the limit is ${maxPixels} pixels.`,
        );
      const place: Place = bare ? { document, layer: untouchedLayer } : { document };
      const { bytes } = await client.bytes(
        {
          method: 'GET',
          path: `${pathOf(place)}/pages/${pageIndex}/image?width=${width}`,
          signal,
          ...context('render a page'),
        },
        'image/png',
        client.limits.image,
        requirePng,
      );
      return bytes;
    },
    async search(document, query, signal) {
      const { source, flags } = parseQuery(query);
      // The engine takes expressions of ICU, where flags stand within; its plain search knows no whole words and no short ones.
      const inner = flags.replaceAll(/[gu]/g, '');
      const parameters = new URLSearchParams({
        q: inner === '' ? source : `(?${inner})${source}`,
        type: 'regex',
        case_sensitive: String(!flags.includes('i')),
      });
      const answer = await client.json({
        method: 'GET',
        path: `${pathOf({ document })}/search?${parameters.toString()}`,
        signal,
        ...context('search a document'),
      });
      const found = isJson(answer) ? answer['data'] : undefined;
      if (!Array.isArray(found)) throw garbage('results of a search are none');
      if (found.length === 0) return [];
      const order = await learnOrder(document, found, signal);
      return found.map((result: unknown): TextMatch => {
        const own = isJson(result) ? result : {};
        const pageIndex = number(own['pageIndex']);
        const rects = own['rectsOnPage'];
        if (pageIndex === undefined || !Array.isArray(rects)) throw garbage('a result of a search is none');
        const [start = 0, length = 0] = Array.isArray(own['rangeInPreview']) ? own['rangeInPreview'].map(number) : [];
        const preview = typeof own['previewText'] === 'string' ? own['previewText'] : '';
        return {
          pageIndex,
          text: preview.slice(start, start + length),
          rects: rects.map((rect: unknown) => toRect(rect, order)),
        };
      });
    },
  };
};
