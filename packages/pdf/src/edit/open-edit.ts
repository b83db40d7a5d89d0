/**
 * A document open for editing: redactions, annotations, stamps and scrubbing are applied to it one after the other, then it is
 * written once. The result is one revision without what was cut off.
 */
import { CaseboundError } from '@casebound/contract';
import { type CosFile, readCosFile } from '../cos/cos-file.ts';
import { readPages } from '../cos/page-tree.ts';
import type { PdfEngine } from '../engine/create-engine.ts';
import { type OpenDocument, openDocument, type OpenOptions } from '../engine/open-document.ts';
import { savePlain } from '../engine/save-plain.ts';
import { createPageEdit, type PageEdit } from './page-edit.ts';

export interface DocumentEdit extends Disposable {
  readonly engine: PdfEngine;
  /** The document as it was opened. */
  readonly source: OpenDocument;
  readonly file: CosFile;
  readonly pageCount: number;
  /** Throws `pdf_page_out_of_range`. */
  page(pageIndex: number): PageEdit;
  pages(): readonly PageEdit[];
  /** The edited document. */
  write(): Uint8Array;
}

/** Opens `bytes` for editing. Throws `pdf_damaged`, `pdf_encrypted`, `pdf_too_large`. */
export const openEdit = (engine: PdfEngine, bytes: Uint8Array, options: OpenOptions = {}): DocumentEdit => {
  const source = openDocument(engine, bytes, options);
  try {
    const file = readCosFile(savePlain(source), engine.limits);
    const cosPages = readPages(file);
    if (cosPages.length !== source.pageCount)
      throw new CaseboundError(
        'pdf_damaged',
        `The page tree is inconsistent: ${source.pageCount} pages are counted, ${cosPages.length} are found.`,
      );
    const edits = new Map<number, PageEdit>();
    const edit: DocumentEdit = {
      engine,
      source,
      file,
      pageCount: cosPages.length,
      page: (pageIndex) => {
        const known = edits.get(pageIndex);
        if (known !== undefined) return known;
        const page = cosPages[pageIndex];
        if (page === undefined)
          throw new CaseboundError(
            'pdf_page_out_of_range',
            `There is no page with index ${pageIndex}; the document has ${cosPages.length} pages, counted from 0.`,
          );
        const created = createPageEdit(file, page, pageIndex);
        edits.set(pageIndex, created);
        return created;
      },
      pages: () => cosPages.map((_, pageIndex) => edit.page(pageIndex)),
      write: () => {
        for (const page of edits.values()) page.commit();
        return file.write();
      },
      [Symbol.dispose]: () => source.close(),
    };
    return edit;
  } catch (error) {
    source.close();
    throw error;
  }
};
