/** The pictures of stickers. */
import { CaseboundError, type FileAnswer, maxAttachmentBytes } from '@casebound/contract';
import { attachmentId } from '@casebound/pdf';
import { hasCode } from '@casebound/contract';
import { changeExhibit } from './change-exhibit.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { engineCall, type ExhibitCall } from './exhibit-document.ts';
import type { Entry } from './intent.ts';
import { openToRead } from './open-to-read.ts';

const signatures: Readonly<Record<string, readonly number[]>> = {
  'image/png': [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  'image/jpeg': [0xff, 0xd8, 0xff],
};

const invalid = (message: string): CaseboundError =>
  new CaseboundError('annotation_invalid', `The attachment ${message}.`, {
    errors: [{ path: '$.binary', message }],
  });

/** Errors: `annotation_invalid` when it is too large or not what it says it is. */
export const putAttachment = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  { contentType, binary }: { readonly contentType: 'image/png' | 'image/jpeg'; readonly binary: string },
): Promise<{ readonly attachmentId: string; readonly size: number }> => {
  const bytes = Uint8Array.from(Buffer.from(binary, 'base64'));
  if (bytes.length > maxAttachmentBytes) throw invalid(`has ${bytes.length} bytes; the limit is ${maxAttachmentBytes}`);
  if (signatures[contentType]?.every((byte, at) => bytes[at] === byte) !== true)
    throw invalid(`does not begin as ${contentType} does`);
  const id = attachmentId(bytes);
  return changeExhibit(parts, call, async ({ engineId }) => {
    const isThere = await parts.engine.getAttachment(engineId, id, engineCall(call)).then(
      () => true,
      (error: unknown) => {
        if (hasCode(error, 'attachment_missing')) return false;
        throw error;
      },
    );
    const entry: Entry = { what: 'attachment', id, size: bytes.length };
    const result = { attachmentId: id, size: bytes.length };
    if (isThere) return { entries: [], run: async () => Promise.resolve({ result, done: [] }) };
    return {
      entries: [entry],
      run: async () => {
        await parts.engine.putAttachment(engineId, { bytes, contentType }, engineCall(call));
        return { result, done: [{ entry }] };
      },
    };
  });
};

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** Errors: `attachment_missing`. */
export const getAttachment = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  id: string,
): Promise<FileAnswer> => {
  const { engineId } = await openToRead(parts, call);
  const { bytes, contentType } = await parts.engine.getAttachment(engineId, id, engineCall(call));
  return fileOf(bytes, contentType, `attachment-${id.slice(0, 64)}`);
};

/** Bytes in memory as a file. */
export const fileOf = (bytes: Uint8Array, contentType: string, fileName: string): FileAnswer => ({
  contentType,
  fileName,
  size: bytes.length,
  sha256: attachmentId(bytes),
  body: once(bytes),
});
