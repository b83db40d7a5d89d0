/**
 * What every adapter must do. An adapter's own test file opens an engine and passes it here; failure injection, which differs, is
 * tested there.
 */
import { createHash } from 'node:crypto';
import { BatchId, CaseId, DocumentId, ExhibitId, hasCode, type ErrorCode } from '@casebound/contract';
import { attachmentId, type PageAnnotation } from '@casebound/pdf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../object-store/Port.ts';
import {
  formatDocumentId,
  parseDocumentId,
  type DocumentEngine,
  type EngineDocumentId,
  type StoredPdf,
} from './Port.ts';
import { comment, highlight, note, redaction, samplePng, stamp, sticker } from './testing/sample-annotations.ts';
import { buildPdf, samplePdf } from './testing/sample-pdf.ts';

export interface ConformanceTarget {
  readonly engine: DocumentEngine;
  /** A case that exists and has no documents. */
  readonly caseId: CaseId;
  /** Puts bytes where the engine's object store has them, if it has one. */
  readonly store: (bytes: Uint8Array) => Promise<ObjectKey>;
  readonly remove: (object: ObjectKey) => Promise<void>;
  dispose(): Promise<void>;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const codeOf = async (work: Promise<unknown>): Promise<ErrorCode | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    for (const code of [
      'engine_document_not_found',
      'engine_document_exists',
      'annotation_not_found',
      'annotation_conflict',
      'annotation_exists',
      'annotation_read_only',
      'annotation_invalid',
      'annotation_unknown_type',
      'attachment_missing',
      'pdf_damaged',
      'pdf_encrypted',
      'pdf_page_out_of_range',
      'validation_failed',
    ] as const)
      if (hasCode(error, code)) return code;
    throw error;
  }
};

const secretPdf = samplePdf([['Pay the SECRET amount today', 'to Jane Doe'], ['Nothing on the second page']]);
/** Around `SECRET` in the first line: Helvetica of 14 points. */
const secretBox: [number, number, number, number] = [110, 86, 59, 18];

