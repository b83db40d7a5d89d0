import { beforeAll, describe, expect, it } from 'vitest';
import type { PdfEngine } from '../engine/create-engine.ts';
import { buildPdf, onePage, stream } from '../testing/build-pdf.ts';
import {
  compareChars,
  createTestEngine,
  expectVerified,
  findRedactions,
  redact,
  textOf,
} from '../testing/with-engine.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

const line = 'BT /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET';

const expectGone = async (pdf: Uint8Array, word = 'SECRET', left = 'now'): Promise<Uint8Array> => {
  const redactions = findRedactions(engine, pdf, word);
  expect(redactions.length).toBeGreaterThan(0);
  const result = await redact(engine, pdf, redactions);
  expectVerified(result);
  expect(textOf(engine, result.output)).not.toContain(word);
  expect(textOf(engine, result.output)).toContain(left);
  expect(Buffer.from(result.output).toString('latin1')).not.toContain(word);
  expect(compareChars(engine, pdf, result.output, 0, redactions).lost).toBe(0);
  return result.output;
};

describe('text under a redaction', () => {
  it('goes from a plain page, and its neighbours stay in place', async () => {
    await expectGone(onePage({ content: line }));
  });

  it.each([0, 90, 180, 270])('goes from a page turned by %i with a crop box and a user unit', async (rotate) => {
    await expectGone(
      onePage({
        content: line,
        page: `/MediaBox[-20 -30 400 300]/CropBox[40 20 380 280]/Rotate ${rotate}/UserUnit 2`,
      }),
    );
  });

  it.each([
    ['kerned TJ', 'BT /F1 14 Tf 60 150 Td [(Pay )-200(SE)80(CR)-30(ET)( now)] TJ ET'],
    ['spacing and scaling', 'BT /F1 14 Tf 3 Tc 9 Tw 80 Tz 60 150 Td (Pay SECRET now) Tj ET'],
    ["the ' operator", "BT /F1 14 Tf 16 TL 60 166 Td (first) Tj (Pay SECRET now) ' ET"],
    ['the " operator', 'BT /F1 14 Tf 16 TL 60 166 Td (first) Tj 2 1 (Pay SECRET now) " ET'],
    ['a rise and a turned matrix', 'BT /F1 14 Tf 4 Ts 0.9 0.3 -0.3 0.9 60 100 Tm (Pay SECRET now) Tj ET'],
    ['a mirrored matrix', 'q 1 0 0 -1 0 300 cm BT /F1 14 Tf 1 0 0 -1 60 150 Tm (Pay SECRET now) Tj ET Q'],
    ['invisible text', 'BT 3 Tr /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET'],
    ['clipping text', 'q BT 7 Tr /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET Q'],
    ['a q too few', 'Q 1 0 0 1 5 5 cm BT /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET'],
    ['a Q too few', 'q q 2 0 0 2 0 0 cm BT /F1 7 Tf 30 75 Td (Pay SECRET now) Tj ET'],
    ['hidden optional content', '/OC /Hidden BDC BT /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET EMC'],
    ['hex strings and comments', 'BT /F1 14 Tf 60 150 Td % (SECRET)\n<50617920> Tj <534543524554> Tj (\\040now) Tj ET'],
  ])('goes from %s', async (_name, content) => {
    await expectGone(onePage({ content: content.replace('% (SECRET)\n', '% x\n') }));
  });

  it('goes when only the marked part of a word is drawn over, and the rest of the word stays', async () => {
    const pdf = onePage({ content: line });
    const redactions = findRedactions(engine, pdf, '/CRE/');
    const { output } = await redact(engine, pdf, redactions);
    expect(textOf(engine, output)).toMatch(/Pay SE\s*T now/);
  });

  it('goes from a form drawn twice, nested and shared with another page, and stays where it is not redacted', async () => {
    const form = (content: string, resources: string): string =>
      stream(`/Type/XObject/Subtype/Form/BBox[0 0 300 50]/Matrix[1 0 0 1 10 0]/Resources<<${resources}>>`, content);
    const page = (content: number): string =>
      `<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Resources<</XObject<</Outer 8 0 R/Unused 9 0 R>>>>/Contents ${content} 0 R>>`;
    const pdf = buildPdf([
      '<</Type/Catalog/Pages 2 0 R>>',
      '<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>',
      page(5),
      page(5),
      stream('', 'q 1 0 0 1 30 200 cm /Outer Do Q q 1 0 0 1 30 100 cm /Outer Do Q'),
      '<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>',
      form('BT /F1 14 Tf 5 5 Td (Pay SECRET now) Tj ET', '/Font<</F1 6 0 R>>'),
      form('q 1 0 0 1 3 4 cm /Inner Do Q', '/XObject<</Inner 7 0 R>>'),
      form('BT /F1 14 Tf 5 5 Td (Another SECRET) Tj ET', '/Font<</F1 6 0 R>>'),
    ]);
    const [first, ...others] = findRedactions(engine, pdf, 'SECRET');
    expect(others).toHaveLength(3);
    if (first === undefined) throw new Error('nothing found');
    const result = await redact(engine, pdf, [first]);
    expectVerified(result);
    expect(textOf(engine, result.output, 0).match(/SECRET/g)).toHaveLength(1);
    expect(textOf(engine, result.output, 1).match(/SECRET/g)).toHaveLength(2);
  });

  it('goes from a Type 3 font together with the glyph procedures that nothing uses any more', async () => {
    const proc = (text: string): string => stream('', `600 0 0 0 600 700 d1 ${text}`);
    const objects = [
      '<</Type/Catalog/Pages 2 0 R>>',
      '<</Type/Pages/Kids[3 0 R]/Count 1>>',
      '<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Resources<</Font<</T3 5 0 R>>>>/Contents 4 0 R>>',
      stream('', 'BT /T3 20 Tf 60 150 Td (ab) Tj 100 0 Td (a) Tj ET'),
      '<</Type/Font/Subtype/Type3/FontBBox[0 0 600 700]/FontMatrix[0.001 0 0 0.001 0 0]/FirstChar 97/LastChar 98/Widths[600 600]/Encoding<</Differences[97/alpha/beta]>>/CharProcs<</alpha 6 0 R/beta 7 0 R>>/ToUnicode 8 0 R>>',
      proc('0 0 500 700 re f'),
      proc('(SECRET-GLYPH) pop 0 0 m 300 700 l 600 0 l f'),
      stream(
        '',
        '/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <ff> endcodespacerange 2 beginbfchar <61> <0041> <62> <0042> endbfchar endcmap',
      ),
    ];
    const type3 = buildPdf(objects);
    expect(textOf(engine, type3)).toContain('B');
    const redactions = [{ id: 'r1', pageIndex: 0, rects: [{ left: 72.5, top: 134, width: 11, height: 18 }] }];
    const result = await redact(engine, type3, redactions);
    expectVerified(result);
    expect(textOf(engine, result.output)).not.toContain('B');
    expect(textOf(engine, result.output).match(/A/g)).toHaveLength(2);
    expect(result.output.length).toBeLessThan(type3.length + 600);
    expect(Buffer.from(result.output).toString('latin1')).not.toContain('beta 7');
  });

  it('goes from a composite font with widths by CID', async () => {
    const hex = Array.from('Pay SECRET now', (char) => char)
      .map((char) => (char.codePointAt(0) ?? 0).toString(16).padStart(4, '0'))
      .join('');
    const pdf = onePage({
      content: `BT /C1 14 Tf 60 150 Td <${hex}> Tj ET`,
      resources: '',
      more: [
        '<</Type/Font/Subtype/Type0/BaseFont/Arial/Encoding/Identity-H/DescendantFonts[7 0 R]/ToUnicode 9 0 R>>',
        '<</Type/Font/Subtype/CIDFontType2/BaseFont/Arial/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor 8 0 R/DW 700/W[32[278] 97 122 500]>>',
        '<</Type/FontDescriptor/FontName/Arial/Flags 32/Ascent 900/Descent -200/FontBBox[0 -200 1000 900]/ItalicAngle 0/StemV 80/CapHeight 700>>',
        stream(
          '',
          'begincmap 1 begincodespacerange <0000> <ffff> endcodespacerange 1 beginbfrange <0020> <007e> <0020> endbfrange endcmap',
        ),
      ],
    });
    const withFont = Buffer.from(Buffer.from(pdf).toString('latin1').replace('/F1 5 0 R', '/C1 6 0 R'), 'latin1');
    const redactions = findRedactions(engine, withFont, 'SECRET');
    expect(redactions).toHaveLength(1);
    const result = await redact(engine, withFont, redactions);
    expectVerified(result);
    expect(textOf(engine, result.output)).toMatch(/Pay\s+now/);
    expect(compareChars(engine, withFont, result.output, 0, redactions).lost).toBe(0);
  });
});
