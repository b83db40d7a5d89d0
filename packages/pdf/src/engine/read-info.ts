/** What a document says about itself: version, encryption, sizes, metadata. */
import { CaseboundError } from '@casebound/contract';
import type { Rotation } from '../geometry.ts';
import type { OpenDocument } from './open-document.ts';
import { readGeometry } from './page-text.ts';

export interface PageExtent {
  readonly width: number;
  readonly height: number;
}

export interface DocumentInfo {
  /** Such as `1.7`. */
  readonly version: string;
  readonly bytes: number;
  readonly encrypted: boolean;
  readonly pages: readonly {
    readonly width: number;
    readonly height: number;
    readonly rotation: Rotation;
    readonly annotations: number;
  }[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly attachments: number;
  readonly tagged: boolean;
}

/** Width and height in points, as shown, of all pages. Their content is not read: damage within a page is found by whoever shows it. */
export const readPageSizes = ({ engine, handle, pageCount }: OpenDocument): readonly PageExtent[] =>
  engine.call('measure pages', (native, heap) =>
    heap.scope((allocate) => {
      // FS_SIZEF { width, height }
      const target = allocate(8);
      return Array.from({ length: pageCount }, (_, pageIndex) => {
        if (!native.FPDF_GetPageSizeByIndexF(handle, pageIndex, target))
          throw new CaseboundError('pdf_damaged', `The page with index ${pageIndex} has no size.`);
        return { width: heap.float32(target), height: heap.float32(target + 4) };
      });
    }),
  );

const metadataKeys = ['Title', 'Author', 'Subject', 'Keywords', 'Creator', 'Producer', 'CreationDate', 'ModDate'];

/** Reads the description of an open document, page by page. */
export const readInfo = (document: OpenDocument): DocumentInfo => {
  const { engine, handle } = document;
  const pages = Array.from({ length: document.pageCount }, (_, pageIndex) => {
    const { width, height, rotation } = readGeometry(document, pageIndex);
    const page = document.page(pageIndex);
    const annotations = engine.call('count annotations', (native) => native.FPDFPage_GetAnnotCount(page));
    document.releasePage(pageIndex);
    return { width, height, rotation, annotations };
  });
  return engine.call('read metadata', (native, heap) =>
    heap.scope((allocate) => {
      const target = allocate(8);
      const version = native.FPDF_GetFileVersion(handle, target) ? heap.int32(target) : 0;
      const metadata: Record<string, string> = {};
      for (const key of metadataKeys) {
        const length = native.FPDF_GetMetaText(handle, key, 0, 0);
        if (length <= 2) continue;
        const text = allocate(length);
        native.FPDF_GetMetaText(handle, key, text, length);
        metadata[key] = heap.utf16(text, length / 2 - 1);
      }
      return {
        version: `${Math.floor(version / 10)}.${version % 10}`,
        bytes: document.bytes.length,
        encrypted: document.encrypted,
        pages,
        metadata,
        attachments: native.FPDFDoc_GetAttachmentCount(handle),
        tagged: native.FPDFCatalog_IsTagged(handle),
      };
    }),
  );
};
