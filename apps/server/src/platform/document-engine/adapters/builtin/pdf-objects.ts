/**
 * PDFs of documents in the object store.
 *
 * - A key is used once: it holds the document's ids, the hash of the bytes and chance. Nothing that is deleted can be meant by another.
 * - An object is written down as loose before it is written, and stays so until a document points at it; a document that lets go of one
 *   makes it loose again. Whatever dies in between, the next sweep finds it.
 */
import { randomBytes } from 'node:crypto';
import { type Actor, CaseboundError, type CaseId, hasCode } from '@casebound/contract';
import { objectKey, type ObjectKey } from '../../../object-store/Port.ts';
import { type EngineDocumentId, parseDocumentId } from '../../Port.ts';
import type { BuiltinDependencies } from './dependencies.ts';
import { type DocumentRow, forgetLoose, listLoose, requireDocument } from './document-rows.ts';

export const newKey = (id: EngineDocumentId, sha256: string): ObjectKey => {
  const { caseId, batchId, documentId, exhibitId } = parseDocumentId(id);
  const chance = randomBytes(6).toString('hex');
  return objectKey(
    `case_${caseId}/document-engine/${batchId}/pdf/${documentId}/${exhibitId}/${sha256.slice(0, 32)}-${chance}.pdf`,
  );
};

const readObject = async (
  objects: BuiltinDependencies['objects'],
  key: ObjectKey,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> => {
  const reading = await objects.get(key, signal === undefined ? {} : { signal });
  // Memory of its own, so that it can be moved to a worker.
  const bytes = new Uint8Array(reading.length);
  let at = 0;
  for await (const chunk of reading.body as AsyncIterable<Uint8Array>) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
};

const ATTEMPTS = 3;

/**
 * The row of a document and its PDF, which belong together: when the document is replaced between the two, both are read again.
 * Throws `engine_document_not_found`.
 */
export const readPdf = async (
  { cases, objects }: BuiltinDependencies,
  actor: Actor,
  id: EngineDocumentId,
  signal: AbortSignal | undefined,
): Promise<{ readonly row: DocumentRow; readonly pdf: Uint8Array }> => {
  const { caseId } = parseDocumentId(id);
  for (let attempt = 1; ; attempt += 1) {
    const row = await cases.withCase(caseId, actor, async (tx) => requireDocument(tx, id), {
      readOnly: true,
      ...(signal === undefined ? {} : { signal }),
    });
    try {
      return { row, pdf: await readObject(objects, row.key, signal) };
    } catch (error) {
      if (!hasCode(error, 'object_not_found') || attempt === ATTEMPTS) throw error;
    }
  }
};

const SWEEP = 1_000;

/**
 * Deletes objects that no document points at. What fails now is found by the next sweep, so the caller's own work, which is committed,
 * does not fail by it.
 */
export const sweepLoose = async (
  { cases, objects }: BuiltinDependencies,
  actor: Actor,
  caseId: CaseId,
): Promise<void> => {
  try {
    const keys = await cases.withCase(caseId, actor, async (tx) => listLoose(tx, SWEEP));
    if (keys.length === 0) return;
    await objects.delete(keys);
    await objects.flush();
    await cases.withCase(caseId, actor, async (tx) => forgetLoose(tx, keys));
  } catch (error) {
    if (!(error instanceof CaseboundError)) throw error;
  }
};
