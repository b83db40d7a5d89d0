/**
 * Documents and pages of the engine.
 *
 * - A document is put under our name, which is its title too. Whether it is there, and with which bytes, is read from the hash that
 *   the engine keeps, before and after an upload whose outcome is unknown: bytes are never uploaded over other work.
 * - What is uploaded is the engine's immutable base layer. All our annotations are in its default layer, above it.
 * - Coordinates and units: those of the engine are ours, points from the top left, as its page sizes are.
 */
import { createHash } from 'node:crypto';
import { CaseboundError, hasCode, type CaseId } from '@casebound/contract';
import { parseQuery, type PageText, type Rect, type TextMatch } from '@casebound/pdf';
import { EngineDocumentId, type EngineDocument, type PageSize, type PutOutcome } from '../../Port.ts';
import { isJson } from './annotation-records.ts';
import { type AnswerContext, garbage, unavailable, UnknownOutcome } from './classify-answer.ts';
import type { Clock } from '../../../clock/Port.ts';
import type { EngineClient } from './engine-client.ts';
import { pathOf, type Place } from './engine-records.ts';
import { multipartBody } from './multipart-body.ts';
import { requirePdf, requirePng } from './read-body.ts';

export type Signal = AbortSignal | undefined;

interface Properties {
  readonly sha256: string;
  readonly size: number;
}

/** Layer that nothing is ever written to: it shows the base layer. */
const untouchedLayer = 'casebound-untouched';

const listPageSize = 500;
const maxPixels = 200_000_000;
const defaultDpi = 150;
/** How long and of how many documents sizes of pages are kept, for their text and pictures. */
const sizesLiveMs = 5_000;
const mostKnown = 100;

export interface EngineDocuments {
  /** Undefined when there is none. */
  properties(document: string, signal: Signal): Promise<Properties | undefined>;
  require(document: string, signal: Signal): Promise<Properties>;
  describe(id: EngineDocumentId, signal: Signal): Promise<EngineDocument | undefined>;
  /** To be called by one at a time for one document. `whenMissing` is called where there is none; true when it made one. */
  put(
    id: EngineDocumentId,
    pdf: Uint8Array,
    replace: boolean,
    whenMissing: () => Promise<boolean>,
    signal: Signal,
  ): Promise<PutOutcome>;
  /** Uploads over whatever is there. */
  overwrite(document: string, pdf: Uint8Array, signal: Signal): Promise<void>;
  delete(document: string, signal: Signal): Promise<void>;
  list(caseId: CaseId, signal: Signal): AsyncIterable<readonly EngineDocumentId[]>;
  download(place: Place, query: string, signal: Signal): Promise<Uint8Array>;
  deleteLayer(place: Place, signal: Signal): Promise<void>;
  layers(document: string, signal: Signal): Promise<readonly string[]>;
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
}

const context = (doing: string): AnswerContext => ({ doing, missing: 'engine_document_not_found' });

const notFound = (document: string): CaseboundError =>
  new CaseboundError('engine_document_not_found', `The document engine has no document \`${document}\`.`);

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

