/**
 * Where the files of a document lie in the object store. Keys hold the document's key, which is known before anything is written, so an
 * import that is resumed writes the same objects again.
 */
import type { CaseId } from '@casebound/contract';
import { type ObjectKey, objectKey } from '../../../platform/object-store/Port.ts';

export interface DocumentPlace {
  readonly caseId: CaseId;
  readonly batchId: number;
  readonly documentKey: string;
}

const below = ({ caseId, batchId, documentKey }: DocumentPlace, folder: string): string =>
  `case_${caseId}/processed-files/${batchId}/${folder}/${documentKey}`;

export const nativeKey = (place: DocumentPlace): ObjectKey => objectKey(`${below(place, 'native')}/content`);
export const pdfKey = (place: DocumentPlace): ObjectKey => objectKey(`${below(place, 'pdf')}/content.pdf`);
/** `position` is 1-based. */
export const imageKey = (place: DocumentPlace, position: number): ObjectKey =>
  objectKey(`${below(place, 'image')}/${position}`);
/** `position` is the page, 1-based. */
export const pageTextKey = (place: DocumentPlace, position: number): ObjectKey =>
  objectKey(`${below(place, 'txt')}/attachments/${position}/content.txt`);
export const annotationsKey = (place: DocumentPlace): ObjectKey =>
  objectKey(`${below(place, 'annotations')}/instant.json`);
