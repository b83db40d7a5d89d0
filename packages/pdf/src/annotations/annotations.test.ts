import { beforeAll, describe, expect, it } from 'vitest';
import { hasCode } from '@casebound/contract';
import { encodePng } from '../engine/encode-png.ts';
import type { PdfEngine } from '../engine/create-engine.ts';
import { openDocument } from '../engine/open-document.ts';
import { renderPixels } from '../engine/render-page.ts';
import { openEdit } from '../edit/open-edit.ts';
import { produceDocument } from '../produce-document.ts';
import { greyPicture, onePage } from '../testing/build-pdf.ts';
import { createTestEngine, textOf } from '../testing/with-engine.ts';
import { addAnnotations } from './add-annotations.ts';
import { flattenAnnotations, removeAnnotationsById, replaceAnnotations } from './change-annotations.ts';
import { attachmentId, formatInstantJson, INSTANT_JSON_FORMAT, parseInstantJson } from './instant-json.ts';
import { readAnnotations } from './read-annotations.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

const png = encodePng(greyPicture(20, 10), 20, 10, 1, 72);
const sticker = attachmentId(png);
const who = { creatorName: 'Ada', createdAt: '2024-03-01T10:00:00.000Z', updatedAt: '2024-03-02T10:00:00.000Z' };

/** All seven kinds, with members that this package does not know. */
const all = {
  format: INSTANT_JSON_FORMAT,
  annotations: [
    {
      v: 2,
      id: 'red',
      type: 'pspdfkit/markup/redaction',
      pageIndex: 0,
      bbox: [50, 50, 100, 20],
      rects: [[50, 50, 100, 20]],
      fillColor: '#112233',
      overlayText: 'PRIV',
      ...who,
    },
    {
      v: 2,
      id: 'high',
      type: 'pspdfkit/markup/highlight',
      pageIndex: 0,
      bbox: [50, 80, 100, 30],
      rects: [
        [50, 80, 100, 12],
        [50, 98, 60, 12],
      ],
      color: '#FFFF00',
      isCommentThreadRoot: true,
      blendMode: 'multiply',
      ...who,
    },
    {
      v: 2,
      id: 'note',
      type: 'pspdfkit/note',
      pageIndex: 0,
      bbox: [300, 20, 24, 24],
      text: { format: 'plain', value: 'Größe ≠ 日本' },
      icon: 'comment',
      customData: { tags: ['a', 1] },
      ...who,
    },
    {
      v: 2,
      id: 'sticker',
      type: 'pspdfkit/image',
      pageIndex: 0,
      bbox: [200, 200, 40, 20],
      imageAttachmentId: sticker,
      contentType: 'image/png',
      rotation: 0,
      ...who,
    },
    {
      v: 2,
      id: 'bates',
      type: 'pspdfkit/text',
      pageIndex: 0,
      bbox: [280, 270, 100, 14],
      text: { format: 'plain', value: 'ACME000001' },
      fontSize: 10,
      horizontalAlign: 'right',
      customData: { type: 'bates_stamp', number: 1 },
      ...who,
    },
    {
      v: 2,
      id: 'conf',
      type: 'pspdfkit/text',
      pageIndex: 0,
      bbox: [150, 4, 100, 14],
      text: { format: 'plain', value: 'CONFIDENTIAL' },
      fontSize: 10,
      customData: { type: 'confidentiality_stamp' },
      ...who,
    },
  ],
  comments: [
    {
      v: 2,
      id: 'c1',
      type: 'pspdfkit/comment',
      pageIndex: 0,
      rootId: 'high',
      text: { format: 'plain', value: 'Is this privileged?' },
      ...who,
    },
    {
      v: 2,
      id: 'c2',
      type: 'pspdfkit/comment',
      pageIndex: 0,
      rootId: 'high',
      text: { format: 'xhtml', value: '<p>Yes</p>' },
      ...who,
    },
  ],
  attachments: { [sticker]: { binary: Buffer.from(png).toString('base64'), contentType: 'image/png' } },
};

const page = (rotate = 0): Uint8Array =>
  onePage({
    content: 'BT /F1 14 Tf 60 230 Td (Some words of a page) Tj ET',
    page: `/MediaBox[0 0 400 300]/Rotate ${rotate}`,
  });

const annotated = (source = page()): Uint8Array => {
  using edit = openEdit(engine, source);
  addAnnotations(edit, parseInstantJson(all));
  return edit.write();
};

const read = (pdf: Uint8Array): ReturnType<typeof formatInstantJson> => {
  using edit = openEdit(engine, pdf);
  return formatInstantJson(readAnnotations(edit));
};

