/**
 * Binaries on a document.
 *
 * The engine takes a binary only together with an annotation that shows it. One that is put by itself is carried by a hidden annotation on
 * a layer of its own, under its hash; there it stays with the document until the document or its redaction ends it.
 */
import { hasCode } from '@casebound/contract';
import { attachmentId, type Attachment } from '@casebound/pdf';
import type { EngineClient, Signal } from './engine-client.ts';
import { type EngineRecords, pathOf, type Place } from './engine-records.ts';

export const carrierLayer = 'casebound-attachments';

export interface EngineAttachments {
  /** Undefined when there is none. */
  find(document: string, id: string, signal: Signal): Promise<Attachment | undefined>;
  /** To be called by one at a time for one document. */
  put(document: string, attachment: Attachment, by: string, signal: Signal): Promise<string>;
  /** Ids of those that were put by themselves. */
  carried(document: string, signal: Signal): Promise<readonly string[]>;
}

const imageTypes: Readonly<Record<string, string>> = { 'image/jpg': 'image/jpeg' };

export const createEngineAttachments = (client: EngineClient, records: EngineRecords): EngineAttachments => {
  const carrier = (document: string): Place => ({ document, layer: carrierLayer });

  const find: EngineAttachments['find'] = async (document, id, signal) => {
    try {
      const { bytes, contentType } = await client.bytes(
        {
          method: 'GET',
          path: `${pathOf({ document })}/attachments/${encodeURIComponent(id)}`,
          signal,
          doing: 'give an attachment',
          missing: 'attachment_missing',
        },
        '*/*',
        client.limits.image,
      );
      return {
        bytes,
        contentType: imageTypes[contentType] ?? (contentType === '' ? 'application/octet-stream' : contentType),
      };
    } catch (error) {
      if (hasCode(error, 'attachment_missing')) return undefined;
      throw error;
    }
  };

  return {
    find,
    async put(document, attachment, by, signal) {
      const id = attachmentId(attachment.bytes);
      if ((await find(document, id, signal)) !== undefined) return id;
      const content = {
        v: 2,
        type: 'pspdfkit/image',
        pageIndex: 0,
        bbox: [0, 0, 1, 1],
        imageAttachmentId: id,
        contentType: 'image/png',
        flags: ['hidden', 'noPrint', 'noView'],
      };
      await records.create(carrier(document), [{ id, content, by }], new Map([[id, attachment]]), signal);
      return id;
    },
    async carried(document, signal) {
      const carriers = await records.list(carrier(document), signal);
      return carriers.flatMap(({ content }) => {
        const id = content['imageAttachmentId'];
        return typeof id === 'string' ? [id] : [];
      });
    },
  };
};
