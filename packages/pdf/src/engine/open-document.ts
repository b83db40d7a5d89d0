/**
 * Opens a PDF from memory.
 *
 * - The caller closes what it opened (`using` works); pages are closed with the document.
 * - Bytes are read on demand through a callback: they must not change while the document is open.
 */
import { CaseboundError } from '@casebound/contract';
import type { PdfEngine } from './create-engine.ts';

/** Numbers are handles of the engine, valid while the document is open. */
export interface OpenDocument extends Disposable {
  readonly engine: PdfEngine;
  readonly bytes: Uint8Array;
  readonly handle: number;
  readonly pageCount: number;
  /** True when the file has an encryption dictionary. */
  readonly encrypted: boolean;
  /** Handle of a page, loaded once. Throws `pdf_page_out_of_range`. */
  page(pageIndex: number): number;
  /** Handle of a page's text, loaded once. */
  textPage(pageIndex: number): number;
  /** Frees a page early; large documents are read page by page. */
  releasePage(pageIndex: number): void;
  close(): void;
}

export interface OpenOptions {
  /** User or owner password. */
  readonly password?: string;
}

/** Codes of `FPDF_GetLastError`, fpdfview.h. */
const reasons: Readonly<Record<number, string>> = {
  1: 'an unknown fault',
  2: 'the file cannot be read',
  3: 'it is not a PDF, or its structure cannot be repaired',
  5: 'its security scheme is not supported',
  6: 'its pages cannot be found',
};

const HEADER_WINDOW = 1024 * 1024;

/** Opens `bytes`. Throws `pdf_damaged`, `pdf_encrypted`, `pdf_too_large`. */
export const openDocument = (engine: PdfEngine, bytes: Uint8Array, options: OpenOptions = {}): OpenDocument => {
  const { limits } = engine;
  if (bytes.length === 0) throw new CaseboundError('pdf_damaged', 'The file is empty.');
  if (bytes.length > limits.maxBytes)
    throw new CaseboundError('pdf_too_large', `The file has ${bytes.length} bytes; the limit is ${limits.maxBytes}.`);
  if (Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, HEADER_WINDOW)).indexOf('%PDF-') < 0)
    throw new CaseboundError('pdf_damaged', 'The file has no %PDF header.');

  const opened = engine.call('open a document', (native, heap, runtime) => {
    const readBlock = runtime.addFunction((_context, position = 0, target = 0, size = 0) => {
      const start = position >>> 0;
      const end = start + (size >>> 0);
      if (end > bytes.length) return 0;
      heap.write(target, bytes.subarray(start, end));
      return 1;
    }, 'iiiii');
    // FPDF_FILEACCESS { unsigned long m_FileLen; int (*m_GetBlock)(...); void* m_Param; }
    const access = runtime.wasmExports.malloc(12) >>> 0;
    heap.writeInt32(access, bytes.length);
    heap.writeInt32(access + 4, readBlock);
    heap.writeInt32(access + 8, 0);
    const handle = native.FPDF_LoadCustomDocument(access, options.password ?? '');
    const release = (): void => {
      runtime.wasmExports.free(access);
      runtime.removeFunction(readBlock);
    };
    if (handle === 0) {
      const code = native.FPDF_GetLastError();
      release();
      if (code === 4)
        throw new CaseboundError(
          'pdf_encrypted',
          options.password === undefined
            ? 'The PDF is encrypted and opens only with a password.'
            : 'The PDF is encrypted and the password given does not open it.',
        );
      throw new CaseboundError('pdf_damaged', `The file cannot be opened: ${reasons[code] ?? `fault ${code}`}.`);
    }
    return { handle, release, pageCount: native.FPDF_GetPageCount(handle), encrypted: native.EPDF_IsEncrypted(handle) };
  });

  const pages = new Map<number, number>();
  const texts = new Map<number, number>();
  let open = true;
  const releasePage = (pageIndex: number): void => {
    if (engine.broken) return;
    engine.call('close a page', (native) => {
      const text = texts.get(pageIndex);
      if (text !== undefined) native.FPDFText_ClosePage(text);
      texts.delete(pageIndex);
      const page = pages.get(pageIndex);
      if (page !== undefined) native.FPDF_ClosePage(page);
      pages.delete(pageIndex);
    });
  };
  const close = (): void => {
    if (!open) return;
    open = false;
    if (engine.broken) return;
    for (const pageIndex of pages.keys()) releasePage(pageIndex);
    engine.call('close a document', (native) => native.FPDF_CloseDocument(opened.handle));
    opened.release();
  };
  const document: OpenDocument = {
    engine,
    bytes,
    handle: opened.handle,
    pageCount: opened.pageCount,
    encrypted: opened.encrypted,
    page: (pageIndex) => {
      const known = pages.get(pageIndex);
      if (known !== undefined) return known;
      if (!Number.isInteger(pageIndex) || pageIndex < 0 || pageIndex >= opened.pageCount)
        throw new CaseboundError(
          'pdf_page_out_of_range',
          `There is no page with index ${pageIndex}; the document has ${opened.pageCount} pages, counted from 0.`,
        );
      const page = engine.call('load a page', (native) => native.FPDF_LoadPage(opened.handle, pageIndex));
      if (page === 0) throw new CaseboundError('pdf_damaged', `The page with index ${pageIndex} cannot be read.`);
      pages.set(pageIndex, page);
      return page;
    },
    textPage: (pageIndex) => {
      const known = texts.get(pageIndex);
      if (known !== undefined) return known;
      const page = document.page(pageIndex);
      const text = engine.call('read the text of a page', (native) => native.FPDFText_LoadPage(page));
      if (text === 0)
        throw new CaseboundError('pdf_damaged', `The text of the page with index ${pageIndex} cannot be read.`);
      texts.set(pageIndex, text);
      return text;
    },
    releasePage,
    close,
    [Symbol.dispose]: close,
  };
  if (opened.pageCount < 1) {
    close();
    throw new CaseboundError('pdf_damaged', 'The PDF has no pages.');
  }
  if (opened.pageCount > limits.maxPages) {
    close();
    throw new CaseboundError(
      'pdf_too_large',
      `The PDF has ${opened.pageCount} pages; the limit is ${limits.maxPages}.`,
    );
  }
  return document;
};
