/** What calls cost in requests, and that real documents go through. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { PageAnnotation } from '@casebound/pdf';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { comment, highlight, note, redaction, samplePng, sticker } from '../../testing/sample-annotations.ts';
import { samplePdf } from '../../testing/sample-pdf.ts';
import { startNutrientServer, type NutrientServer } from '../../testing/nutrient-server.ts';
import { nutrientId, openNutrient, type OpenedNutrient } from '../../testing/open-nutrient.ts';

const shared = path.resolve(import.meta.dirname, '../../../../../../../../shared/data');
const files = [path.join(shared, 'pdf'), path.join(shared, 'relativity-samples/VOL01/NATIVES/NATIVE00001')].flatMap(
  (folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => name.endsWith('.pdf'))
          .map((name) => [name, path.join(folder, name)] as const)
      : [],
);

let server: NutrientServer;
let engine: OpenedNutrient['engine'];
let last = 0;
const newId = (): ReturnType<typeof nutrientId> => nutrientId((last += 1));

beforeAll(async () => {
  server = await startNutrientServer();
  ({ engine } = openNutrient(server));
});
afterAll(async () => {
  await engine.close();
  await server.stop();
});
beforeEach(() => {
  server.reset();
});

describe('the cost of a call', () => {
  const pdf = samplePdf([['Pay the SECRET amount today'], ['Nothing']]);
  const requests = async (work: () => Promise<unknown>): Promise<number> => {
    server.requests.length = 0;
    await work();
    return server.requests.length;
  };

  it('is a few requests, whatever the number of annotations', async () => {
    const id = newId();
    const costs: Record<string, number> = {};
    costs['put'] = await requests(async () => engine.putDocument(id, pdf));
    costs['put again'] = await requests(async () => engine.putDocument(id, pdf));
    costs['find'] = await requests(async () => engine.findDocument(id));
    costs['get'] = await requests(async () => engine.getPdf(id));
    costs['text of a page'] = await requests(async () => engine.pageText(id, 0));
    costs['text of the next'] = await requests(async () => engine.pageText(id, 1));
    costs['create 1'] = await requests(async () => engine.createAnnotations(id, [note('n')]));
    const [made] = await engine.listAnnotations(id);
    const change = [{ value: note('n', 'new'), version: made?.version ?? '' }];
    costs['change 1'] = await requests(async () => engine.updateAnnotations(id, change));
    const thousand = Array.from({ length: 1_000 }, (_, at) => highlight(`m${at}`, at % 2));
    costs['create 1,000'] = await requests(async () => engine.createAnnotations(id, thousand));
    costs['list 1,001'] = await requests(async () => engine.listAnnotations(id));
    costs['delete 1,000'] = await requests(async () => engine.deleteAnnotations(id, thousand));
    expect(costs).toEqual({
      put: 5,
      'put again': 2,
      find: 2,
      get: 1,
      'text of a page': 2,
      'text of the next': 1,
      'create 1': 4,
      'change 1': 4,
      'create 1,000': 5,
      'list 1,001': 2,
      'delete 1,000': 4,
    });
  });

  it('of a redaction is less than 40 requests, comments and stickers with it', async () => {
    const id = newId();
    await engine.putDocument(id, pdf);
    const attached = await engine.putAttachment(id, { bytes: samplePng(5), contentType: 'image/png' });
    await engine.createAnnotations(id, [redaction('r', [107, 86, 58, 18]), highlight('h', 1), sticker('s', attached)]);
    await engine.addComments(id, [comment('c', 'h', 'why?', 1)]);
    const cost = await requests(async () => engine.applyRedactions(id));
    expect(cost).toBeLessThan(40);
  });
});

describe.runIf(files.length > 0)('real documents', () => {
  it.each(files)('are put, read, searched and redacted: %s', async (_name, file) => {
    const bytes = readFileSync(file);
    const id = newId();
    const { pageCount } = await engine.putDocument(id, bytes);
    expect(Buffer.from(await engine.getPdf(id)).equals(bytes)).toBe(true);
    expect(await engine.pageSizes(id)).toHaveLength(pageCount);
    expect(await engine.listAnnotations(id)).toEqual([]);
    const { text } = await engine.pageText(id, 0);
    const word = /\p{L}{5,}/u.exec(text)?.[0];
    if (word === undefined) return;
    const matches = await engine.searchText(id, word);
    expect(matches.length).toBeGreaterThan(0);
    const marks = matches.map(({ pageIndex, rects }, at): PageAnnotation => {
      const boxes = rects.map(({ left, top, width, height }): [number, number, number, number] => [
        left,
        top,
        width,
        height,
      ]);
      const [bbox = [0, 0, 1, 1]] = boxes;
      return { id: `r${at}`, v: 2, type: 'pspdfkit/markup/redaction', pageIndex, bbox, rects: boxes };
    });
    await engine.createAnnotations(id, [...marks, note('n')]);
    const within = [...(server.documents.get(id)?.base.annotations.values() ?? [])];
    if (within.some(({ content }) => JSON.stringify(content).toLowerCase().includes(word.toLowerCase()))) {
      // An annotation of the PDF repeats what is redacted: that cannot be proved gone, so nothing is changed.
      await expect(engine.applyRedactions(id)).rejects.toMatchObject({ code: 'redaction_unverified' });
      expect(Buffer.from(await engine.getPdf(id)).equals(bytes)).toBe(true);
      expect(await engine.listAnnotations(id)).toHaveLength(marks.length + 1);
      return;
    }
    const { applied } = await engine.applyRedactions(id);
    expect(applied).toBe(marks.length);
    expect(await engine.searchText(id, word)).toEqual([]);
    expect((await engine.listAnnotations(id)).length).toBeLessThanOrEqual(1);
  });
});
