/** What PDFium alone does, called as directly as can be: the other side of the comparison. Nothing is checked. */
import { openDocument, type PdfEngine, type TextMatch } from '@casebound/pdf';

type Native = Parameters<Parameters<PdfEngine['call']>[1]>;

const save = ([native, heap]: [Native[0], Native[1]], handle: number): number => {
  const writer = native.PDFiumExt_OpenFileWriter();
  native.PDFiumExt_SaveAsCopy(handle, writer);
  const size = native.PDFiumExt_GetFileWriterSize(writer);
  heap.scope((allocate) => {
    const target = allocate(size);
    native.PDFiumExt_GetFileWriterData(writer, target, size);
    heap.bytes(target, size);
  });
  native.PDFiumExt_CloseFileWriter(writer);
  return size;
};

/** Marks and applies redactions, adds two text objects a page as stamps, regenerates the content, saves. */
export const bareBurnIn = (
  engine: PdfEngine,
  pdf: Uint8Array,
  matches: readonly TextMatch[],
  parts: { readonly redact: boolean; readonly stamp: boolean } = { redact: true, stamp: true },
): number => {
  using document = openDocument(engine, pdf);
  engine.call('burn in', (native, heap) => {
    for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
      const page = document.page(pageIndex);
      const height = native.FPDF_GetPageHeightF(page);
      const rects = parts.redact
        ? matches.filter((one) => one.pageIndex === pageIndex).flatMap((match) => match.rects)
        : [];
      for (const rect of rects)
        heap.scope((allocate) => {
          const annotation = native.FPDFPage_CreateAnnot(page, 28);
          const box = allocate(16);
          const top = height - rect.top;
          heap.write(
            box,
            new Uint8Array(Float32Array.of(rect.left, top, rect.left + rect.width, top - rect.height).buffer),
          );
          native.FPDFAnnot_SetRect(annotation, box);
          native.EPDFAnnot_ApplyRedaction(page, annotation);
          native.FPDFPage_CloseAnnot(annotation);
        });
      if (parts.stamp)
        for (const [text, x, y] of [
          [`ACME${pageIndex}`, 500, 20],
          ['CONFIDENTIAL', 250, 770],
        ] as const)
          heap.scope((allocate) => {
            const object = native.FPDFPageObj_NewTextObj(document.handle, 'Helvetica', 10);
            native.FPDFText_SetText(object, heap.wide(allocate, text));
            native.FPDFPageObj_Transform(object, 1, 0, 0, 1, x, y);
            native.FPDFPage_InsertObject(page, object);
          });
      native.FPDFPage_GenerateContent(page);
    }
    save([native, heap], document.handle);
  });
  return document.pageCount;
};

/** The text of every page in one call each, without boxes. */
export const bareText = (engine: PdfEngine, pdf: Uint8Array): number => {
  using document = openDocument(engine, pdf);
  for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
    const text = document.textPage(pageIndex);
    engine.call('read text', (native, heap) =>
      heap.scope((allocate) => {
        const count = native.FPDFText_CountChars(text);
        const target = allocate((count + 1) * 2);
        native.FPDFText_GetText(text, 0, count, target);
        heap.utf16(target, count);
      }),
    );
    document.releasePage(pageIndex);
  }
  return document.pageCount;
};

/** Every page as pixels, without PNG. */
export const bareRender = (engine: PdfEngine, pdf: Uint8Array, dpi: number): number => {
  using document = openDocument(engine, pdf);
  for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
    const page = document.page(pageIndex);
    engine.call('render', (native) => {
      const width = Math.round((native.FPDF_GetPageWidthF(page) * dpi) / 72);
      const height = Math.round((native.FPDF_GetPageHeightF(page) * dpi) / 72);
      const bitmap = native.FPDFBitmap_CreateEx(width, height, 3, 0, 0);
      native.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xffffffff);
      native.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, 1);
      native.FPDFBitmap_Destroy(bitmap);
    });
    document.releasePage(pageIndex);
  }
  return document.pageCount;
};
