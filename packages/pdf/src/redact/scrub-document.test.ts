import { beforeAll, describe, expect, it } from 'vitest';
import type { PdfEngine } from '../engine/create-engine.ts';
import { savePlain } from '../engine/save-plain.ts';
import { openDocument } from '../engine/open-document.ts';
import { onePage, stream } from '../testing/build-pdf.ts';
import { createTestEngine, expectVerified, findRedactions, redact } from '../testing/with-engine.ts';
import { verifyRedactions } from '../verify/verify-redactions.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

const SECRET = 'Wintermute Account';
const xmp = `<?xpacket?><x:xmpmeta><dc:title>${SECRET}</dc:title></x:xmpmeta>`;

/** The secret stands on the page and in every place of the document that pages do not show. */
const leaky = onePage({
  content: `/Span <</MCID 0/ActualText(${SECRET})>> BDC BT /F1 14 Tf 60 150 Td (About the ${SECRET} today) Tj ET EMC`,
  page: '/MediaBox[0 0 400 300]/Annots[10 0 R 11 0 R 12 0 R]/StructParents 0/Metadata 7 0 R/PieceInfo<</X<</Private(Wintermute Account)>>>>',
  catalog:
    '/Metadata 7 0 R/Outlines 8 0 R/Names<</EmbeddedFiles<</Names[(a)13 0 R]>>/JavaScript<</Names[(j)<</S/JavaScript/JS(app.alert\\("Wintermute Account"\\))>>]>>>>/AcroForm<</Fields[11 0 R]>>/StructTreeRoot 15 0 R/MarkInfo<</Marked true>>',
  more: [
    `<</Title(${SECRET})/Author(Case)>>`,
    stream('/Type/Metadata/Subtype/XML', xmp),
    '<</Type/Outlines/First 9 0 R/Last 9 0 R/Count 1>>',
    `<</Title(${SECRET})/Parent 8 0 R/Dest[3 0 R/Fit]>>`,
    `<</Type/Annot/Subtype/Text/Rect[10 10 30 30]/Contents(${SECRET})>>`,
    `<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(${SECRET})/Rect[60 140 300 170]/P 3 0 R>>`,
    '<</Type/Annot/Subtype/FileAttachment/Rect[350 10 370 30]/FS 13 0 R>>',
    '<</Type/Filespec/F(a.txt)/EF<</F 14 0 R>>>>',
    stream('/Type/EmbeddedFile', `The ${SECRET} file`),
    '<</Type/StructTreeRoot/K 16 0 R/ParentTree<</Nums[0[16 0 R]]>>>>',
    `<</Type/StructElem/S/P/P 15 0 R/Pg 3 0 R/K 0/Alt(${SECRET})/ActualText(About the ${SECRET} today)>>`,
  ],
  trailer: '/Info 6 0 R',
});

/** An earlier revision, as an editor that appends would leave it. */
const revised = (): Uint8Array => {
  const base = Buffer.from(leaky).toString('latin1');
  const start = /startxref\n(\d+)/.exec(base)?.[1] ?? '0';
  const at = base.length;
  const object = `4 0 obj\n${stream('', `BT /F1 14 Tf 60 150 Td (Now the ${SECRET} again) Tj ET`)}\nendobj\n`;
  const xref = at + object.length;
  return Buffer.from(
    `${base}${object}xref\n4 1\n${String(at).padStart(10, '0')} 00000 n \ntrailer\n<</Size 17/Root 1 0 R/Info 6 0 R/Prev ${start}>>\nstartxref\n${xref}\n%%EOF\n`,
    'latin1',
  );
};

/** Every stream unpacked, so that a plain search sees all. */
const unpacked = (pdf: Uint8Array): string => {
  using document = openDocument(engine, pdf);
  return Buffer.from(savePlain(document)).toString('latin1') + Buffer.from(pdf).toString('latin1');
};

describe('leaks of the document', () => {
  it.each([
    ['one revision', leaky],
    ['an earlier revision', revised()],
    ['bytes before the header', Buffer.concat([Buffer.from(`${SECRET}\n`), leaky])],
  ])('are gone: %s', async (_name, pdf) => {
    const result = await redact(engine, pdf, findRedactions(engine, pdf, SECRET));
    expectVerified(result);
    const text = unpacked(result.output);
    expect(text).not.toMatch(/Wintermute/);
    expect(text).toContain('[redacted]');
    expect(text.match(/%%EOF/g)).toHaveLength(2);
  });

  it('are found by the verification where they are left: metadata, outline, attachment, form value, alternate text', async () => {
    const redactions = findRedactions(engine, leaky, SECRET);
    const report = await verifyRedactions(engine, leaky, redactions, { original: leaky });
    const codes = [...report.document, ...report.redactions.flatMap(({ findings }) => findings)].map(
      ({ code, detail }) => `${code} ${detail}`,
    );
    expect(report.verified).toBe(false);
    for (const wanted of [
      '`Title`',
      '`Contents`',
      '`V`',
      '`Alt`',
      '`ActualText`',
      'a data stream',
      'text_under_redaction',
      'annotation_under_redaction',
      'alternate text of content',
    ])
      expect(
        codes.some((code) => code.includes(wanted)),
        wanted,
      ).toBe(true);
    expect(codes.join(' ')).not.toContain('Wintermute');
  });

  it('are found where a revision, leading bytes or an orphan are left', async () => {
    const redactions = findRedactions(engine, leaky, 'today');
    const codesOf = async (pdf: Uint8Array): Promise<readonly string[]> =>
      (await verifyRedactions(engine, pdf, redactions)).document.map(({ code }) => code);
    expect(await codesOf(revised())).toContain('earlier_revision');
    expect(await codesOf(Buffer.concat([Buffer.from('x\n'), leaky]))).toContain('earlier_revision');
    const orphan = Buffer.from(leaky).toString('latin1').replace('\nxref\n', '\n99 0 obj\n(left over)\nendobj\nxref\n');
    expect(await codesOf(Buffer.from(orphan, 'latin1'))).toContain('unreachable_objects');
  });

  it('keeps an outline title whose words still stand on the page', async () => {
    const pdf = onePage({
      content: 'BT /F1 14 Tf 60 150 Td (the plan and the other plan) Tj ET',
      catalog: '/Outlines 6 0 R',
      more: ['<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>', '<</Title(The plan)/Parent 6 0 R/Dest[3 0 R/Fit]>>'],
    });
    const [first] = findRedactions(engine, pdf, 'plan');
    if (first === undefined) throw new Error('nothing found');
    const result = await redact(engine, pdf, [first]);
    expectVerified(result);
    expect(unpacked(result.output)).toContain('(The plan)');
  });
});
