/** What the test server does to PDFs, with `@casebound/pdf`: takes annotations out, puts them on, redacts, reads, renders. */
import { readFileSync } from 'node:fs';
import {
  addAnnotations,
  applyRedactions,
  attachmentId,
  createPdfEngine,
  flattenAnnotations,
  formatInstantJson,
  locatePdfiumWasm,
  openDocument,
  openEdit,
  parseInstantJson,
  type PdfEngine,
  readAnnotations,
  readInfo,
  readPageText,
  renderPage,
  removeAnnotationsById,
  searchPage,
  toRedaction,
  type TextLine,
  verifyRedactions,
} from '@casebound/pdf';
import type { PdfWorkers } from '../pdf-workers/pdf-tasks.ts';

export interface BinaryFile {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

/** Annotations as Instant JSON has them, without ids in common with records of the server. */
export interface PdfContents {
  readonly annotations: readonly Record<string, unknown>[];
  readonly comments: readonly Record<string, unknown>[];
  readonly binaries: ReadonlyMap<string, BinaryFile>;
}

export interface PdfWork {
  /** The PDF without its annotations, and they. */
  takeApart(pdf: Uint8Array): { readonly bare: Uint8Array; readonly contents: PdfContents };
  putTogether(bare: Uint8Array, contents: PdfContents, flatten: boolean): Uint8Array;
  redact(bare: Uint8Array, contents: PdfContents): { readonly bare: Uint8Array; readonly contents: PdfContents };
  pages(pdf: Uint8Array): readonly { readonly width: number; readonly height: number; readonly rotation: number }[];
  lines(pdf: Uint8Array, pageIndex: number): readonly TextLine[];
  png(pdf: Uint8Array, pageIndex: number, width: number): Uint8Array;
  search(
    pdf: Uint8Array,
    pattern: RegExp,
  ): readonly { readonly pageIndex: number; readonly text: string; readonly rects: readonly number[][] }[];
  /** As the PDF workers do it: what they are given is theirs. */
  readonly workers: Pick<PdfWorkers, 'verify'>;
}

/** Members whose value is null stand for absent ones in PDFs of other programs. */
const plain = (value: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([, own]) => own !== undefined && own !== null));

export const createPdfWork = async (): Promise<PdfWork> => {
  const engine: PdfEngine = await createPdfEngine({ wasm: readFileSync(locatePdfiumWasm()) });

  const takeApart: PdfWork['takeApart'] = (pdf) => {
    using edit = openEdit(engine, pdf);
    const { annotations, comments, attachments } = readAnnotations(edit);
    const binaries = new Map([...attachments.values()].map((own) => [attachmentId(own.bytes), own] as const));
    const contents: PdfContents = {
      annotations: annotations.map((one) =>
        plain(
          one.type === 'pspdfkit/image'
            ? {
                ...one,
                imageAttachmentId: attachmentId(attachments.get(one.imageAttachmentId)?.bytes ?? new Uint8Array(0)),
              }
            : one,
        ),
      ),
      comments: comments.map(plain),
      binaries,
    };
    if (annotations.length === 0) return { bare: pdf, contents };
    removeAnnotationsById(
      edit,
      annotations.map(({ id }) => id),
    );
    return { bare: edit.write(), contents };
  };

  const instantJson = ({ annotations, comments, binaries }: PdfContents): ReturnType<typeof parseInstantJson> =>
    parseInstantJson(
      formatInstantJson({ annotations: annotations as never, comments: comments as never, attachments: binaries }),
    );

  return {
    takeApart,
    putTogether(bare, contents, flatten) {
      if (contents.annotations.length === 0 && !flatten) return bare;
      using edit = openEdit(engine, bare);
      addAnnotations(edit, instantJson(contents));
      if (!flatten) return edit.write();
      const written = edit.write();
      using second = openEdit(engine, written);
      flattenAnnotations(second);
      return second.write();
    },
    redact(bare, contents) {
      const json = instantJson(contents);
      const redactions = json.annotations.filter((one) => one.type === 'pspdfkit/markup/redaction');
      const ids = new Set(redactions.map(({ id }) => id));
      using edit = openEdit(engine, bare);
      addAnnotations(edit, {
        ...json,
        annotations: json.annotations.filter(({ id }) => !ids.has(id)),
        comments: json.comments.filter(({ rootId }) => !ids.has(rootId)),
      });
      const marked = edit.write();
      using second = openEdit(engine, marked);
      applyRedactions(second, redactions.map(toRedaction));
      return takeApart(second.write());
    },
    pages(pdf) {
      using document = openDocument(engine, pdf);
      return readInfo(document).pages;
    },
    lines(pdf, pageIndex) {
      using document = openDocument(engine, pdf);
      return readPageText(document, pageIndex).lines;
    },
    png(pdf, pageIndex, width) {
      using document = openDocument(engine, pdf);
      const page = readInfo(document).pages[pageIndex];
      return renderPage(document, pageIndex, { dpi: (72 * width) / (page?.width ?? width) });
    },
    search(pdf, pattern) {
      using document = openDocument(engine, pdf);
      return Array.from({ length: document.pageCount }, (_, pageIndex) =>
        searchPage(document, pageIndex, pattern).map(({ text, rects }) => ({
          pageIndex,
          text,
          rects: rects.map(({ left, top, width, height }) => [left, top, width, height]),
        })),
      ).flat();
    },
    workers: {
      async verify({ pdf, original, redactions }) {
        const report = await verifyRedactions(engine, pdf, redactions, original === undefined ? {} : { original });
        pdf.fill(0);
        original?.fill(0);
        return report;
      },
    },
  };
};
