/**
 * The document engine of Nutrient over its HTTP API (OpenAPI description of Nutrient Document Engine, version 1.9).
 *
 * - Our annotations are records of the document's default layer; see `annotation-records.ts` for their form.
 * - What checks before it writes does so while nobody else writes to the document (`exclusively`): the engine has no conditions.
 * - Copying a document is not among the calls that are made: the copy would have the base layer with what was redacted.
 */
import { CaseboundError } from '@casebound/contract';
import type { NutrientDocumentEngineConfig } from '../../config.ts';
import type { AnnotationsIn, DocumentEngine, EngineDocumentId } from '../../Port.ts';
import { putEach } from '../../put-each.ts';
import { applyRedactions, finishReplacement, standInOf, workLayer } from './apply-redactions.ts';
import { binariesOfRecords, writePlace } from './copy-records.ts';
import type { NutrientDependencies } from './dependencies.ts';
import {
  addComments,
  createAnnotations,
  deleteAnnotations,
  exportInstantJson,
  getAnnotation,
  importInstantJson,
  listAnnotations,
  listComments,
  updateAnnotations,
} from './engine-annotations.ts';
import { createEngineAttachments } from './engine-attachments.ts';
import { type AnswerLimits, createEngineClient, type Signal } from './engine-client.ts';
import { createEngineMetrics } from './engine-metrics.ts';
import { createEngineDocuments } from './engine-documents.ts';
import { createEnginePages } from './engine-pages.ts';
import { createEngineRecords, type Place } from './engine-records.ts';
import { actorId, type EngineWork } from './engine-work.ts';
import { createExclusiveWork, createGate } from './exclusive-work.ts';
import { removeComments } from './remove-comments.ts';
import { createSharedToken } from './shared-token.ts';
import { surveyDocuments } from './survey-documents.ts';

/** Threads of comments and the like that are asked for at once. */
const atOnce = 4;

/** The PDF with what is on it; redactions, which would only be drawn as marks, are left out when it is flattened. */
const pdfOf = async (
  work: EngineWork,
  document: EngineDocumentId,
  annotations: AnnotationsIn,
  signal: Signal,
): Promise<Uint8Array> => {
  if (annotations === 'none') return work.documents.download({ document }, '?source=true', signal);
  if (annotations === 'layer') return work.documents.download({ document }, '?annotations=true&comments=true', signal);
  const flattened = '?flatten=true&comments=false';
  const records = await work.records.list({ document }, signal);
  const drawn = records.filter(({ content }) => content['type'] !== 'pspdfkit/markup/redaction');
  if (drawn.length === records.length) return work.documents.download({ document }, flattened, signal);
  return work.exclusively(document, async () => {
    const place: Place = { document, layer: workLayer };
    await work.documents.deleteLayer(place, signal);
    try {
      const binaries = await binariesOfRecords(work, document, drawn, signal);
      await writePlace(work, { annotations: drawn, comments: new Map() }, binaries, place, signal);
      return await work.documents.download(place, flattened, signal);
    } finally {
      // What is left of it is deleted before the next use.
      await work.documents.deleteLayer(place, undefined).catch(() => undefined);
    }
  });
};

export interface NutrientOptions extends NutrientDependencies {
  /** Largest answers that are read. */
  readonly limits?: Partial<AnswerLimits>;
}

