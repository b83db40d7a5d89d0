/**
 * The document of an exhibit in the engine. It is made when it is first asked for, from the exhibit's PDF.
 *
 * - Putting equal bytes again changes nothing, so two first calls at once make one document. When the document has other bytes by then, its
 *   redactions were applied meanwhile, and it is left as it is.
 * - It is not made for an exhibit that came with annotations, by an import or an exchange, that the engine does not have: who sees a document
 *   without them would take it for one under which nothing is hidden.
 */
import { type Actor, CaseboundError, type CaseId, hasCode } from '@casebound/contract';
import { objectKey } from '../../platform/object-store/Port.ts';
import { readBytes } from '../../platform/object-store/read-bytes.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { type AnnotatedExhibit, findExhibit } from './store.ts';

/** Who asks about which exhibit. */
export interface ExhibitCall {
  readonly caseId: CaseId;
  readonly exhibitId: number;
  readonly actor: Actor;
  readonly requestId?: string;
  readonly signal?: AbortSignal;
}

/** Largest PDF that is taken into memory. */
const maxPdfBytes = 1024 * 1024 * 1024;

export const engineCall = ({
  actor,
  signal,
}: ExhibitCall): { readonly actor: Actor; readonly signal?: AbortSignal } => ({
  actor,
  ...(signal === undefined ? {} : { signal }),
});

const makeDocument = async (
  { engine, objects }: AnnotationDependencies,
  call: ExhibitCall,
  exhibit: AnnotatedExhibit,
): Promise<void> => {
  if (exhibit.pdf === undefined)
    throw new CaseboundError(
      'exhibit_without_pdf',
      `The exhibit ${exhibit.controlNumber} has no PDF that anything could lie on.`,
    );
  const below = (folder: string): string =>
    `case_${exhibit.caseId}/processed-files/${exhibit.batchId}/${folder}/${exhibit.documentKey}/instant.json`;
  for (const folder of ['annotations', 'layers'])
    if ((await objects.head(objectKey(below(folder)))) !== undefined)
      throw new CaseboundError(
        'annotations_unread',
        `The exhibit ${exhibit.controlNumber} came with annotations that are not on its document yet.`,
      );
  const bytes = await readBytes(objects, objectKey(exhibit.pdf.key), {
    maxBytes: maxPdfBytes,
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  try {
    await engine.putDocument(exhibit.engineId, bytes, engineCall(call));
  } catch (error) {
    if (!hasCode(error, 'engine_document_exists')) throw error;
  }
};

/**
 * The exhibit, with its document in the engine.
 * Errors: those of `withCase`; `exhibit_not_found`, `exhibit_without_pdf`, `annotations_unread`, what reading an object and opening a PDF throws.
 */
export const openExhibit = async (parts: AnnotationDependencies, call: ExhibitCall): Promise<AnnotatedExhibit> => {
  const exhibit = await parts.sessions.withCase(
    call.caseId,
    call.actor,
    async (tx) => findExhibit(tx, call.caseId, call.exhibitId),
    { readOnly: true, readsWithBegin: true, ...(call.signal === undefined ? {} : { signal: call.signal }) },
  );
  const present = await parts.engine.findDocument(exhibit.engineId, engineCall(call));
  if (present === undefined) await makeDocument(parts, call, exhibit);
  return exhibit;
};
