import { hasCode } from '@casebound/contract';
import { beforeAll, describe, expect, it } from 'vitest';
import { type InstantJson, parseInstantJson } from './annotations/instant-json.ts';
import { burnIn } from './burn-in.ts';
import type { PdfEngine } from './engine/create-engine.ts';
import { encodePng } from './engine/encode-png.ts';
import { openDocument } from './engine/open-document.ts';
import { renderPixels } from './engine/render-page.ts';
import { defaultRouting, type Routing } from './produce-document.ts';
import { attachmentId } from './annotations/instant-json.ts';
import { greyPicture, onePage } from './testing/build-pdf.ts';
import { createTestEngine, textOf } from './testing/with-engine.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

const pdf = onePage({ content: 'BT /F1 14 Tf 60 150 Td (Pay the SECRET amount now) Tj ET' });
const png = encodePng(greyPicture(20, 10), 20, 10, 1, 72);
const png2 = attachmentId(png);
const area = [110, 136, 59, 20];
const common = { v: 2, pageIndex: 0 };
const redaction = { ...common, id: 'r', type: 'pspdfkit/markup/redaction', bbox: area, rects: [area] };
const highlight = {
  ...common,
  id: 'h',
  type: 'pspdfkit/markup/highlight',
  bbox: [60, 136, 200, 20],
  rects: [[60, 136, 200, 20]],
  color: '#FFFF00',
};
const note = { ...common, id: 'n', type: 'pspdfkit/note', bbox: [150, 130, 24, 24], text: 'look' };
const sticker = { ...common, id: 's', type: 'pspdfkit/image', bbox: [110, 130, 40, 20], imageAttachmentId: png2 };
const bates = {
  ...common,
  id: 'b',
  type: 'pspdfkit/text',
  bbox: [280, 270, 110, 20],
  text: 'ACME000001',
  customData: { type: 'bates_stamp' },
};
const comment = { ...common, id: 'c', type: 'pspdfkit/comment', rootId: 'h', text: 'is this right?' };

const json = (annotations: readonly unknown[], comments: readonly unknown[] = []): InstantJson =>
  parseInstantJson({
    annotations,
    comments,
    attachments: { [png2]: { binary: Buffer.from(png).toString('base64'), contentType: 'image/png' } },
  });

const routing = (changes: Partial<Routing> = {}): Routing => ({ ...defaultRouting, ...changes });

const allIn = routing({ highlight: 'brand_in', note: 'brand_in', sticker: 'brand_in', comment: 'omit' });

const pixel = (bytes: Uint8Array, x: number, y: number): readonly number[] => {
  using document = openDocument(engine, bytes);
  const { width, pixels } = renderPixels(document, 0, { dpi: 72 });
  return [...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
};

describe('burning in', () => {
  it('removes, draws, layers and leaves out as the routing says', async () => {
    const result = await burnIn(
      engine,
      pdf,
      json([redaction, highlight, note, sticker, bates], [comment]),
      routing({ note: 'omit' }),
    );
    expect(result.layerAnnotations.map(({ id }) => id)).toEqual(['h', 's']);
    expect(result.comments.map(({ id }) => id)).toEqual(['c']);
    expect([...result.attachments.keys()]).toEqual([png2]);
    expect(result).toMatchObject({ brandedIn: 1, omitted: 1, unapplied: 0, commentsWithoutRoot: [], pageCount: 1 });
    expect(result.redactionReport).toMatchObject({ applied: 1, removed: { images: 0, paths: 0, annotations: 0 } });
    expect(result.redactionReport.removed.glyphs).toBeGreaterThanOrEqual(6);
    expect(result.redactionReport.verification?.verified).toBe(true);
    expect(result.pageTexts).toHaveLength(1);
    expect(result.pageTexts[0]?.text).toMatch(/Pay the\s+amount now/);
    expect(result.pageTexts[0]?.text).toContain('ACME000001');
    expect(textOf(engine, result.pdf)).not.toContain('SECRET');
    expect(Buffer.from(result.pdf).toString('latin1')).not.toContain('/Annots');
  });

  it('draws highlights around redactions, and notes and stickers over them', async () => {
    const result = await burnIn(engine, pdf, json([redaction, highlight, note, sticker, bates]), allIn);
    expect(result.layerAnnotations).toEqual([]);
    expect(result).toMatchObject({ brandedIn: 4, omitted: 0 });
    // Yellow beside the redaction, black on it.
    expect(pixel(result.pdf, 240, 138)).toEqual([255, 255, 0]);
    const plain = await burnIn(engine, pdf, json([redaction, highlight]), allIn);
    expect(pixel(plain.pdf, 160, 152)).toEqual([0, 0, 0]);
    expect(pixel(plain.pdf, 80, 138)).toEqual([255, 255, 0]);
    expect(result.pageTexts[0]?.text).not.toContain('SECRET');
  });

  it('says which comments lose their root', async () => {
    const result = await burnIn(
      engine,
      pdf,
      json([highlight], [comment]),
      routing({ highlight: 'brand_in', comment: 'layer' }),
    );
    expect(result).toMatchObject({ comments: [], commentsWithoutRoot: ['c'], omitted: 0 });
  });

  it('keeps redactions as marks when they are layered, and counts them', async () => {
    const result = await burnIn(engine, pdf, json([redaction]), routing({ redaction: 'layer' }));
    expect(result).toMatchObject({ unapplied: 1, omitted: 0 });
    expect(result.redactionReport.applied).toBe(0);
    expect(result.redactionReport.verification).toBeUndefined();
    expect(result.pageTexts[0]?.text).toContain('SECRET');
  });

  it.each([
    ['a note', [redaction, { ...note, bbox: [300, 20, 24, 24], text: 'the Secret is out' }], []],
    ['a comment', [redaction, highlight], [{ ...comment, text: 'why hide SECRET?' }]],
    ['custom data', [redaction, { ...highlight, customData: { quote: 'the SECRET amount' } }], []],
  ])('fails when %s that travels repeats what was removed', async (_name, annotations, comments) => {
    const failure = await burnIn(engine, pdf, json(annotations, comments), routing()).catch((error: unknown) => error);
    expect(hasCode(failure, 'redaction_unverified')).toBe(true);
    expect(JSON.stringify(failure)).toContain('removed_text_in_annotation');
    expect(JSON.stringify(failure)).not.toMatch(/secret/i);
  });

  it('lets a word travel that is still visible elsewhere', async () => {
    const both = onePage({
      content: 'BT /F1 14 Tf 60 150 Td (Pay the SECRET amount now) Tj 0 -60 Td (Secret of the other page) Tj ET',
    });
    const result = await burnIn(engine, both, json([redaction, { ...note, text: 'the Secret' }]), routing());
    expect(result.layerAnnotations).toHaveLength(1);
  });

  it('does not brand comments in', async () => {
    await expect(burnIn(engine, pdf, json([]), routing({ comment: 'brand_in' }))).rejects.toThrow(/not branded in/);
  });
});
