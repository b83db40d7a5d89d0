import { hasCode } from '@casebound/contract';
import { defaultRouting, parseInstantJson, type InstantJson } from '@casebound/pdf';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { pdfWorkersConfigSchema } from '../config.ts';
import { comment, highlight, note, redaction, samplePng, stamp, sticker } from '../testing/sample-annotations.ts';
import { buildPdf, samplePdf } from '../testing/sample-pdf.ts';
import { createPdfWorkers } from './create-pdf-workers.ts';
import type { PdfWorkers } from './pdf-tasks.ts';

const lines = ['Pay the SECRET amount today', 'to Jane Doe'];
/** Fresh for each task: what a task is given is moved. */
const pdf = (): Uint8Array => samplePdf([lines, ['Second page']]);
const secret = redaction('r', [110, 86, 59, 18]);

const open = (changes: Record<string, unknown> = {}): PdfWorkers =>
  createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1, ...changes }));

const json = (annotations: readonly unknown[], comments: readonly unknown[] = []): InstantJson =>
  parseInstantJson({ annotations, comments });

/** A page on which a pattern with nested repetition takes for ever. */
const slowText = (): Uint8Array => samplePdf([['a'.repeat(60) + '!']]);
const slowQuery = '/(a+)+$/';

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const failure: unknown = await work.then(
    () => 'success',
    (error: unknown) => error,
  );
  if (failure instanceof Error && 'code' in failure) return String(failure.code);
  return String(failure);
};

