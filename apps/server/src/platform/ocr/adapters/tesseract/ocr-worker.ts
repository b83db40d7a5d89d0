/**
 * A thread that recognises text, one page at a time. Tesseract runs in a thread of its own below this one: what kills that one, ends
 * this one, and nothing else.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createWorker, OEM, type Block, type Worker } from 'tesseract.js';
import type { RecognisedLine, RecognisedPage } from '../../Port.ts';
import type { OcrAnswer, OcrRequest, OcrStart } from './thread-messages.ts';

const { languages, folder } = workerData as OcrStart;

interface Pixels {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

const rectOf = ({ x0, y0, x1, y1 }: Pixels): RecognisedLine['rect'] => ({
  left: x0,
  top: y0,
  width: x1 - x0,
  height: y1 - y0,
});

const linesOf = (blocks: readonly Block[]): readonly RecognisedLine[] =>
  blocks
    .flatMap(({ paragraphs }) => paragraphs.flatMap(({ lines }) => lines))
    .map((line) => ({
      text: line.text.trimEnd(),
      rect: rectOf(line.bbox),
      words: line.words.map(({ text, bbox, confidence }) => ({ text, rect: rectOf(bbox), confidence })),
    }));

/** The language data is a local file, so nothing is fetched; `none` keeps Tesseract from writing it into the working folder. */
const start = async (): Promise<Worker> =>
  createWorker([...languages], OEM.LSTM_ONLY, {
    langPath: folder,
    cacheMethod: 'none',
    gzip: true,
    errorHandler: () => undefined,
    logger: () => undefined,
  });

const recognise = async (worker: Worker, png: Uint8Array): Promise<RecognisedPage> => {
  const { data } = await worker.recognize(
    Buffer.from(png.buffer, png.byteOffset, png.byteLength),
    {},
    { text: true, blocks: true },
  );
  const lines = linesOf(data.blocks ?? []);
  return { text: data.text, confidence: lines.length === 0 ? 0 : data.confidence, lines };
};

const starting = start();

parentPort?.on('message', ({ id, png }: OcrRequest) => {
  void (async () => {
    const worker = await starting;
    let answer: OcrAnswer;
    try {
      answer = { id, ok: true, page: await recognise(worker, png) };
    } catch (error) {
      answer = { id, ok: false, unreadable: String(error).includes('read image') };
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port of Node has no origin
    parentPort?.postMessage(answer);
  })();
});
