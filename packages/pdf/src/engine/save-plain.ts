/**
 * Rewrites a document in PDFium's plain dialect: repaired, without encryption, without object streams, one cross-reference
 * table, no earlier revision. The rest of the package edits this dialect only, so damaged and exotic files are PDFium's concern.
 */
import { CaseboundError } from '@casebound/contract';
import type { OpenDocument } from './open-document.ts';

/** `FPDF_REMOVE_SECURITY` of fpdf_save.h; it also writes the file whole. */
const REMOVE_SECURITY = 3;

const HEADROOM = 65_536;
const GROWTH = 1.25;

/** The document's bytes, rewritten. Throws `pdf_damaged` when the engine refuses. */
export const savePlain = (document: OpenDocument): Uint8Array =>
  document.engine.call('rewrite a document', (native, heap, runtime) => {
    // One buffer from the start: a list of chunks would be there twice when it is joined.
    let out = new Uint8Array(document.bytes.length + HEADROOM);
    let total = 0;
    const writeBlock = runtime.addFunction((_self, pointer = 0, size = 0) => {
      const from = pointer >>> 0;
      const length = size >>> 0;
      if (total + length > out.length) {
        const grown = new Uint8Array(Math.ceil((total + length) * GROWTH));
        grown.set(out.subarray(0, total));
        out = grown;
      }
      out.set(runtime.HEAPU8.subarray(from, from + length), total);
      total += length;
      return 1;
    }, 'iiii');
    try {
      return heap.scope((allocate) => {
        // FPDF_FILEWRITE { int version; int (*WriteBlock)(...); }
        const writer = allocate(8);
        heap.writeInt32(writer, 1);
        heap.writeInt32(writer + 4, writeBlock);
        if (!native.FPDF_SaveAsCopy(document.handle, writer, REMOVE_SECURITY))
          throw new CaseboundError('pdf_damaged', 'The document cannot be rewritten.');
        return out.subarray(0, total);
      });
    } finally {
      runtime.removeFunction(writeBlock);
    }
  });
