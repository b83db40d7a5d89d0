/** One worker of the bench: runs one way of burning in over the same bytes for a while, and posts how many pages it finished. */
import {
  createPdfEngine,
  openDocument,
  parseInstantJson,
  produceDocument,
  searchText,
  type PdfEngine,
} from '@casebound/pdf';
import { parentPort, workerData } from 'node:worker_threads';

interface Task {
  readonly way: 'bare' | 'ours' | 'verified';
  readonly pdf: Uint8Array;
  readonly wasm: Uint8Array;
  readonly milliseconds: number;
  readonly query: string;
}

const task = workerData as Task;

/** PDFium alone: mark, apply and flatten redactions, add a text object for each stamp, regenerate, save. Nothing is checked. */
const bare = (engine: PdfEngine, pdf: Uint8Array, matches: ReturnType<typeof searchText>): number => {
  using document = openDocument(engine, pdf);
  engine.call('burn in', (native, heap) => {
    for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
      const page = document.page(pageIndex);
      const height = native.FPDF_GetPageHeightF(page);
      for (const match of matches.filter((one) => one.pageIndex === pageIndex))
        for (const rect of match.rects) {
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
        }
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
    const writer = native.PDFiumExt_OpenFileWriter();
    native.PDFiumExt_SaveAsCopy(document.handle, writer);
    const size = native.PDFiumExt_GetFileWriterSize(writer);
    heap.scope((allocate) => {
      const target = allocate(size);
      native.PDFiumExt_GetFileWriterData(writer, target, size);
      heap.bytes(target, size);
    });
    native.PDFiumExt_CloseFileWriter(writer);
  });
  return document.pageCount;
};

const engine = await createPdfEngine({ wasm: task.wasm });
const matches = (() => {
  using document = openDocument(engine, task.pdf);
  return searchText(document, task.query);
})();
const annotations = parseInstantJson({
  annotations: matches.map(({ pageIndex, rects }, at) => ({
    id: `r${at}`,
    type: 'pspdfkit/markup/redaction',
    pageIndex,
    rects: rects.map(({ left, top, width, height }) => [left, top, width, height]),
  })),
});
const once = async (): Promise<number> => {
  if (task.way === 'bare') return bare(engine, task.pdf, matches);
  const { pages } = await produceDocument(engine, task.pdf, {
    annotations,
    verify: task.way === 'verified',
    stamps: [
      { anchor: 'bottom-right', text: (pageIndex) => `ACME${pageIndex}` },
      { anchor: 'top-center', text: 'CONFIDENTIAL' },
    ],
  });
  return pages;
};
await once();
let pages = 0;
const started = performance.now();
while (performance.now() - started < task.milliseconds) pages += await once();
const outcome = {
  pages,
  seconds: (performance.now() - started) / 1000,
  redactions: matches.length,
  memory: engine.memoryBytes,
};
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port of Node has no origin
parentPort?.postMessage(outcome);
