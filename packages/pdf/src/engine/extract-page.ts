/** One page of a document as a document of its own, with its fonts and images: cheap to edit where the whole is large. */
import { CaseboundError } from '@casebound/contract';
import type { OpenDocument } from './open-document.ts';
import { savePlain } from './save-plain.ts';

/** The bytes of a PDF that holds that page alone. Throws `pdf_page_out_of_range`, `pdf_damaged`. */
export const extractPage = (document: OpenDocument, pageIndex: number): Uint8Array => {
  document.page(pageIndex);
  return document.engine.call('extract a page', (native, heap) => {
    const target = native.FPDF_CreateNewDocument();
    try {
      const imported = heap.scope((allocate) => {
        const index = allocate(4);
        heap.writeInt32(index, pageIndex);
        return native.FPDF_ImportPagesByIndex(target, document.handle, index, 1, 0);
      });
      if (!imported) throw new CaseboundError('pdf_damaged', `The page with index ${pageIndex} cannot be extracted.`);
      return savePlain({ ...document, handle: target });
    } finally {
      native.FPDF_CloseDocument(target);
    }
  });
};
