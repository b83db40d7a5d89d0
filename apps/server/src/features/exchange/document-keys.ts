/**
 * Keys of a document's objects in the destination.
 *
 * - What lies under a batch and a document's key in the source lies under the new batch and key in the destination, with the rest of its key.
 */
import type { BatchId, CaseId } from '@casebound/contract';
import { objectKey, type ObjectKey } from '../../platform/object-store/Port.ts';

export interface DocumentPlace {
  readonly caseId: CaseId;
  readonly batchId: number;
  readonly documentKey: string;
}

const below = ({ caseId, batchId, documentKey }: DocumentPlace, folder: string): string =>
  `case_${caseId}/processed-files/${batchId}/${folder}/${documentKey}`;

/** Where the copy of a variant goes. */
export const variantKey = (
  place: DocumentPlace,
  source: { readonly type: string; readonly position: number; readonly objectKey: string },
): ObjectKey => {
  const parts = /^case_\d+\/processed-files\/\d+\/([^/]+)\/[^/]+\/(.+)$/.exec(source.objectKey);
  return objectKey(
    parts === null
      ? `${below(place, source.type)}/${source.position}`
      : `${below(place, parts[1] ?? source.type)}/${parts[2] ?? source.position}`,
  );
};

/** A PDF that the pre-uploader made. */
export const producedPdfKey = (place: DocumentPlace): ObjectKey => objectKey(`${below(place, 'pdf')}/content.pdf`);

/** Annotations that stay annotations, as Instant JSON with the binaries of stickers. */
export const layersKey = (place: DocumentPlace): ObjectKey => objectKey(`${below(place, 'layers')}/instant.json`);

/** Where an import puts the annotations that it brought, for the document engine. */
export const importedAnnotationsKey = (place: DocumentPlace): ObjectKey =>
  objectKey(`${below(place, 'annotations')}/instant.json`);

export const batchPrefix = (caseId: CaseId, batchId: BatchId): string => `case_${caseId}/processed-files/${batchId}/`;
