import { beforeAll, describe, expect, it } from 'vitest';
import type { PdfEngine } from '../engine/create-engine.ts';
import { openDocument } from '../engine/open-document.ts';
import { readPageText } from '../engine/page-text.ts';
import { openEdit } from '../edit/open-edit.ts';
import { onePage } from '../testing/build-pdf.ts';
import { createTestEngine } from '../testing/with-engine.ts';
import { stampAnchors, stampPages } from './stamp-pages.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

const page = (rotate: number): Uint8Array =>
  onePage({
    content: 'q 3 0 0 3 7 7 cm BT /F1 5 Tf 20 40 Td (body) Tj ET',
    page: `/MediaBox[0 0 400 300]/CropBox[20 10 380 290]/Rotate ${rotate}`,
  });

describe('stamps', () => {
  it.each([0, 90, 180, 270])('stand at their six places, upright, as text, on a page turned by %i', (rotate) => {
    using edit = openEdit(engine, page(rotate));
    const drawn = stampPages(
      edit,
      stampAnchors.map((anchor) => ({ anchor, text: anchor.toUpperCase(), margin: 12 })),
    );
    using document = openDocument(engine, edit.write());
    const text = readPageText(document, 0);
    expect(drawn).toHaveLength(6);
    for (const { text: wanted, rect } of drawn) {
      const line = text.lines.find((one) => one.text.includes(wanted));
      expect(line, wanted).toBeDefined();
      if (line === undefined) continue;
      expect(Math.abs(line.rect.top + line.rect.height / 2 - (rect.top + rect.height / 2))).toBeLessThan(4);
      expect(rect.top >= 0 && rect.top + rect.height <= text.height).toBe(true);
    }
    const corner = drawn.find(({ text: own }) => own === 'BOTTOM-RIGHT');
    expect(corner?.rect.left).toBeCloseTo(text.width - 12 - (corner?.rect.width ?? 0), 1);
  });

  it.each([0, 90, 180, 270])('stand beside the page where it is extended, turned by %i', (rotate) => {
    using edit = openEdit(engine, page(rotate));
    const before = edit.page(0).geometry;
    stampPages(
      edit,
      [
        { anchor: 'bottom-right', text: 'ACME0001' },
        { anchor: 'top-left', text: 'SECRET' },
      ],
      { extendPage: true },
    );
    using document = openDocument(engine, edit.write());
    const text = readPageText(document, 0);
    expect(text.width).toBeCloseTo(before.width, 3);
    expect(text.height).toBeCloseTo(before.height + 40, 3);
    const bates = text.lines.find((line) => line.text.includes('ACME0001'));
    expect(bates?.rect.top).toBeGreaterThan(before.height + 20);
  });

  it.each([
    [{ anchor: 'middle', text: 'x' }, /position/],
    [{ anchor: 'top-left', text: 'x', color: 'red' }, /colour/],
    [{ anchor: 'top-left', text: 'x', fontSize: Number.NaN }, /font size/],
    [{ anchor: 'top-left', text: 'x', margin: -1 }, /margin/],
    [{ anchor: 'top-left', text: '日本' }, /U\+65E5/],
  ])('that are wrong fail with a reason: %j', (stamp, reason) => {
    using edit = openEdit(engine, page(0));
    expect(() => stampPages(edit, [stamp as never])).toThrow(reason);
  });
});