/** Opens the adapter; makes no call yet. The caller closes it. */
export const openNutrientDocumentEngine = (
  config: NutrientDocumentEngineConfig,
  dependencies: NutrientOptions,
): DocumentEngine => {
  const { clock, secrets, breaker, workers, random = Math.random } = dependencies;
  const client = createEngineClient({
    ...config,
    token: createSharedToken(config.apiToken, secrets, clock),
    breaker,
    metrics: createEngineMetrics(dependencies.metrics),
    clock,
    random,
    ...(dependencies.limits === undefined ? {} : { limits: dependencies.limits }),
  });
  const records = createEngineRecords(client);
  const pages = createEnginePages(client, clock);
  const documents = createEngineDocuments(client, pages);
  const attachments = createEngineAttachments(client, records);
  const oneAtATime = dependencies.exclusively ?? createExclusiveWork();
  let written = 0;
  const work: EngineWork = {
    documents,
    pages,
    records,
    attachments,
    workers,
    exclusively: oneAtATime,
    writing: (by) => ({ by, at: clock.now(), order: (written += 1) }),
    each: async (items, task) => {
      const gate = createGate(atOnce);
      return Promise.all(items.map(async (item) => gate(async () => task(item))));
    },
  };

  const putDocument: DocumentEngine['putDocument'] = async (id, pdf, options = {}) =>
    oneAtATime(id, async () =>
      documents.put(
        id,
        pdf,
        options.replace === true,
        // Where a redaction was interrupted, the PDF from before it must not come back.
        async () => finishReplacement(work, id, options.signal),
        options.signal,
      ),
    );

  return {
    kind: 'nutrient',
    putDocument,
    putStored: async (pdfs, options = {}) =>
      putEach(pdfs, async ({ id, read }) => putDocument(id, await read(), { ...options, replace: true })),
    surveyDocuments: async (ids, options = {}) => surveyDocuments(work, ids, options),
    findDocument: async (id, options = {}) => documents.describe(id, options.signal),
    listDocuments: (caseId, options = {}) => documents.list(caseId, options.signal),
    getPdf: async (id, options = {}) => pdfOf(work, id, options.annotations ?? 'none', options.signal),
    pageSizes: async (id, options = {}) => pages.sizes(id, options.signal),
    pageText: async (id, pageIndex, options = {}) => pages.text(id, pageIndex, options.signal),
    renderPage: async (id, pageIndex, options = {}) =>
      pages.render(id, pageIndex, options.dpi, options.annotations === false, options.signal),
    searchText: async (id, query, options = {}) => pages.search(id, query, options.signal),
    listAnnotations: async (id, options) => listAnnotations(work, id, options),
    getAnnotation: async (id, annotationId, options) => getAnnotation(work, id, annotationId, options),
    createAnnotations: async (id, annotations, options) => createAnnotations(work, id, annotations, options),
    updateAnnotations: async (id, changes, options) => updateAnnotations(work, id, changes, options),
    deleteAnnotations: async (id, removals, options) => deleteAnnotations(work, id, removals, options),
    listComments: async (id, options) => listComments(work, id, options),
    addComments: async (id, comments, options) => addComments(work, id, comments, options),
    deleteComments: async (id, commentIds, options = {}) =>
      oneAtATime(id, async () => removeComments(work, id, commentIds, options.signal)),
    putAttachment: async (id, attachment, options = {}) =>
      oneAtATime(id, async () => {
        await documents.require(id, options.signal);
        return attachments.put(id, attachment, actorId(options.actor), options.signal);
      }),
    async getAttachment(id, attachment, options = {}) {
      const found = await attachments.find(id, attachment, options.signal);
      if (found !== undefined) return found;
      await documents.require(id, options.signal);
      throw new CaseboundError('attachment_missing', `The attachment \`${attachment}\` is not on the document.`);
    },
    applyRedactions: async (id, options = {}) =>
      oneAtATime(id, async () => applyRedactions(work, client, id, options.signal)),
    exportInstantJson: async (id, options) => exportInstantJson(work, id, options),
    importInstantJson: async (id, json, options) => importInstantJson(work, id, json, options),
    deleteDocument: async (id, options = {}) =>
      oneAtATime(id, async () => {
        // First what a redaction that was interrupted may have left: from it the document would be made again.
        await documents.delete(standInOf(id), options.signal);
        await documents.delete(id, options.signal);
      }),
    async probe(options = {}) {
      const began = clock.monotonicMs();
      await client.done({
        method: 'GET',
        path: '/api/documents?page_size=1',
        signal: options.signal,
        doing: 'list a document',
        missing: 'document_engine_refused',
      });
      return {
        address: new URL(config.url).origin,
        version: undefined,
        milliseconds: clock.monotonicMs() - began,
      };
    },
    async close() {
      client.close();
    },
  };
};
