/** All jobs. A worker's handlers are a mapped type over these names: a missing one does not compile. */
import { z } from 'zod';
import { DocumentId, ExhibitId } from '../ids.ts';
import { declareJob } from './declare-job.ts';
import type { JobDeclaration } from './declare-job.ts';

/** A message carries several documents; those that fail are tried again alone. */
const documents = z.strictObject({
  documents: z
    .array(z.object({ documentId: DocumentId, exhibitIds: z.array(ExhibitId).min(1) }))
    .min(1)
    .max(1000),
});

export const jobCatalogue = {
  object_copy: declareJob({
    name: 'object_copy',
    sentence: 'Copies natives, images and text of documents to the destination case and checks size and hash.',
    payload: documents,
    failureEvent: 'DOCUMENT_COPIED',
  }),
  pre_uploader: declareJob({
    name: 'pre_uploader',
    sentence: 'Routes the annotations of documents, verifies redactions and writes the resulting PDF and layers.',
    payload: documents,
    failureEvent: 'DOCUMENT_PRE_PROCESSED',
  }),
  uploader: declareJob({
    name: 'uploader',
    sentence: 'Puts PDF and layers of documents into the document engine of the destination case.',
    payload: documents,
    failureEvent: 'DOCUMENT_UPLOADED',
  }),
  re_ocr: declareJob({
    name: 're_ocr',
    sentence: 'Recognizes the page text of destination documents.',
    payload: documents,
    failureEvent: 'DOCUMENT_TEXT_RECOGNIZED',
  }),
  search_text: declareJob({
    name: 'search_text',
    sentence: 'Puts the page text of documents into the search index of the destination case.',
    payload: documents,
    failureEvent: 'DOCUMENT_INDEXED',
  }),
  run_import: declareJob({
    name: 'run_import',
    sentence: 'Carries an import on from its checkpoint to its end, or undoes one that was cancelled.',
    payload: z.strictObject({}),
    // A delivery imports for a part of this and sends the rest on; only the reading of the whole source is not divided.
    handlerTimeoutSeconds: 1_800,
    batchWindowSeconds: 0,
    maxReceiveCount: 20,
    failureEvent: 'IMPORT_FAILED',
  }),
} as const satisfies Record<string, JobDeclaration>;

type Catalogue = typeof jobCatalogue;
export type JobName = keyof Catalogue;

/** What a message of the job carries. */
export type JobPayload<N extends JobName> = z.output<Catalogue[N]['payload']>;
