/** What every adapter does with several PDFs: each ends by itself, and what the engine is at fault for ends the call. */
import { CaseboundError } from '@casebound/contract';
import type { PutEach, PutOutcome, StoredPdf } from './Port.ts';

const ofEngine = new Set(['document_engine_unavailable', 'document_engine_denied', 'circuit_open']);

/** Whether a document or its object is at fault. */
export const isOfDocument = (error: unknown): boolean => error instanceof CaseboundError && !ofEngine.has(error.code);

/** Puts one PDF after the other. */
export const putEach = async (
  pdfs: readonly StoredPdf[],
  put: (pdf: StoredPdf) => Promise<PutOutcome>,
): Promise<readonly PutEach[]> => {
  const outcomes: PutEach[] = [];
  for (const pdf of pdfs) {
    const { id } = pdf;
    try {
      outcomes.push({ id, put: await put(pdf) });
    } catch (error) {
      if (!isOfDocument(error)) throw error;
      outcomes.push({ id, error });
    }
  }
  return outcomes;
};
