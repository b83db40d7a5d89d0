/** What every adapter does with several PDFs: each ends by itself, and what the engine is at fault for ends the call. */
import { CaseboundError } from '@casebound/contract';
import { eachConcurrently } from './each-concurrently.ts';
import type { EngineDocumentId, PutEach, PutOutcome, StoredPdf } from './Port.ts';

const ofEngine = new Set(['document_engine_unavailable', 'document_engine_denied', 'circuit_open']);

/** Whether a document or its object is at fault. */
export const isOfDocument = (error: unknown): boolean => error instanceof CaseboundError && !ofEngine.has(error.code);

/** PDFs that are put at once, and how large they may be for that: large ones go one by one. */
const atOnce = 4;
const smallBytes = 16 * 1024 * 1024;

/** Puts PDFs, each by a call of its own. */
export const putEach = async (
  pdfs: readonly StoredPdf[],
  put: (pdf: StoredPdf) => Promise<PutOutcome>,
): Promise<readonly PutEach[]> => {
  const outcomes = new Map<EngineDocumentId, PutEach>();
  const isLarge = pdfs.some(({ size }) => size > smallBytes);
  await eachConcurrently(pdfs, isLarge ? 1 : atOnce, async (pdf) => {
    const { id } = pdf;
    try {
      outcomes.set(id, { id, put: await put(pdf) });
    } catch (error) {
      if (!isOfDocument(error)) throw error;
      outcomes.set(id, { id, error });
    }
  });
  return pdfs.flatMap(({ id }) => outcomes.get(id) ?? []);
};
