/**
 * Uploader: puts the PDF that arrived, and the layers beside it, into the document engine of the destination.
 *
 * 1. The engine is called through its circuit breaker. While that is open the message goes back, and the attempt does not count.
 * 2. PDFs of a message are put together. When that fails for a reason that is not a document's own, each is put by itself, so that it is tried again
 *    alone.
 * 3. Putting the same bytes again changes nothing, and layers are imported as they are; other bytes, of a try whose PDF was made anew since, are
 *    replaced. So a repetition ends where the first try would have.
 * 4. An exhibit to which no PDF came is skipped, with why.
 */
import { CaseboundError, hasCode } from '@casebound/contract';
import type { CircuitBreaker } from '@casebound/messaging';
import { parseInstantJson } from '@casebound/pdf';
import type { EngineDocumentId, PutEach, PutOutcome, StoredPdf } from '../../../platform/document-engine/Port.ts';
import { objectKey } from '../../../platform/object-store/Port.ts';
import { readBytes } from '../../../platform/object-store/read-bytes.ts';
import { layersKey } from '../document-keys.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import type { LedgerExhibit, Outcome } from '../ledger.ts';
import { destinationEngineId } from '../source-annotations.ts';
import { readVariants } from '../variants.ts';
import { eachExhibit, type Processor, type RunningJob } from './process-message.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'engine' | 'config' | 'crashPoint'> & {
  readonly breaker: CircuitBreaker;
};

const concurrency = 4;
const maxLayerBytes = 256 * 1024 * 1024;

export const createUploader =
  ({ sessions, objects, engine, config, crashPoint, breaker }: Parts): Processor =>
  async ({ job, exhibits, signal }) => {
    const variants = await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) =>
        readVariants(
          tx,
          exhibits.map(({ documentId }) => documentId),
        ),
      { signal },
    );

    const readLayers = async (exhibit: LedgerExhibit, running: RunningJob): Promise<Uint8Array | undefined> => {
      const place = { caseId: running.destinationCaseId, batchId: running.batchId, documentKey: exhibit.documentKey };
      try {
        return await readBytes(objects, layersKey(place), { maxBytes: maxLayerBytes, signal });
      } catch (error) {
        if (hasCode(error, 'object_not_found')) return undefined;
        throw error;
      }
    };

    const stored = exhibits.flatMap((exhibit): StoredPdf[] => {
      const pdf = (variants.get(exhibit.documentId) ?? []).find(({ type }) => type === 'pdf');
      if (pdf === undefined) return [];
      const { size, sha256 } = pdf;
      const object = objectKey(pdf.objectKey);
      const read = async (): Promise<Uint8Array> =>
        readBytes(objects, object, { maxBytes: config.maxPdfBytes, signal });
      return [{ id: destinationEngineId(job.destinationCaseId, job.batchId, exhibit), object, size, sha256, read }];
    });
    const pdfs = new Map(stored.map((pdf) => [pdf.id, pdf]));
    const putAll = async (some: readonly StoredPdf[]): Promise<Map<EngineDocumentId, PutEach>> => {
      const outcomes = await breaker.run(async () => engine.putStored(some, { signal }));
      return new Map(outcomes.map((outcome) => [outcome.id, outcome]));
    };
    /** Undefined when it was not the fault of documents. */
    const together = await putAll(stored).catch((error: unknown) => {
      // A breaker that is open is not the fault of a document: the whole message waits for it.
      if (hasCode(error, 'circuit_open')) throw error;
      return undefined;
    });
    signal.throwIfAborted();
    const put = async (pdf: StoredPdf): Promise<PutOutcome> => {
      const outcome = (together ?? (await putAll([pdf]))).get(pdf.id);
      if (outcome === undefined) throw new CaseboundError('internal', `The engine says nothing of ${pdf.id}.`);
      if ('error' in outcome) throw outcome.error;
      return outcome.put;
    };

    const { outcomes, retry } = await eachExhibit(
      { exhibits, signal },
      concurrency,
      async (exhibit): Promise<Outcome> => {
        const { exhibitId } = exhibit;
        const id = destinationEngineId(job.destinationCaseId, job.batchId, exhibit);
        const pdf = pdfs.get(id);
        if (pdf === undefined)
          return { exhibitId, state: 'skipped', code: 'no_pdf', reason: 'No PDF of the exhibit arrived.' };
        const layers = job.stages.includes('pre_uploader') ? await readLayers(exhibit, job) : undefined;
        const placed = await put(pdf);
        crashPoint('exchange.uploader.put');
        const imported =
          layers === undefined
            ? { annotations: 0, comments: 0 }
            : await breaker.run(async () =>
                engine.importInstantJson(id, parseInstantJson(JSON.parse(Buffer.from(layers).toString('utf8'))), {
                  signal,
                }),
              );
        return {
          exhibitId,
          state: 'done',
          detail: { engineDocumentId: id, pages: placed.pageCount, sha256: placed.sha256, ...imported },
        };
      },
    );
    const shut = retry.find(({ error }) => hasCode(error, 'circuit_open'));
    if (shut !== undefined && outcomes.length === 0) throw shut.error;
    const pagesOf = new Map(outcomes.map(({ exhibitId, detail }) => [exhibitId, Number(detail?.['pages'] ?? 0)]));
    return {
      outcomes,
      retry,
      events: (settled) => {
        const done = outcomes.filter(({ exhibitId, state }) => state === 'done' && settled.has(exhibitId));
        const exhibitIds = done.map(({ exhibitId }) => exhibitId);
        const pages = exhibitIds.reduce((sum, id) => sum + (pagesOf.get(id) ?? 0), 0);
        return [{ type: 'DOCUMENT_UPLOADED', exhibitIds, detail: { documents: done.length, pages } }];
      },
    };
  };
