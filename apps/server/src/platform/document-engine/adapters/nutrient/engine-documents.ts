/**
 * Documents of the engine.
 *
 * - A document is put under our name, which is its title too. Whether it is there, and with which bytes, is read from the hash that
 *   the engine keeps, before and after an upload whose outcome is unknown: bytes are never uploaded over other work.
 * - What is uploaded is the engine's immutable base layer. All our annotations are in its default layer, above it.
 */
import { createHash } from 'node:crypto';
import { CaseboundError, hasCode, type CaseId } from '@casebound/contract';
import { EngineDocumentId, type EngineDocument, type PutOutcome } from '../../Port.ts';
import { isJson } from './annotation-records.ts';
import { type AnswerContext, garbage, unavailable, UnknownOutcome } from './classify-answer.ts';
import type { EngineClient, Signal } from './engine-client.ts';
import type { EnginePages } from './engine-pages.ts';
import { pathOf, type Place } from './engine-records.ts';
import { multipartBody } from './multipart-body.ts';
import { requirePdf } from './read-body.ts';

interface Properties {
  readonly sha256: string;
  readonly size: number;
}

const listPageSize = 500;

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
}

const context = (doing: string): AnswerContext => ({ doing, missing: 'engine_document_not_found' });

const isDamaged = (error: unknown): boolean => hasCode(error, 'pdf_damaged');

const notFound = (document: string): CaseboundError =>
  new CaseboundError('engine_document_not_found', `The document engine has no document \`${document}\`.`);

const number = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

export const createEngineDocuments = (client: EngineClient, pages: EnginePages): EngineDocuments => {
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

  const remove: EngineDocuments['delete'] = async (document, signal) => {
    pages.forget(document);
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
    pages.forget(document);
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
      const { length } = await pages.sizes(document, signal);
      if (length > 0) return length;
      throw new CaseboundError('pdf_damaged', 'The PDF has no pages.');
    } catch (error) {
      // Anything else is no fault of the document, and it may be somebody else's by now.
      const atFault = error instanceof CaseboundError && error.family === 'permanent' && (locked || isDamaged(error));
      if (!atFault) throw error;
      await remove(document, signal);
      if (!locked) throw error;
      throw new CaseboundError('pdf_encrypted', 'The PDF needs a password to be opened.');
    }
  };

  return {
    properties,
    delete: remove,
    async require(document, signal) {
      const found = await properties(document, signal);
      if (found === undefined) throw notFound(document);
      return found;
    },
    async describe(id, signal) {
      const found = await properties(id, signal);
      if (found === undefined) return undefined;
      return { id, ...found, pageCount: (await pages.sizes(id, signal)).length };
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
          const pageCount = unknown ? await pagesOrNothing(id, false, signal) : (await pages.sizes(id, signal)).length;
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
  };
};