export const createEngineDocuments = (client: EngineClient, clock: Pick<Clock, 'monotonicMs'>): EngineDocuments => {
  /** Learned from the first answer that tells. */
  let rectOrder: RectOrder | undefined;

  const properties: EngineDocuments['properties'] = async (document, signal) => {
    try {
      const answer = await client.json({
        method: 'GET',
        path: `${pathOf({ document })}/properties`,
        signal,
        ...context('describe a document'),
      });
      const data = isJson(answer) ? answer['data'] : undefined;
      const sha256 = isJson(data) ? data['sourcePdfSha256'] : undefined;
      const size = isJson(data) ? number(data['byteSize']) : undefined;
      if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/i.test(sha256) || size === undefined)
        throw garbage('it does not state hash and size of a document');
      return { sha256: sha256.toLowerCase(), size };
    } catch (error) {
      if (hasCode(error, 'engine_document_not_found')) return undefined;
      throw error;
    }
  };

  const sizes: EngineDocuments['sizes'] = async (document, signal) => {
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

  const remove: EngineDocuments['delete'] = async (document, signal) => {
    known.delete(document);
    try {
      await client.done({
        method: 'DELETE',
        path: pathOf({ document }),
        signal,
        ...context('delete a document'),
      });
    } catch (error) {
      if (!hasCode(error, 'engine_document_not_found')) throw error;
    }
  };

  const upload = async (document: string, pdf: Uint8Array, overwrite: boolean, signal: Signal): Promise<boolean> => {
    known.delete(document);
    const answer = await client.json({
      method: 'POST',
      path: '/api/documents',
      body: multipartBody([
        { name: 'document_id', content: document },
        { name: 'title', content: document },
        { name: 'overwrite_existing_document', content: String(overwrite) },
        { name: 'file', content: pdf, contentType: 'application/pdf' },
      ]),
      repeat: overwrite,
      signal,
      doing: 'take a PDF',
      missing: 'document_engine_refused',
      invalid: 'pdf_damaged',
    });
    const data = isJson(answer) ? answer['data'] : undefined;
    if (!isJson(data) || data['document_id'] !== document) throw garbage('it does not name the document that it took');
    return data['password_protected'] === true;
  };

  /** Sizes of the pages of what was just uploaded. What cannot be read is deleted again. */
  const pagesOrNothing = async (document: string, locked: boolean, signal: Signal): Promise<number> => {
    try {
      const pages = await sizes(document, signal);
      if (pages.length > 0) return pages.length;
      throw new CaseboundError('pdf_damaged', 'The PDF has no pages.');
    } catch (error) {
      if (error instanceof UnknownOutcome) throw error;
      await remove(document, signal);
      if (!locked) throw error;
      throw new CaseboundError('pdf_encrypted', 'The PDF needs a password to be opened.');
    }
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
    properties,
    sizes,
    delete: remove,
    async require(document, signal) {
      const found = await properties(document, signal);
      if (found === undefined) throw notFound(document);
      return found;
    },
    async describe(id, signal) {
      const found = await properties(id, signal);
      if (found === undefined) return undefined;
      return { id, ...found, pageCount: (await sizes(id, signal)).length };
    },
    async put(id, pdf, replace, whenMissing, signal) {
      if (!Buffer.from(pdf.buffer, pdf.byteOffset, Math.min(pdf.length, 1_024)).includes('%PDF-'))
        throw new CaseboundError('pdf_damaged', 'The file is not a PDF: it has no PDF header.');
      const sha256 = createHash('sha256').update(pdf).digest('hex');
      const stated = { id, size: pdf.length, sha256 };
      /** An upload may have taken effect without saying so: then what is there is its work. */
      let unknown = false;
      for (let tries = 1; ; tries += 1) {
        let present = await properties(id, signal);
        if (present === undefined && tries === 1) {
          if (await whenMissing()) present = await properties(id, signal);
        }
        if (present?.sha256 === sha256) {
          const pageCount = unknown ? await pagesOrNothing(id, false, signal) : (await sizes(id, signal)).length;
          return { ...stated, pageCount, created: unknown };
        }
        if (present !== undefined && !replace)
          throw new CaseboundError(
            'engine_document_exists',
            `The document engine has another document under the name \`${id}\`.`,
          );
        try {
          const locked = await upload(id, pdf, replace, signal);
          const pageCount = await pagesOrNothing(id, locked, signal);
          if ((await properties(id, signal))?.sha256 === sha256) return { ...stated, pageCount, created: true };
          await remove(id, signal);
          throw unavailable('received other bytes than were sent');
        } catch (error) {
          if (error instanceof UnknownOutcome) {
            unknown = true;
            await client.beforeNextTry(error, tries, signal);
          } else if (replace || (await properties(id, signal)) === undefined) throw error;
          // Else somebody put it between the look and the upload; the next look tells what.
        }
      }
    },
    async overwrite(document, pdf, signal) {
      await upload(document, pdf, true, signal);
    },
    async *list(caseId, signal) {
      const prefix = `document_${caseId}_`;
      let cursor: string | undefined;
      do {
        const query = new URLSearchParams({
          page_size: String(listPageSize),
          order_by: 'created_at',
          order_direction: 'asc',
        });
        if (cursor !== undefined) query.set('cursor', cursor);
        const answer = await client.json({
          method: 'GET',
          path: `/api/documents?${query.toString()}`,
          signal,
          doing: 'list documents',
          missing: 'document_engine_refused',
        });
        const data = isJson(answer) ? answer['data'] : undefined;
        if (!isJson(answer) || !Array.isArray(data)) throw garbage('a list of documents is none');
        const page = data.flatMap((one: unknown) => {
          const name = isJson(one) ? one['id'] : undefined;
          if (typeof name !== 'string') throw garbage('a document has no id');
          const id = name.startsWith(prefix) ? EngineDocumentId.safeParse(name) : undefined;
          return id?.success === true ? [id.data] : [];
        });
        if (page.length > 0) yield page;
        const next = answer['next_cursor'];
        if (next === cursor && next !== undefined && next !== null) throw garbage('a list of documents has no end');
        cursor = typeof next === 'string' && next !== '' ? next : undefined;
      } while (cursor !== undefined);
    },
    async download(place, query, signal) {
      const { bytes } = await client.bytes(
        { method: 'GET', path: `${pathOf(place)}/pdf${query}`, signal, ...context('give a PDF') },
        'application/pdf',
        client.limits.pdf,
        requirePdf,
      );
      return bytes;
    },
    async deleteLayer(place, signal) {
      try {
        await client.done({ method: 'DELETE', path: pathOf(place), signal, ...context('delete a layer') });
      } catch (error) {
        if (!hasCode(error, 'engine_document_not_found')) throw error;
      }
    },
    async layers(document, signal) {
      const answer = await client.json({
        method: 'GET',
        path: `${pathOf({ document })}/layers`,
        signal,
        ...context('list layers'),
      });
      const data = isJson(answer) ? answer['data'] : undefined;
      if (!Array.isArray(data)) throw garbage('a list of layers is none');
      return data.filter((name): name is string => typeof name === 'string');
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
