/**
 * Where the files of a document lie in the object store. Keys hold the document's key, which is known before anything is written, so an
 * import that is resumed writes the same objects again.
 *
 * - What an overlay brings lies beside what the document has, under the overlay's job: nothing is replaced before the record says so. Page
 *   texts have one place each, where the index and exchanges find them; those of an overlay are copied there when it is certain that they
 *   are taken.
 */
import type { CaseId } from '@casebound/contract';
import { type ObjectKey, objectKey } from '../../../platform/object-store/Port.ts';

export interface DocumentPlace {
  readonly caseId: CaseId;
  readonly batchId: number;
  readonly documentKey: string;
  /** Job of the overlay that brings the files. */
  readonly overlay?: string | undefined;
}

const below = ({ caseId, batchId, documentKey }: DocumentPlace, folder: string): string =>
  `case_${caseId}/processed-files/${batchId}/${folder}/${documentKey}`;

const own = (place: DocumentPlace, folder: string): string =>
  place.overlay === undefined ? below(place, folder) : `${below(place, folder)}/${place.overlay}`;

export const nativeKey = (place: DocumentPlace): ObjectKey => objectKey(`${own(place, 'native')}/content`);
export const pdfKey = (place: DocumentPlace): ObjectKey => objectKey(`${own(place, 'pdf')}/content.pdf`);
/** `position` is 1-based. */
export const imageKey = (place: DocumentPlace, position: number): ObjectKey =>
  objectKey(`${own(place, 'image')}/${position}`);
/** Where the text of a page is stored first: its place, or beside it. `position` is the page, 1-based. */
export const storedTextKey = (place: DocumentPlace, position: number): ObjectKey =>
  objectKey(`${own(place, 'txt')}/attachments/${position}/content.txt`);
/** `position` is the page, 1-based. */
export const pageTextKey = (place: DocumentPlace, position: number): ObjectKey =>
  objectKey(`${below(place, 'txt')}/attachments/${position}/content.txt`);
export const annotationsKey = (place: DocumentPlace): ObjectKey =>
  objectKey(`${below(place, 'annotations')}/instant.json`);
