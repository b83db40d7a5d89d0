import { beforeAll, describe, expect, it } from 'vitest';
import type { PdfEngine } from '../engine/create-engine.ts';
import { greyPicture, onePage, stream } from '../testing/build-pdf.ts';
import { createTestEngine } from '../testing/with-engine.ts';
import { requireVerified, verifyRedactions } from './verify-redactions.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

/** User space 60..160 x 140..170 of a page 300 high. */
const redaction = { id: 'r1', pageIndex: 0, rects: [{ left: 60, top: 130, width: 100, height: 30 }] };
const box = '0 g 60 140 100 30 re f';

const codesOf = async (pdf: Uint8Array, overlayText?: string): Promise<readonly string[]> => {
  const report = await verifyRedactions(engine, pdf, [
    overlayText === undefined ? redaction : { ...redaction, overlayText },
  ]);
  return [...report.redactions.flatMap(({ findings }) => findings), ...report.document].map(({ code }) => code);
};

describe('a verification', () => {
  it('passes where only the box is', async () => {
    expect(await codesOf(onePage({ content: `BT /F1 14 Tf 200 150 Td (elsewhere) Tj ET ${box}` }))).toEqual([]);
  });

  it('catches a black box over text', async () => {
    const pdf = onePage({ content: `BT /F1 14 Tf 70 150 Td (SECRET) Tj ET ${box}` });
    expect(await codesOf(pdf)).toEqual(['text_under_redaction']);
    const report = await verifyRedactions(engine, pdf, [redaction]);
    expect(() => requireVerified(report)).toThrow(expect.objectContaining({ code: 'redaction_unverified' }));
    expect(JSON.stringify(report)).not.toContain('SECRET');
  });

  it('catches a black box over invisible text', async () => {
    expect(await codesOf(onePage({ content: `BT 3 Tr /F1 14 Tf 70 150 Td (SECRET) Tj ET ${box}` }))).toEqual([
      'text_under_redaction',
    ]);
  });

  it('catches a black box over a picture', async () => {
    const pdf = onePage({
      content: `q 300 0 0 200 50 50 cm /Im Do Q ${box}`,
      resources: '/XObject<</Im 6 0 R>>',
      more: [
        stream(
          '/Type/XObject/Subtype/Image/Width 48/Height 32/ColorSpace/DeviceGray/BitsPerComponent 8',
          greyPicture(48, 32),
        ),
      ],
    });
    expect(await codesOf(pdf)).toEqual(['image_under_redaction']);
  });

  it('catches a black box over drawn outlines', async () => {
    expect(await codesOf(onePage({ content: `1 0 0 rg 70 145 m 80 165 l 90 145 l f ${box}` }))).toEqual([
      'vector_under_redaction',
    ]);
  });

  it('catches a box that is not there', async () => {
    expect(await codesOf(onePage({ content: '0.5 g 60 140 50 30 re f' }))).toContain('pixels_not_flat');
  });

  it('catches a link under the box', async () => {
    const pdf = onePage({
      content: box,
      page: '/MediaBox[0 0 400 300]/Annots[<</Type/Annot/Subtype/Link/Rect[70 145 120 165]/A<</S/URI/URI(https://example.org)>>>>]',
    });
    expect(await codesOf(pdf)).toEqual(['annotation_under_redaction']);
  });

  it('allows the overlay text, and only that', async () => {
    const overlay = (text: string): Uint8Array =>
      onePage({ content: `${box} 1 g BT /F1 10 Tf 70 150 Td (${text}) Tj ET` });
    expect(await codesOf(overlay('PRIVILEGED'), 'PRIVILEGED')).toEqual([]);
    expect(await codesOf(overlay('PRIVILEGED x'), 'PRIVILEGED')).toEqual(['text_under_redaction']);
  });

  it('says so when the redaction is off the page', async () => {
    const report = await verifyRedactions(engine, onePage({ content: box }), [
      { ...redaction, rects: [{ left: 900, top: 0, width: 5, height: 5 }] },
    ]);
    expect(report.redactions[0]?.findings.map(({ code }) => code)).toEqual(['redaction_off_page']);
  });
});
