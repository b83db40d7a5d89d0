/** What the parts of the adapter share. */
import { CaseboundError, type Actor } from '@casebound/contract';
import type { Attachment, PageAnnotation } from '@casebound/pdf';
import type { NutrientDependencies } from './dependencies.ts';
import type { EngineAttachments } from './engine-attachments.ts';
import type { Signal } from './engine-client.ts';
import type { EngineDocuments } from './engine-documents.ts';
import type { EnginePages } from './engine-pages.ts';
import type { EngineRecords } from './engine-records.ts';
import type { Writing } from './annotation-records.ts';

export interface EngineWork {
  readonly documents: EngineDocuments;
  readonly pages: EnginePages;
  readonly records: EngineRecords;
  readonly attachments: EngineAttachments;
  readonly workers: NutrientDependencies['workers'];
  /** One at a time for one document. */
  exclusively<T>(document: string, work: () => Promise<T>): Promise<T>;
  /** How a record is written now. */
  writing(by: string): Writing;
  /** Runs a few tasks at once, in order of results. */
  each<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]>;
}

export const actorId = (actor: Actor | undefined): string => (actor?.kind === 'account' ? actor.accountId : 'system');

/** The binaries that stickers show. Throws `attachment_missing`. */
export const binariesOf = async (
  { attachments }: EngineWork,
  document: string,
  annotations: readonly PageAnnotation[],
  signal: Signal,
): Promise<ReadonlyMap<string, Attachment>> => {
  const found = new Map<string, Attachment>();
  for (const annotation of annotations) {
    if (annotation.type !== 'pspdfkit/image' || found.has(annotation.imageAttachmentId)) continue;
    const attachment = await attachments.find(document, annotation.imageAttachmentId, signal);
    if (attachment === undefined)
      throw new CaseboundError(
        'attachment_missing',
        `The sticker \`${annotation.id}\` refers to the attachment \`${annotation.imageAttachmentId}\`, which is not there.`,
      );
    found.set(annotation.imageAttachmentId, attachment);
  }
  return found;
};