export const describeDocumentEngine = (name: string, open: () => Promise<ConformanceTarget>): void => {
  describe(`document engine: ${name}`, () => {
    let target: ConformanceTarget;
    let engine: DocumentEngine;
    let last = 0;
    const newId = (): EngineDocumentId =>
      formatDocumentId({
        caseId: target.caseId,
        batchId: BatchId.parse(1),
        documentId: DocumentId.parse((last += 1)),
        exhibitId: ExhibitId.parse(last),
      });
    /** A document of its own for one test. */
    const put = async (pdf = secretPdf): Promise<EngineDocumentId> => {
      const id = newId();
      await engine.putDocument(id, pdf);
      return id;
    };
    beforeAll(async () => {
      target = await open();
      engine = target.engine;
    });
    afterAll(async () => {
      await target.dispose();
    });

    it('names documents by their four ids', () => {
      const id = newId();
      expect(id).toBe(`document_${target.caseId}_1_${last}_${last}`);
      expect(parseDocumentId(id)).toEqual({ caseId: target.caseId, batchId: 1, documentId: last, exhibitId: last });
      for (const wrong of ['document_1_2_3', 'document_0_1_1_1', 'document_1_1_1_1_1', 'Document_1_1_1_1', ''])
        expect(() => parseDocumentId(wrong)).toThrow(/form document_/);
    });

    it('is there', async () => {
      const probe = await engine.probe();
      expect(probe.address).not.toBe('');
      expect(probe.milliseconds).toBeGreaterThanOrEqual(0);
    });

    describe('documents', () => {
      it('come back byte for byte, with size, hash and page count', async () => {
        const id = newId();
        const stated = { id, size: secretPdf.length, sha256: sha256(secretPdf), pageCount: 2 };
        expect(await engine.findDocument(id)).toBeUndefined();
        expect(await engine.putDocument(id, secretPdf)).toEqual({ ...stated, created: true });
        expect(await engine.findDocument(id)).toEqual(stated);
        expect(Buffer.from(await engine.getPdf(id)).equals(secretPdf)).toBe(true);
      });

      it('are put once: equal bytes change nothing, other bytes are refused unless they shall replace', async () => {
        const id = await put();
        await engine.createAnnotations(id, [highlight('h')]);
        expect(await engine.putDocument(id, secretPdf)).toMatchObject({ created: false, pageCount: 2 });
        expect(await engine.listAnnotations(id)).toHaveLength(1);
        const other = samplePdf([['Another document']]);
        expect(await codeOf(engine.putDocument(id, other))).toBe('engine_document_exists');
        expect((await engine.findDocument(id))?.pageCount).toBe(2);
        expect(await engine.putDocument(id, other, { replace: true })).toMatchObject({ created: true, pageCount: 1 });
        expect(await engine.listAnnotations(id)).toEqual([]);
        expect(Buffer.from(await engine.getPdf(id)).equals(other)).toBe(true);
      });

      it('put at once by several are there once', async () => {
        const id = newId();
        const outcomes = await Promise.all([1, 2, 3].map(async () => engine.putDocument(id, secretPdf)));
        expect(outcomes.filter(({ created }) => created)).toHaveLength(1);
        expect((await engine.findDocument(id))?.sha256).toBe(sha256(secretPdf));
      });

      describe('that lie in the object store', () => {
        const stored = async (id: EngineDocumentId, bytes: Uint8Array): Promise<StoredPdf> => ({
          id,
          object: await target.store(bytes),
          size: bytes.length,
          sha256: sha256(bytes),
          read: async () => Promise.resolve(Uint8Array.from(bytes)),
        });
        const other = samplePdf([['Another document']]);

        it('are put together, each by itself: new ones, equal ones, others in their place, and none that is damaged', async () => {
          const [fresh, equal, changed, damaged] = [newId(), await put(), await put(), newId()];
          await engine.createAnnotations(equal, [highlight('h')]);
          await engine.createAnnotations(changed, [highlight('h')]);
          const bad = Buffer.from('This is not a PDF.');
          const asked = [
            await stored(fresh, secretPdf),
            await stored(equal, secretPdf),
            await stored(damaged, bad),
            await stored(changed, other),
          ];
          const outcomes = await engine.putStored(asked);
          expect(outcomes.map(({ id }) => id)).toEqual([fresh, equal, damaged, changed]);
          expect(outcomes[0]).toEqual({
            id: fresh,
            put: { id: fresh, size: secretPdf.length, sha256: sha256(secretPdf), pageCount: 2, created: true },
          });
          expect(outcomes[1]).toMatchObject({ put: { created: false, pageCount: 2 } });
          expect(outcomes[2]).toMatchObject({ error: { code: 'pdf_damaged' } });
          expect(outcomes[3]).toMatchObject({ put: { created: true, pageCount: 1 } });
          expect(Buffer.from(await engine.getPdf(fresh)).equals(secretPdf)).toBe(true);
          expect(await engine.listAnnotations(equal)).toHaveLength(1);
          expect(Buffer.from(await engine.getPdf(changed)).equals(other)).toBe(true);
          expect(await engine.listAnnotations(changed)).toEqual([]);
          expect(await engine.findDocument(damaged)).toBeUndefined();
          const again = await engine.putStored(asked);
          expect(again.map((one) => 'put' in one && one.put.created)).toEqual([false, false, false, false]);
          expect(await engine.putStored([])).toEqual([]);
        });

        it('put at once by several are there once', async () => {
          const ids = Array.from({ length: 5 }, newId);
          const asked = await Promise.all(ids.map(async (id) => stored(id, secretPdf)));
          const tries = await Promise.all([1, 2, 3].map(async () => engine.putStored(asked)));
          for (const id of ids)
            expect(
              tries.flat().filter((one) => one.id === id && 'put' in one && one.put.created),
              id,
            ).toHaveLength(1);
          const outcomes = await engine.putStored(asked);
          expect(outcomes.every((one) => 'put' in one && !one.put.created)).toBe(true);
          for (const id of ids) expect((await engine.findDocument(id))?.sha256).toBe(sha256(secretPdf));
        });

        it('need not stay there', async () => {
          const id = newId();
          const one = await stored(id, other);
          await engine.putStored([one]);
          await target.remove(one.object);
          expect(Buffer.from(await engine.getPdf(id)).equals(other)).toBe(true);
        });
      });

      it('are surveyed together: what they are, and how much is on them', async () => {
        const [bare, full, gone] = [await put(), await put(), newId()];
        await engine.createAnnotations(full, [highlight('h'), redaction('r', secretBox), highlight('i')]);
        await engine.addComments(full, [comment('c', 'h')]);
        const found = await engine.surveyDocuments([gone, full, bare]);
        const stated = { size: secretPdf.length, sha256: sha256(secretPdf), pageCount: 2 };
        expect([...found.keys()].toSorted()).toEqual([bare, full].toSorted());
        expect(found.get(bare)).toEqual({ id: bare, ...stated, annotations: {}, comments: 0 });
        expect(found.get(full)).toEqual({
          id: full,
          ...stated,
          annotations: { 'pspdfkit/markup/highlight': 2, 'pspdfkit/markup/redaction': 1 },
          comments: 1,
        });
        expect(await engine.surveyDocuments([])).toEqual(new Map());
      });

      it('are listed by case', async () => {
        const ids = [await put(), await put()];
        const listed: EngineDocumentId[] = [];
        for await (const page of engine.listDocuments(target.caseId)) {
          expect(page.length).toBeGreaterThan(0);
          listed.push(...page);
        }
        expect(new Set(listed).size).toBe(listed.length);
        expect(listed).toEqual(expect.arrayContaining(ids));
        for await (const page of engine.listDocuments(CaseId.parse(target.caseId)))
          for (const id of page) expect(parseDocumentId(id).caseId).toBe(target.caseId);
      });

      it.each([
        ['nothing', new Uint8Array(0), 'pdf_damaged'],
        ['text', Uint8Array.from(Buffer.from('This is not a PDF.')), 'pdf_damaged'],
        ['no pages', buildPdf(['<</Type/Catalog/Pages 2 0 R>>', '<</Type/Pages/Kids[]/Count 0>>']), 'pdf_damaged'],
      ])('that are no PDF are refused, and nothing is kept: %s', async (_name, bytes, code) => {
        const id = newId();
        expect(await codeOf(engine.putDocument(id, bytes))).toBe(code);
        expect(await engine.findDocument(id)).toBeUndefined();
        expect(await codeOf(engine.getPdf(id))).toBe('engine_document_not_found');
      });

      it('are deleted with everything on them, and deleting again is success', async () => {
        const id = await put();
        await engine.createAnnotations(id, [highlight('h')]);
        await engine.addComments(id, [comment('c', 'h')]);
        const attached = await engine.putAttachment(id, { bytes: samplePng(), contentType: 'image/png' });
        await engine.deleteDocument(id);
        await engine.deleteDocument(id);
        expect(await engine.findDocument(id)).toBeUndefined();
        await engine.putDocument(id, secretPdf);
        expect(await engine.listAnnotations(id)).toEqual([]);
        expect(await engine.listComments(id)).toEqual([]);
        expect(await codeOf(engine.getAttachment(id, attached))).toBe('attachment_missing');
      });

      it('that are not there are named by every call', async () => {
        const id = newId();
        const value = highlight('h');
        const calls: readonly (() => Promise<unknown>)[] = [
          async () => engine.getPdf(id),
          async () => engine.getPdf(id, { annotations: 'layer' }),
          async () => engine.pageSizes(id),
          async () => engine.pageText(id, 0),
          async () => engine.renderPage(id, 0),
          async () => engine.searchText(id, 'word'),
          async () => engine.listAnnotations(id),
          async () => engine.createAnnotations(id, [value]),
          async () => engine.updateAnnotations(id, [{ value, version: '1' }]),
          async () => engine.listComments(id),
          async () => engine.addComments(id, [comment('c', 'h')]),
          async () => engine.putAttachment(id, { bytes: samplePng(), contentType: 'image/png' }),
          async () => engine.applyRedactions(id),
          async () => engine.exportInstantJson(id),
        ];
        for (const [at, call] of calls.entries())
          expect(await codeOf(call()), `call ${at}`).toBe('engine_document_not_found');
      });

      it('are not read for a caller that has gone', async () => {
        const id = await put();
        const gone = AbortSignal.abort(new Error('gone'));
        await expect(engine.getPdf(id, { signal: gone })).rejects.toThrow('gone');
        await expect(engine.renderPage(id, 0, { signal: gone })).rejects.toThrow('gone');
      });
    });

    describe('pages', () => {
      it('have sizes, text with lines, and pictures', async () => {
        const id = await put();
        expect(await engine.pageSizes(id)).toEqual([
          { pageIndex: 0, width: 400, height: 300 },
          { pageIndex: 1, width: 400, height: 300 },
        ]);
        const page = await engine.pageText(id, 0);
        expect(page).toMatchObject({ pageIndex: 0, width: 400, height: 300 });
        expect(page.lines.map(({ text }) => text.trim())).toEqual(['Pay the SECRET amount today', 'to Jane Doe']);
        const [line] = page.lines;
        expect(line?.rect.left).toBeCloseTo(60, -1);
        expect(line?.rect.top).toBeGreaterThan(80);
        expect((line?.rect.top ?? 0) + (line?.rect.height ?? 0)).toBeLessThan(110);
        expect(page.text).toContain('SECRET');
        const png = Buffer.from(await engine.renderPage(id, 1, { dpi: 72 }));
        expect(png.subarray(1, 4).toString('latin1')).toBe('PNG');
        expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([400, 300]);
        expect(await codeOf(engine.pageText(id, 2))).toBe('pdf_page_out_of_range');
        expect(await codeOf(engine.renderPage(id, -1))).toBe('pdf_page_out_of_range');
      });

      it('are searched, whatever the letter case', async () => {
        const id = await put();
        const matches = await engine.searchText(id, 'secret');
        expect(matches).toHaveLength(1);
        const rect = matches[0]?.rects[0];
        expect(rect?.left).toBeGreaterThan(100);
        expect(rect?.left).toBeLessThan(125);
        expect(rect?.width).toBeGreaterThan(40);
        expect(rect?.width).toBeLessThan(70);
        expect(await engine.searchText(id, 'absent')).toEqual([]);
        expect(await codeOf(engine.searchText(id, ''))).toBe('validation_failed');
      });

      it('show annotations when they are asked for', async () => {
        const id = await put();
        const bare = await engine.renderPage(id, 0, { dpi: 72 });
        await engine.createAnnotations(id, [highlight('h')]);
        expect(Buffer.from(await engine.renderPage(id, 0, { dpi: 72, annotations: false })).equals(bare)).toBe(true);
        expect(Buffer.from(await engine.renderPage(id, 0, { dpi: 72 })).equals(bare)).toBe(false);
      });
    });

    describe('annotations', () => {
      it('of every kind come back with the members that nobody knows', async () => {
        const id = await put();
        const attached = await engine.putAttachment(id, { bytes: samplePng(), contentType: 'image/png' });
        const all = [
          redaction('r', secretBox),
          highlight('h', 1),
          note('n', 'Größe ≠ 日本'),
          sticker('s', attached),
          stamp('b', 'ACME000001'),
          stamp('c', 'CONFIDENTIAL', 'confidentiality_stamp'),
        ];
        const created = await engine.createAnnotations(id, all);
        expect(created.map(({ value }) => value.id)).toEqual(all.map((one) => one.id));
        const listed = await engine.listAnnotations(id);
        expect(listed.map(({ value }) => value.id)).toEqual(['r', 'n', 's', 'b', 'c', 'h']);
        for (const one of all)
          expect(listed.find(({ value }) => value.id === one.id)?.value).toEqual(expect.objectContaining(one));
        expect((await engine.listAnnotations(id, { pageIndex: 1 })).map(({ value }) => value.id)).toEqual(['h']);
        const h = await engine.getAnnotation(id, 'h');
        expect(h.value).toEqual(expect.objectContaining(highlight('h', 1)));
        expect(h.version).not.toBe('');
        expect(await codeOf(engine.getAnnotation(id, 'x'))).toBe('annotation_not_found');
      });

      it('are created once, all or none', async () => {
        const id = await put();
        const [first] = await engine.createAnnotations(id, [note('a', 'one')]);
        const [again] = await engine.createAnnotations(id, [note('a', 'one')]);
        expect(again?.version).toBe(first?.version);
        expect(await codeOf(engine.createAnnotations(id, [note('b'), note('a', 'two')]))).toBe('annotation_exists');
        expect(await codeOf(engine.createAnnotations(id, [note('b'), highlight('c', 2)]))).toBe(
          'pdf_page_out_of_range',
        );
        expect(await codeOf(engine.createAnnotations(id, [note('b'), highlight('c', 0, [500, 0, 9, 9])]))).toBe(
          'annotation_invalid',
        );
        expect(await codeOf(engine.createAnnotations(id, [note('b'), sticker('c', 'f'.repeat(64))]))).toBe(
          'attachment_missing',
        );
        const strange = { ...note('c'), type: 'pspdfkit/ink' } as unknown as PageAnnotation;
        expect(await codeOf(engine.createAnnotations(id, [note('b'), strange]))).toBe('annotation_unknown_type');
        const crooked = highlight('c', 0, [10, 10, Number.NaN, -3]);
        expect(await codeOf(engine.createAnnotations(id, [note('b'), crooked]))).toBe('annotation_invalid');
        expect(await codeOf(engine.createAnnotations(id, [note('b'), note('b')]))).toBe('annotation_invalid');
        expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['a']);
      });

      it('are changed upon their version, and by one of two only', async () => {
        const id = await put();
        const [made] = await engine.createAnnotations(id, [note('a', 'one'), note('b', 'bee')]);
        const version = made?.version ?? '';
        const [changed] = await engine.updateAnnotations(id, [{ value: note('a', 'two'), version }]);
        expect(changed?.version).not.toBe(version);
        expect(changed?.value).toEqual(expect.objectContaining(note('a', 'two')));
        expect(await codeOf(engine.updateAnnotations(id, [{ value: note('a', 'three'), version }]))).toBe(
          'annotation_conflict',
        );
        const b = await engine.getAnnotation(id, 'b');
        const both = [
          { value: note('b', 'bumble'), version: b.version },
          { value: note('a', 'three'), version },
        ];
        expect(await codeOf(engine.updateAnnotations(id, both))).toBe('annotation_conflict');
        expect((await engine.getAnnotation(id, 'b')).value).toEqual(expect.objectContaining(note('b', 'bee')));
        expect(await codeOf(engine.updateAnnotations(id, [{ value: note('x'), version }]))).toBe(
          'annotation_not_found',
        );
        expect(await codeOf(engine.updateAnnotations(id, [{ value: highlight('b'), version: b.version }]))).toBe(
          'annotation_invalid',
        );
        const present = (await engine.getAnnotation(id, 'a')).version;
        const outcomes = await Promise.all(
          ['left', 'right', 'middle'].map(async (text) =>
            codeOf(engine.updateAnnotations(id, [{ value: note('a', text), version: present }])),
          ),
        );
        expect(outcomes.filter((code) => code === undefined)).toHaveLength(1);
        expect(outcomes.filter((code) => code === 'annotation_conflict')).toHaveLength(2);
      });

      it('are deleted with their comments, upon a version when one is named', async () => {
        const id = await put();
        const [h] = await engine.createAnnotations(id, [highlight('h'), highlight('k')]);
        await engine.addComments(id, [comment('c1', 'h'), comment('c2', 'k')]);
        expect(await codeOf(engine.deleteAnnotations(id, [{ id: 'k' }, { id: 'h', version: 'other' }]))).toBe(
          'annotation_conflict',
        );
        expect(await engine.listAnnotations(id)).toHaveLength(2);
        await engine.deleteAnnotations(id, [{ id: 'h', version: h?.version ?? '' }, { id: 'never' }]);
        await engine.deleteAnnotations(id, [{ id: 'h' }]);
        expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['k']);
        expect((await engine.listComments(id)).map(({ value }) => value.id)).toEqual(['c2']);
      });

      it('that are stamps are changed and deleted by those alone who say so', async () => {
        const id = await put();
        const [made] = await engine.createAnnotations(id, [stamp('b', 'ACME1')]);
        const change = { value: stamp('b', 'ACME2'), version: made?.version ?? '' };
        expect(await codeOf(engine.updateAnnotations(id, [change]))).toBe('annotation_read_only');
        expect(await codeOf(engine.deleteAnnotations(id, [{ id: 'b' }]))).toBe('annotation_read_only');
        await engine.updateAnnotations(id, [change], { stamps: true });
        await engine.deleteAnnotations(id, [{ id: 'b' }], { stamps: true });
        expect(await engine.listAnnotations(id)).toEqual([]);
      });

      it('by the thousands are taken and listed whole', async () => {
        const id = await put();
        const many = Array.from({ length: 2_500 }, (_, at) => highlight(`m${String(at).padStart(5, '0')}`, at % 2));
        await engine.createAnnotations(id, many);
        expect(await engine.listAnnotations(id)).toHaveLength(many.length);
      }, 60_000);
    });

    describe('comments', () => {
      it('are threads of their root', async () => {
        const id = await put();
        await engine.createAnnotations(id, [highlight('h'), highlight('k')]);
        await engine.addComments(id, [comment('c1', 'h', 'first'), comment('c2', 'k', 'other')]);
        await engine.addComments(id, [comment('c3', 'h', 'second')]);
        await engine.addComments(id, [comment('c3', 'h', 'second')]);
        expect((await engine.listComments(id, { rootId: 'h' })).map(({ value }) => value.id)).toEqual(['c1', 'c3']);
        expect((await engine.listComments(id, { rootId: 'h' }))[0]?.value).toEqual(
          expect.objectContaining(comment('c1', 'h', 'first')),
        );
        expect(await engine.listComments(id)).toHaveLength(3);
        expect(await codeOf(engine.addComments(id, [comment('c4', 'h'), comment('c5', 'gone')]))).toBe(
          'annotation_not_found',
        );
        expect(await codeOf(engine.addComments(id, [comment('c1', 'h', 'altered')]))).toBe('annotation_exists');
        await engine.deleteComments(id, ['c1', 'never']);
        expect((await engine.listComments(id)).map(({ value }) => value.id).toSorted()).toEqual(['c2', 'c3']);
      });
    });

    describe('attachments', () => {
      it('are kept under their hash', async () => {
        const id = await put();
        const bytes = samplePng(200);
        expect(await engine.putAttachment(id, { bytes, contentType: 'image/png' })).toBe(attachmentId(bytes));
        expect(await engine.putAttachment(id, { bytes, contentType: 'image/png' })).toBe(attachmentId(bytes));
        const back = await engine.getAttachment(id, attachmentId(bytes));
        expect(Buffer.from(back.bytes).equals(bytes)).toBe(true);
        expect(back.contentType).toBe('image/png');
        expect(await codeOf(engine.getAttachment(id, '0'.repeat(64)))).toBe('attachment_missing');
      });
    });

    describe('redactions', () => {
      it('are applied for good: the text is gone, the annotation too, the neighbours stay', async () => {
        const id = await put();
        await engine.createAnnotations(id, [redaction('r', secretBox), highlight('h', 1)]);
        const marked = Buffer.from(await engine.getPdf(id, { annotations: 'layer' }));
        expect(marked.length).toBeGreaterThan(0);
        const applied = await engine.applyRedactions(id);
        expect(applied).toMatchObject({ id, pageCount: 2, applied: 1, removedAnnotations: [] });
        expect(applied.sha256).not.toBe(sha256(secretPdf));
        const { text } = await engine.pageText(id, 0);
        expect(text).not.toContain('SECRET');
        expect(text).toMatch(/Pay the/);
        expect(text).toMatch(/amount today/);
        expect(await engine.searchText(id, 'secret')).toEqual([]);
        expect(sha256(await engine.getPdf(id))).toBe(applied.sha256);
        expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['h']);
        expect(await engine.applyRedactions(id)).toMatchObject({ applied: 0, sha256: applied.sha256 });
      });

      it('take the annotations with them that lie under them', async () => {
        const id = await put();
        const [left, top] = secretBox;
        await engine.createAnnotations(id, [redaction('r', secretBox), highlight('h', 0, [left + 5, top + 4, 20, 8])]);
        await engine.addComments(id, [comment('c', 'h')]);
        expect((await engine.applyRedactions(id)).removedAnnotations).toEqual(['h']);
        expect(await engine.listAnnotations(id)).toEqual([]);
        expect(await engine.listComments(id)).toEqual([]);
      });
    });

    describe('PDFs with what is on them', () => {
      it('carry annotations as a layer, or flattened', async () => {
        const id = await put();
        await engine.createAnnotations(id, [highlight('h'), redaction('r', secretBox)]);
        const layered = newId();
        await engine.putDocument(layered, await engine.getPdf(id, { annotations: 'layer' }));
        expect((await engine.pageText(layered, 0)).text).toContain('SECRET');
        const flat = newId();
        await engine.putDocument(flat, await engine.getPdf(id, { annotations: 'flatten' }));
        expect((await engine.pageText(flat, 0)).text).toContain('SECRET');
        const bare = await engine.renderPage(id, 0, { dpi: 72, annotations: false });
        const drawn = await engine.renderPage(flat, 0, { dpi: 72, annotations: false });
        expect(Buffer.from(drawn).equals(bare)).toBe(false);
      });

      it('leave and enter as Instant JSON', async () => {
        const id = await put();
        const attached = await engine.putAttachment(id, { bytes: samplePng(7), contentType: 'image/png' });
        await engine.createAnnotations(id, [highlight('h'), sticker('s', attached), stamp('b', 'ACME1')]);
        await engine.addComments(id, [comment('c', 'h')]);
        const json = await engine.exportInstantJson(id);
        expect(json.annotations.map((one) => one.id)).toEqual(['h', 's', 'b']);
        expect(json.comments.map((one) => one.id)).toEqual(['c']);
        expect([...json.attachments.keys()]).toEqual([attached]);
        const other = await put(samplePdf([['Another'], ['document']]));
        expect(await engine.importInstantJson(other, json)).toEqual({ annotations: 3, comments: 1 });
        expect(await engine.importInstantJson(other, json)).toEqual({ annotations: 3, comments: 1 });
        const back = await engine.exportInstantJson(other);
        expect(back.annotations).toEqual(json.annotations.map((one) => expect.objectContaining({ id: one.id })));
        expect(back.comments).toHaveLength(1);
        expect(Buffer.from(back.attachments.get(attached)?.bytes ?? []).equals(samplePng(7))).toBe(true);
        await engine.importInstantJson(
          other,
          { annotations: [note('n')], comments: [], attachments: new Map() },
          { replace: true },
        );
        expect((await engine.listAnnotations(other)).map(({ value }) => value.id)).toEqual(['n']);
        expect(await engine.listComments(other)).toEqual([]);
      });
    });
  });
};