describe('annotations', () => {
  it('come back as they went in: all kinds, threads, attachments, unknown members', () => {
    expect(read(annotated())).toEqual(all);
  });

  it('come back from a document that another program rewrote', () => {
    const once = annotated();
    using edit = openEdit(engine, once);
    expect(read(edit.write())).toEqual(all);
  });

  it('are drawn where they are said to be, upright, on turned pages too', () => {
    for (const rotate of [0, 90, 180, 270]) {
      using edit = openEdit(engine, page(rotate));
      const { width } = edit.page(0).geometry;
      addAnnotations(
        edit,
        parseInstantJson({
          annotations: [
            {
              id: 'h',
              type: 'pspdfkit/markup/highlight',
              pageIndex: 0,
              rects: [[width - 60, 10, 40, 20]],
              color: '#FF0000',
            },
          ],
        }),
      );
      using document = openDocument(engine, edit.write());
      const image = renderPixels(document, 0, { dpi: 72 });
      const at = (x: number, y: number): readonly number[] => [
        ...image.pixels.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3),
      ];
      expect(at(image.width - 40, 20), `rotation ${rotate}`).toEqual([255, 0, 0]);
      expect(at(image.width - 70, 20)).toEqual([255, 255, 255]);
    }
  });

  it('can be removed with their thread, and replaced with the thread kept', () => {
    using edit = openEdit(engine, annotated());
    replaceAnnotations(edit, parseInstantJson({ annotations: [{ ...all.annotations[1], color: '#00FF00' }] }));
    const changed = read(edit.write());
    expect(changed['comments']).toEqual(all.comments);
    expect(JSON.stringify(changed['annotations'])).toContain('#00FF00');
    expect(removeAnnotationsById(edit, ['high'])).toBe(3);
    expect(read(edit.write())['comments']).toBeUndefined();
    expect(() => removeAnnotationsById(edit, ['nobody'])).toThrow(/nobody/);
  });

  it('are part of the page once flattened', () => {
    using edit = openEdit(engine, annotated());
    expect(flattenAnnotations(edit)).toEqual({ flattened: 8, left: 0 });
    const flat = edit.write();
    expect(read(flat)['annotations']).toEqual([]);
    expect(textOf(engine, flat)).toContain('ACME000001');
  });

  it('are routed by kind: redactions removed first, stamps burned in, comments layered, the rest as asked', async () => {
    const produced = await produceDocument(engine, page(), {
      annotations: parseInstantJson(all),
      routing: { note: 'omit' },
    });
    expect(produced.annotations).toEqual({ layered: 2, burned: 2, comments: 2, omitted: 1 });
    expect(produced.verification?.verified).toBe(true);
    expect(textOf(engine, produced.bytes)).toContain('CONFIDENTIAL');
    expect(textOf(engine, produced.bytes)).not.toContain('Some');
  });
});

describe('annotations that are wrong', () => {
  const base = {
    id: 'x',
    type: 'pspdfkit/markup/redaction',
    pageIndex: 0,
    bbox: [10, 10, 10, 10],
    rects: [[10, 10, 10, 10]],
  };
  it.each([
    ['an unknown type', { ...base, type: 'pspdfkit/ink' }, 'annotation_unknown_type'],
    ['no type', { ...base, type: undefined }, 'annotation_unknown_type'],
    ['a negative width', { ...base, rects: [[10, 10, -5, 10]] }, 'annotation_invalid'],
    ['a rect of no size', { ...base, rects: [[10, 10, 0, 10]] }, 'annotation_invalid'],
    ['NaN', { ...base, rects: [[Number.NaN, 10, 5, 10]] }, 'annotation_invalid'],
    ['infinity', { ...base, rects: [[10, 10, Infinity, 10]] }, 'annotation_invalid'],
    ['no rects', { ...base, rects: [] }, 'annotation_invalid'],
    ['a negative page', { ...base, pageIndex: -1 }, 'annotation_invalid'],
    ['half a page', { ...base, pageIndex: 0.5 }, 'annotation_invalid'],
    [
      'a missing attachment',
      { id: 's', type: 'pspdfkit/image', pageIndex: 0, bbox: [1, 1, 5, 5], imageAttachmentId: 'gone' },
      'attachment_missing',
    ],
    [
      'a comment on nothing',
      { id: 'c', type: 'pspdfkit/comment', pageIndex: 0, rootId: 'nobody', text: 'x' },
      'annotation_invalid',
    ],
  ])('fail with a reason: %s', (_name, annotation, code) => {
    let caught: unknown;
    try {
      parseInstantJson({ annotations: [annotation] });
    } catch (error) {
      caught = error;
    }
    expect(hasCode(caught, code as 'annotation_invalid')).toBe(true);
  });

  it.each([
    ['beyond the last page', { ...base, pageIndex: 1 }, 'pdf_page_out_of_range'],
    ['outside the page', { ...base, bbox: [500, 10, 10, 10], rects: [[500, 10, 10, 10]] }, 'annotation_invalid'],
  ])('fail with a reason: %s', async (_name, annotation, code) => {
    const promise = produceDocument(engine, page(), { annotations: parseInstantJson({ annotations: [annotation] }) });
    await expect(promise).rejects.toMatchObject({ code });
  });

  it('accept the older spelling of redaction', () => {
    const parsed = parseInstantJson([{ ...base, type: 'pspdfkit/markup/redact' }]);
    expect(parsed.annotations[0]?.type).toBe('pspdfkit/markup/redaction');
  });

  it('100,000 on one page are read, written and counted', () => {
    const many = Array.from({ length: 100_000 }, (_, at) => ({
      id: `n${at}`,
      type: 'pspdfkit/note',
      pageIndex: 0,
      bbox: [at % 380, at % 280, 10, 10],
      text: 'x',
    }));
    using edit = openEdit(engine, page());
    expect(addAnnotations(edit, parseInstantJson({ annotations: many }))).toMatchObject({ layered: 100_000 });
    expect(() => parseInstantJson({ annotations: many }, 10)).toThrow(/limit is 10/);
  }, 60_000);
});