describe('PDF workers', () => {
  const shared = open();
  afterAll(async () => shared.close());

  it('read', async () => {
    expect(await shared.pageInfo({ pdf: pdf() })).toMatchObject({ version: '1.7', pages: [{ width: 400 }, {}] });
    const texts = await shared.text({ pdf: pdf() });
    expect(texts.map(({ text }) => text.trim())).toEqual([lines.join('\n'), 'Second page']);
    expect(await shared.text({ pdf: pdf(), pages: [1] })).toHaveLength(1);
    const [match] = await shared.search({ pdf: pdf(), query: 'jane doe' });
    expect(match).toMatchObject({ pageIndex: 0, text: 'Jane Doe' });
  });

  it('measure the pages of several PDFs at once, and say which cannot be opened', async () => {
    const turned = buildPdf([
      '<</Type/Catalog/Pages 2 0 R>>',
      '<</Type/Pages/Kids[3 0 R 4 0 R 5 0 R]/Count 3/MediaBox[0 0 400 300]>>',
      '<</Type/Page/Parent 2 0 R/Rotate 90>>',
      '<</Type/Page/Parent 2 0 R/CropBox[10 20 110.5 250.25]>>',
      '<</Type/Page/Parent 2 0 R/Rotate 270/UserUnit 2/MediaBox[-50 -50 10 20]>>',
    ]);
    const all = [pdf(), Uint8Array.from(Buffer.from('This is not a PDF.')), turned, new Uint8Array(0), pdf()];
    let end = 0;
    const ends = all.map(({ byteLength }) => (end += byteLength));
    const measured = await shared.pageSizes({ pdf: Uint8Array.from(Buffer.concat(all)), ends });
    const stated = await Promise.all(
      [pdf(), turned].map(async (one) =>
        (await shared.pageInfo({ pdf: one })).pages.map(({ width, height }) => ({ width, height })),
      ),
    );
    expect(measured[0]).toEqual({ pages: stated[0] });
    expect(measured[1]).toMatchObject({ fault: { code: 'pdf_damaged' } });
    expect(measured[2]).toEqual({ pages: stated[1] });
    expect(measured[3]).toMatchObject({ fault: { code: 'pdf_damaged' } });
    expect(measured[4]).toEqual(measured[0]);
    expect(stated[1]?.[0]).toEqual({ width: 300, height: 400 });
  });

  it('render pages, with annotations on them', async () => {
    const [bare] = await shared.render({ pdf: pdf(), pages: [1], dpi: 36 });
    const [drawn, first] = await shared.render({
      pdf: pdf(),
      pages: [1, 0],
      dpi: 36,
      layer: json([highlight('h', 1)]),
    });
    expect(Buffer.from(bare?.png ?? []).readUInt32BE(16)).toBe(200);
    expect(drawn?.pageIndex).toBe(1);
    expect(Buffer.from(drawn?.png ?? []).equals(Buffer.from(bare?.png ?? []))).toBe(false);
    expect(first?.pageIndex).toBe(0);
  });

  it('burn in, redact, layer, flatten, stamp, verify', async () => {
    const png = samplePng();
    const attached = parseInstantJson({
      annotations: [],
      attachments: { x: { binary: Buffer.from(png).toString('base64'), contentType: 'image/png' } },
    }).attachments;
    const all: InstantJson = {
      ...json([secret, highlight('h', 1), note('n'), stamp('b', 'ACME1')], [comment('c', 'h', 'why?', 1)]),
      attachments: attached,
    };
    const burned = await shared.burnIn({
      pdf: pdf(),
      annotations: { ...all, annotations: [...all.annotations, sticker('s', 'x')] },
      routing: defaultRouting,
      stamps: [{ anchor: 'top-left', text: ['one', 'two'] }],
    });
    expect(burned).toMatchObject({ pageCount: 2, brandedIn: 1, unapplied: 0 });
    expect(burned.layerAnnotations.map(({ id }) => id)).toEqual(['h', 'n', 's']);
    expect([...burned.attachments.keys()]).toEqual(['x']);
    expect(burned.pageTexts.map(({ text }) => text).join(' ')).not.toContain('SECRET');
    expect(burned.pageTexts[1]?.text).toContain('two');

    const rects = [{ left: 110, top: 86, width: 59, height: 18 }];
    const redacted = await shared.redact({ pdf: pdf(), redactions: [{ id: 'r', pageIndex: 0, rects }] });
    expect(redacted).toMatchObject({ pageCount: 2, verification: { verified: true } });
    const report = await shared.verify({
      pdf: redacted.pdf,
      original: pdf(),
      redactions: [{ id: 'r', pageIndex: 0, rects }],
    });
    expect(report).toMatchObject({ verified: true, checkedRemovedText: true });
    const cheat = await shared.verify({ pdf: pdf(), redactions: [{ id: 'r', pageIndex: 0, rects }] });
    expect(cheat.redactions[0]?.findings.map(({ code }) => code)).toContain('text_under_redaction');

    const layered = await shared.layer({ pdf: pdf(), annotations: all });
    const read = await shared.readAnnotations({ pdf: Uint8Array.from(layered) });
    expect(read.annotations.map(({ id }) => id)).toEqual(['r', 'n', 'b', 'h']);
    expect(read.comments).toHaveLength(1);
    const flat = await shared.flatten({ pdf: layered, own: true, annotations: json([note('m')]) });
    expect((await shared.readAnnotations({ pdf: flat })).annotations).toEqual([]);

    const stamped = await shared.stamp({ pdf: pdf(), stamps: [{ anchor: 'bottom-right', text: 'ACME' }] });
    expect(stamped.stamps).toHaveLength(2);
    expect((await shared.text({ pdf: stamped.pdf }))[0]?.text).toContain('ACME');
    const merged = await shared.mergeImages({ images: [samplePng(1), samplePng(2)] });
    expect((await shared.pageInfo({ pdf: merged })).pages).toHaveLength(2);
  });

  it('move bytes, and do not copy them', async () => {
    const large = samplePdf(Array.from({ length: 400 }, (_, at) => [`page ${at}`]));
    expect(large.byteLength).toBeGreaterThan(65_536);
    expect(await shared.text({ pdf: large, pages: [7] })).toMatchObject([{ text: 'page 7' }]);
    expect(large.byteLength).toBe(0);
  });

  it('pass on errors as they are', async () => {
    const failure = await shared
      .text({ pdf: pdf(), pages: [9] })
      .then(() => undefined)
      .catch((error: unknown) => error);
    expect(hasCode(failure, 'pdf_page_out_of_range')).toBe(true);
    expect(await codeOf(shared.text({ pdf: Uint8Array.from(Buffer.from('no pdf')) }))).toBe('pdf_damaged');
    const outside = json([highlight('h', 0, [900, 900, 5, 5])]);
    expect(await codeOf(shared.layer({ pdf: pdf(), annotations: outside }))).toBe('annotation_invalid');
    expect(shared.statistics()).toMatchObject({ workers: 1, busy: 0, queued: 0, recycled: 0 });
  });
});

