/** One worker of the bench: does one kind of work over the same bytes for a while, each time it is asked, and posts how many pages it finished. */
import {
  createPdfEngine,
  type InstantJson,
  openDocument,
  parseInstantJson,
  produceDocument,
  readPageText,
  renderPage,
  searchText,
  type PdfEngine,
  type Stamp,
  type TextMatch,
} from '@casebound/pdf';
import { parentPort, workerData } from 'node:worker_threads';
import { bareBurnIn, bareRender, bareText } from './bare-pdfium.ts';

export interface BenchStart {
  readonly pdf: Uint8Array;
  readonly wasm: Uint8Array;
  readonly query: string;
}

const start = workerData as BenchStart;
const { pdf } = start;
const DPI = 150;

const stamps: readonly Stamp[] = [
  { anchor: 'bottom-right', text: (pageIndex) => `ACME${pageIndex}` },
  { anchor: 'top-center', text: 'CONFIDENTIAL' },
];

type Work = (engine: PdfEngine, annotations: InstantJson, matches: readonly TextMatch[]) => number | Promise<number>;

const eachPage =
  (body: (engine: PdfEngine, document: ReturnType<typeof openDocument>, pageIndex: number) => void): Work =>
  (engine) => {
    using document = openDocument(engine, pdf);
    for (let pageIndex = 0; pageIndex < document.pageCount; pageIndex += 1) {
      body(engine, document, pageIndex);
      document.releasePage(pageIndex);
    }
    return document.pageCount;
  };

const kinds = {
  'burn-in bare': (engine, _annotations, matches) => bareBurnIn(engine, pdf, matches),
  'burn-in unproved': async (engine, annotations) =>
    (await produceDocument(engine, pdf, { annotations, stamps, verify: false })).pages,
  'burn-in proved': async (engine, annotations) => (await produceDocument(engine, pdf, { annotations, stamps })).pages,
  'text bare': (engine) => bareText(engine, pdf),
  'text ours': eachPage((_engine, document, pageIndex) => readPageText(document, pageIndex)),
  'render bare': (engine) => bareRender(engine, pdf, DPI),
  'render ours': eachPage((_engine, document, pageIndex) => renderPage(document, pageIndex, { dpi: DPI })),
  'redact bare': (engine, _annotations, matches) => bareBurnIn(engine, pdf, matches, { redact: true, stamp: false }),
  'redact ours': async (engine, annotations) => (await produceDocument(engine, pdf, { annotations })).pages,
  'stamp bare': (engine) => bareBurnIn(engine, pdf, [], { redact: false, stamp: true }),
  'stamp ours': async (engine) => (await produceDocument(engine, pdf, { stamps })).pages,
} satisfies Readonly<Record<string, Work>>;

export type BenchKind = keyof typeof kinds;

export interface BenchRequest {
  readonly kind: BenchKind;
  readonly milliseconds: number;
}

export interface BenchAnswer {
  readonly pages: number;
  readonly seconds: number;
  /** Time of this thread on a core: what a busy machine takes away is not in it, nor is garbage collection beside it. */
  readonly cpuSeconds: number;
  readonly redactions: number;
  readonly memory: number;
}

const engine = await createPdfEngine({ wasm: start.wasm });
const matches = (() => {
  using document = openDocument(engine, pdf);
  return searchText(document, start.query);
})();
const annotations = parseInstantJson({
  annotations: matches.map(({ pageIndex, rects }, at) => ({
    id: `r${at}`,
    type: 'pspdfkit/markup/redaction',
    pageIndex,
    rects: rects.map(({ left, top, width, height }) => [left, top, width, height]),
  })),
});
const cpuSince = (before: NodeJS.CpuUsage): number => {
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000_000;
};
const warm = new Set<BenchKind>();

parentPort?.on('message', ({ kind, milliseconds }: BenchRequest) => {
  void (async () => {
    const work: Work = kinds[kind];
    if (!warm.has(kind)) await work(engine, annotations, matches);
    warm.add(kind);
    let pages = 0;
    const started = performance.now();
    const before = process.threadCpuUsage();
    while (performance.now() - started < milliseconds) pages += await work(engine, annotations, matches);
    const answer: BenchAnswer = {
      pages,
      seconds: (performance.now() - started) / 1000,
      cpuSeconds: cpuSince(before),
      redactions: matches.length,
      memory: engine.memoryBytes,
    };
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port of Node has no origin
    parentPort?.postMessage(answer);
  })();
});
