/**
 * Uploader: puts the PDF that arrived, and the layers beside it, into the document engine of the destination.
 *
 * 1. The engine is called through its circuit breaker. While that is open the message goes back, and the attempt does not count.
 * 2. Putting the same bytes again changes nothing, and layers are imported as they are; other bytes, of a try whose PDF was made anew since, are
 *    replaced. So a repetition ends where the first try would have.
 * 3. An exhibit to which no PDF came is skipped, with why.
 */
import { hasCode } from '@casebound/contract';
import type { CircuitBreaker } from '@casebound/messaging';
import { parseInstantJson } from '@casebound/pdf';
import type { EngineDocumentId, PutOutcome } from '../../../platform/document-engine/Port.ts';
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

/** PDFs of one message that are put at once, and how large they may be for that: large ones go one by one. */
const concurrency = 4;
const smallBytes = 16 * 1024 * 1024;
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

    const put = async (id: EngineDocumentId, bytes: Uint8Array): Promise<PutOutcome> => {
      try {
        return await engine.putDocument(id, bytes, { signal });
      } catch (error) {
        if (!hasCode(error, 'engine_document_exists')) throw error;
        return engine.putDocument(id, bytes, { signal, replace: true });
      }
    };

    const isLarge = [...variants.values()].flat().some(({ type, size }) => type === 'pdf' && size > smallBytes);
    const { outcomes, retry } = await eachExhibit(
      { exhibits, signal },
      isLarge ? 1 : concurrency,
      async (exhibit): Promise<Outcome> => {
        const { exhibitId } = exhibit;
        const pdf = (variants.get(exhibit.documentId) ?? []).find(({ type }) => type === 'pdf');
        if (pdf === undefined)
          return { exhibitId, state: 'skipped', code: 'no_pdf', reason: 'No PDF of the exhibit arrived.' };
        const bytes = await readBytes(objects, objectKey(pdf.objectKey), { maxBytes: config.maxPdfBytes, signal });
        const layers = job.stages.includes('pre_uploader') ? await readLayers(exhibit, job) : undefined;
        const id = destinationEngineId(job.destinationCaseId, job.batchId, exhibit);
        const stored = await breaker.run(async () => put(id, bytes));
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
          detail: { engineDocumentId: id, pages: stored.pageCount, sha256: stored.sha256, ...imported },
        };
      },
    );
    // A breaker that is open is not the fault of a document: the whole message waits for it.
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
