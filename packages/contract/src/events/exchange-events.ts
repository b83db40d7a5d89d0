/** Facts about exchanges, stated by the orchestrator and its processors. */
import { z } from 'zod';
import { CaseId } from '../ids.ts';
import { jobEvent, Progress } from './declare-event.ts';

const count = z.number().int().nonnegative();
const objectKey = z.string().min(1).max(1024);

/** Facts about documents name their exhibits in the envelope: one event states what one message did, however many it carried. */
export const exchangeEvents = {
  EXCHANGER_INITIATED: jobEvent({
    version: 1,
    sentence: 'An exchange has its queues, workers and subscriptions, and its record copy has started.',
    producer: 'exchange.orchestrator',
    consumers: ['exchange.status'],
    detail: z.object({ sourceCaseId: CaseId, destinationCaseId: CaseId, exhibits: count }),
  }),
  DB_COPY_FINISHED: jobEvent({
    version: 1,
    sentence: 'All records of an exchange were copied.',
    producer: 'exchange.record-copy',
    consumers: ['exchange.payload-construction'],
    detail: z.object({ records: count, byResource: z.record(z.string(), count) }),
  }),
  COPY_FAILED: jobEvent({
    version: 1,
    sentence: 'The record copy of an exchange failed for good; its clean-up follows.',
    producer: 'exchange.record-copy',
    consumers: ['exchange.orchestrator'],
    detail: z.object({ attempts: count, chunk: count.nullable() }),
  }),
  PAYLOAD_CONSTRUCTION_FINISHED: jobEvent({
    version: 1,
    sentence: 'Every document of an exchange was handed to its processors.',
    producer: 'exchange.payload-construction',
    consumers: ['exchange.orchestrator'],
    detail: z.object({ documents: count, messages: count }),
  }),
  DOCUMENT_NOT_FOUND: jobEvent({
    version: 1,
    sentence: 'Source objects of documents were missing; the items end with that outcome and the exchange goes on.',
    producer: 'exchange.object-copy, exchange.pre-uploader',
    consumers: ['web'],
    detail: z.object({ stage: z.string().min(1), objectKeys: z.array(objectKey).min(1) }),
  }),
  DOCUMENT_COPIED: jobEvent({
    version: 1,
    sentence: 'PDF, images and text of documents were copied to the destination and checked.',
    producer: 'exchange.object-copy',
    consumers: ['exchange.ledger', 'web'],
    detail: z.object({ documents: count, objects: count, bytes: count }),
  }),
  NATIVE_DOCUMENT_COPIED: jobEvent({
    version: 1,
    sentence: 'Native files of documents were copied to the destination and checked.',
    producer: 'exchange.object-copy',
    consumers: ['web'],
    detail: z.object({ documents: count, bytes: count }),
  }),
  DOCUMENT_PRE_PROCESSED: jobEvent({
    version: 1,
    sentence:
      'The annotations of documents were routed, their redactions verified, and the resulting PDFs and layers written.',
    producer: 'exchange.pre-uploader',
    consumers: ['exchange.ledger', 'web'],
    detail: z.object({
      documents: count,
      redactionsVerified: count,
      annotations: z.object({ brandedIn: count, layered: count, omitted: count }),
    }),
  }),
  DOCUMENT_UPLOADED: jobEvent({
    version: 1,
    sentence: 'Documents stand in the document engine of the destination case.',
    producer: 'exchange.uploader',
    consumers: ['exchange.re-ocr', 'exchange.ledger'],
    detail: z.object({ documents: count, pages: count }),
  }),
  DOCUMENT_TEXT_RECOGNIZED: jobEvent({
    version: 1,
    sentence: 'The page text of destination documents was read from their PDFs and written.',
    producer: 'exchange.re-ocr',
    consumers: ['exchange.ledger', 'web'],
    detail: z.object({ documents: count, pages: count }),
  }),
  DOCUMENT_INDEXED: jobEvent({
    version: 1,
    sentence: 'Documents are in the search index of the destination case.',
    producer: 'exchange.search-text',
    consumers: ['exchange.ledger', 'web'],
    detail: z.object({ documents: count, pages: count }),
  }),
  EXCHANGER_PROGRESSED: jobEvent({
    version: 1,
    sentence: 'An exchange moved on; sent at most once a second.',
    producer: 'exchange.ledger',
    consumers: ['web', 'cli'],
    detail: z.object({ progress: Progress, byStage: z.record(z.string(), Progress) }),
  }),
  EXCHANGER_DELETE_INITIATED: jobEvent({
    version: 1,
    sentence: 'Every item of an exchange is terminal; its queues and workers can be taken down.',
    producer: 'exchange.ledger, exchange.orchestrator',
    consumers: ['exchange.orchestrator'],
    detail: z.object({ round: count.describe('How often the take-down was put off so far.') }),
  }),
  EXCHANGER_FINISHED: jobEvent({
    version: 1,
    sentence: 'An exchange was verified.',
    producer: 'exchange.orchestrator',
    consumers: ['exchange.status'],
    detail: z.object({ items: count, failedItems: count, manifestKey: objectKey.nullable() }),
  }),
  EXCHANGER_ROLLED_BACK: jobEvent({
    version: 1,
    sentence: 'What a finished exchange had brought was removed from the destination again.',
    producer: 'exchange.orchestrator',
    consumers: ['exchange.status', 'web'],
    detail: z.object({ kept: count.describe('Records that stay because they were changed, or others refer to them.') }),
  }),
  EXCHANGER_FAILED: jobEvent({
    version: 1,
    sentence: 'An exchange failed and was cleaned up.',
    producer: 'exchange.orchestrator',
    consumers: ['exchange.status'],
    detail: z.object({ step: z.string().min(1) }),
  }),
} as const;