describe('a document that', () => {
  let workers: PdfWorkers;
  afterEach(async () => workers.close());

  /** Whatever happened, the pool works. */
  const expectAlive = async (): Promise<void> => {
    expect(await workers.text({ pdf: pdf(), pages: [1] })).toMatchObject([{ text: 'Second page' }]);
  };

  it('takes too long is ended, and the pool goes on', async () => {
    workers = open();
    const slow = workers.search({ pdf: slowText(), query: slowQuery }, { timeoutMs: 1_500 });
    expect(await codeOf(slow)).toBe('pdf_timeout');
    await expectAlive();
    expect(workers.statistics().recycled).toBe(1);
  });

  it('nobody waits for any more is ended or taken back', async () => {
    workers = open();
    const running = new AbortController();
    const waiting = new AbortController();
    const first = workers.search({ pdf: slowText(), query: slowQuery }, { signal: running.signal });
    const second = workers.text({ pdf: pdf() }, { signal: waiting.signal });
    const third = workers.text({ pdf: pdf(), pages: [1] });
    await sleep(50);
    waiting.abort(new Error('not wanted'));
    await expect(second).rejects.toThrow('not wanted');
    running.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    expect(await third).toHaveLength(1);
    await expect(workers.text({ pdf: pdf() }, { signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow(
      'early',
    );
  });

  it('breaks the engine fails, and the next one gets another engine', async () => {
    workers = open({ maxEngineBytes: 64 * 1024 * 1024 });
    const code = await codeOf(workers.render({ pdf: pdf(), pages: [0], dpi: 1800 }));
    expect(['pdf_too_large', 'pdf_engine_failed']).toContain(code);
    await expectAlive();
  });

  it('needs more heap than there is fails with pdf_too_large', async () => {
    workers = open({ maxHeapBytes: 64 * 1024 * 1024 });
    const count = 100_000;
    const kids = Array.from({ length: count }, (_, at) => `${at + 4} 0 R`).join(' ');
    // Lists of numbers take little of a file and much of a heap: they fill it several times over, for as long as the file is rewritten.
    const list = `[${Array.from({ length: 40 }, (_, at) => at).join(' ')}]`;
    const many = buildPdf([
      `<</Type/Catalog/Pages 2 0 R/Extra[${kids}]>>`,
      '<</Type/Pages/Kids[3 0 R]/Count 1>>',
      '<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>',
      ...Array.from({ length: count }, () => list),
    ]);
    expect(await codeOf(workers.flatten({ pdf: many, own: true }))).toBe('pdf_too_large');
    await expectAlive();
  }, 60_000);
});

describe('the pool', () => {
  let workers: PdfWorkers;
  afterEach(async () => workers.close());

  it('refuses more than may wait', async () => {
    workers = open({ maxQueued: 2 });
    await workers.text({ pdf: pdf() });
    const running = workers.text({ pdf: pdf() });
    const accepted = [workers.text({ pdf: pdf() }), workers.text({ pdf: pdf() })];
    const codes = await Promise.all([codeOf(workers.text({ pdf: pdf() })), codeOf(workers.text({ pdf: pdf() }))]);
    expect(codes).toContain('document_engine_unavailable');
    await Promise.all([running, ...accepted]);
  });

  it('runs as many workers as it may, and finishes all', async () => {
    workers = open({ workers: 2 });
    const all = Array.from({ length: 20 }, async () => workers.text({ pdf: pdf() }));
    await sleep(5);
    const results = await Promise.all(all);
    expect(results).toHaveLength(20);
    expect(workers.statistics()).toMatchObject({ finished: 20, queued: 0, busy: 0, recycled: 0 });
    expect(workers.statistics().workers).toBeLessThanOrEqual(2);
  });

  it('lets idle workers go', async () => {
    workers = open({ idleMs: 30 });
    await workers.text({ pdf: pdf() });
    expect(workers.statistics().workers).toBe(1);
    await sleep(150);
    expect(workers.statistics()).toMatchObject({ workers: 0, recycled: 0 });
    await workers.text({ pdf: pdf() });
  });

  it('closes with tasks under way: each fails, and none starts after', async () => {
    workers = open();
    const tasks = [codeOf(workers.search({ pdf: slowText(), query: slowQuery })), codeOf(workers.text({ pdf: pdf() }))];
    await sleep(100);
    await workers.close();
    expect(await Promise.all(tasks)).toEqual(['document_engine_unavailable', 'document_engine_unavailable']);
    expect(await codeOf(workers.text({ pdf: pdf() }))).toBe('document_engine_unavailable');
    expect(workers.statistics()).toMatchObject({ workers: 0, busy: 0, queued: 0 });
  });
});
