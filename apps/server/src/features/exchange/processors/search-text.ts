/**
 * Search text: puts exhibits into the index of the destination, from what stands there now.
 *
 * 1. It comes last of an exhibit's stages, so that it finds the text that arrived and no other.
 * 2. Putting an exhibit again replaces its index document whole.
 * 3. An exhibit that somebody changed after it was read is put again.
 * 4. Writes are bounded by number and bytes, whatever a message carries.
 */
import type { IndexDocument } from '../../../platform/search-index/Port.ts';
import type { Fields } from '../../fields/index.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import {
  buildIndexDocuments,
  indexChanged,
  readCoreFields,
  readCustomFields,
  readPages,
  readRevisions,
} from '../../indexing/index.ts';
import type { Outcome } from '../ledger.ts';
import { permanentOutcome, type Processor } from './process-message.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'index' | 'config' | 'crashPoint'> & {
  readonly fields: Fields;
};

const bytesOf = ({ pages }: IndexDocument): number => pages.reduce((sum, { text }) => sum + text.length, 0);

export const createSearchText =
  ({ sessions, objects, index, config, crashPoint, fields }: Parts): Processor =>
  async ({ job, exhibits, signal }) => {
    const ids = exhibits.map(({ exhibitId }) => exhibitId);
    const { revisions, core, pages } = await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) => ({
        revisions: await readRevisions(tx, ids),
        core: await readCoreFields(tx, ids),
        pages: await readPages(tx, ids),
      }),
      { signal },
    );
    const custom = await readCustomFields(fields, job.destinationCaseId, job.createdBy, ids, signal);
    const outcomes: Outcome[] = [];
    const retry: { exhibitId: number; error: unknown }[] = [];
    let waiting: IndexDocument[] = [];
    let bytes = 0;

    const put = async (documents: readonly IndexDocument[]): Promise<void> => {
      await index.put(job.destinationCaseId, documents);
      crashPoint('exchange.search-text.put');
      for (const { exhibitId, pages: indexed } of documents)
        outcomes.push({ exhibitId, state: 'done', detail: { pages: indexed.length } });
    };

    /** Together, and alone when that fails: one document that the index does not take stops no other. */
    const write = async (): Promise<void> => {
      const documents = waiting;
      waiting = [];
      bytes = 0;
      try {
        await put(documents);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (documents.length === 1) {
          judge(documents[0]?.exhibitId ?? 0, error);
          return;
        }
      }
      for (const document of documents) {
        signal.throwIfAborted();
        await put([document]).catch((error: unknown) => judge(document.exhibitId, error));
      }
    };

    const judge = (exhibitId: number, error: unknown): void => {
      const ended = permanentOutcome(exhibitId, error);
      if (ended === undefined) retry.push({ exhibitId, error });
      else outcomes.push(ended);
    };

    const toIndex = exhibits.map(({ exhibitId, documentKey, controlNumber }) => ({
      exhibitId,
      controlNumber,
      documentKey,
      batchId: job.batchId,
      pages: pages.get(exhibitId) ?? [],
      fields: { ...core.get(exhibitId), ...custom.get(exhibitId) },
    }));
    for await (const part of buildIndexDocuments(objects, job.destinationCaseId, toIndex, signal)) {
      signal.throwIfAborted();
      for (const built of part) {
        if ('error' in built) {
          judge(built.exhibitId, built.error);
          continue;
        }
        waiting.push(built.document);
        bytes += bytesOf(built.document);
        if (waiting.length >= config.indexBulkActions || bytes >= config.indexBulkBytes) await write();
      }
    }
    if (waiting.length > 0) await write();
    const ended = new Map(outcomes.map(({ exhibitId, state }) => [exhibitId, state]));
    const written = new Map([...revisions].filter(([exhibitId]) => ended.get(exhibitId) === 'done'));
    await indexChanged({ sessions, objects, index, fields }, job.destinationCaseId, job.createdBy, written, signal);
    return {
      outcomes,
      retry,
      events: (settled) => {
        const done = outcomes.filter(({ exhibitId, state }) => state === 'done' && settled.has(exhibitId));
        const total = done.reduce((sum, { detail }) => sum + Number(detail?.['pages'] ?? 0), 0);
        return [
          {
            type: 'DOCUMENT_INDEXED',
            exhibitIds: done.map(({ exhibitId }) => exhibitId),
            detail: { documents: done.length, pages: total },
          },
        ];
      },
    };
  };
