/** Hostile and damaged documents: an error with a reason for each, and the engine lives on. */
import { hasCode } from '@casebound/contract';
import { beforeEach, describe, expect, it } from 'vitest';
import { createPdfEngine, type PdfEngine } from './engine/create-engine.ts';
import { openDocument } from './engine/open-document.ts';
import { readPageText } from './engine/page-text.ts';
import { renderPage } from './engine/render-page.ts';
import { savePlain } from './engine/save-plain.ts';
import { openEdit } from './edit/open-edit.ts';
import { buildPdf, onePage, stream } from './testing/build-pdf.ts';
import { createTestEngine, expectVerified, findRedactions, redact, textOf } from './testing/with-engine.ts';

let engine: PdfEngine;
beforeEach(async () => {
  engine = await createTestEngine();
});

const good = onePage({ content: 'BT /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET' });
const whole = { pageIndex: 0, id: 'r', rects: [{ left: 50, top: 50, width: 200, height: 200 }] };

/** Runs the whole of it, and reports the code of the failure or undefined. */
const attempt = async (pdf: Uint8Array): Promise<string | undefined> => {
  try {
    {
      using document = openDocument(engine, pdf);
      readPageText(document, 0);
      renderPage(document, 0, { dpi: 30 });
    }
    await redact(engine, pdf, [whole]);
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
};

const page = (content: string, kids = '[3 0 R]', more: readonly string[] = []): Uint8Array =>
  buildPdf([
    '<</Type/Catalog/Pages 2 0 R>>',
    `<</Type/Pages/Kids${kids}/Count 1>>`,
    `<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Resources<</XObject<</A 5 0 R/B 6 0 R>>>>/Contents 4 0 R>>`,
    stream('', content),
    ...more,
  ]);

describe('damaged documents', () => {
  it.each([
    ['nothing', new Uint8Array(0), 'pdf_damaged'],
    ['text', Buffer.from('This is not a PDF at all.'), 'pdf_damaged'],
    ['a header alone', Buffer.from('%PDF-1.7\n'), 'pdf_damaged'],
    ['zero pages', buildPdf(['<</Type/Catalog/Pages 2 0 R>>', '<</Type/Pages/Kids[]/Count 0>>']), 'pdf_damaged'],
    ['no catalogue', buildPdf(['null']), 'pdf_damaged'],
  ])('fail with a reason: %s', async (_name, pdf, code) => {
    expect(await attempt(pdf)).toBe(code);
    expect(textOf(engine, good)).toContain('SECRET');
  });

  it('cut off at any place end, and the engine lives on', async () => {
    for (let length = 20; length < good.length; length += 37) {
      const code = await attempt(good.subarray(0, length));
      expect(
        code === undefined || code.startsWith('pdf_') || code === 'redaction_unverified',
        `${length}: ${code}`,
      ).toBe(true);
    }
    expect(textOf(engine, good)).toContain('SECRET');
  });

  it.each([
    ['a page tree that contains itself', page('', '[2 0 R 3 0 R]')],
    [
      'forms that draw each other',
      page('/A Do', '[3 0 R]', [
        stream('/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</B 6 0 R>>>>', '/B Do'),
        stream('/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</A 5 0 R>>>>', '/A Do'),
      ]),
    ],
    [
      'an image of no size',
      page('/A Do', '[3 0 R]', [
        stream('/Subtype/Image/Width 0/Height 0/ColorSpace/DeviceGray/BitsPerComponent 8', ''),
        'null',
      ]),
    ],
    [
      'an image larger than any',
      page('q 400 0 0 300 0 0 cm /A Do Q', '[3 0 R]', [
        stream('/Subtype/Image/Width 2000000/Height 2000000/ColorSpace/DeviceGray/BitsPerComponent 8', 'x'),
        'null',
      ]),
    ],
    ['deep nesting', page(`${'['.repeat(5000)} TJ ${'<<'.repeat(5000)}`)],
    [
      'a broken deflate stream',
      page('/A Do', '[3 0 R]', [stream('/Subtype/Form/BBox[0 0 9 9]/Filter/FlateDecode', 'garbage'), 'null']),
    ],
    [
      'numbers out of range',
      page('1e999 0 0 99999999999999999999 0 0 cm BT 99999999999 Tf (x) Tj ET 0 0 m 99999999999999 -9999999999999 l S'),
    ],
  ])(
    'end with a reason or a proof, and never hang: %s',
    async (_name, pdf) => {
      const code = await attempt(pdf);
      expect(code === undefined || code.startsWith('pdf_') || code === 'redaction_unverified', code).toBe(true);
      const live = engine.broken ? await createTestEngine() : engine;
      expect(textOf(live, good)).toContain('SECRET');
    },
    20_000,
  );

  it('forms that multiply each other end with pdf_too_large, or are drawn', async () => {
    const level = (inner: number): string =>
      stream(
        `/Subtype/Form/BBox[0 0 400 300]/Resources<</XObject<</A ${inner} 0 R>>>>`,
        '1 0 0 1 0.1 0 cm /A Do 1 0 0 1 0 0.1 cm /A Do 1 0 0 1 0.1 0 cm /A Do 1 0 0 1 0 0.1 cm /A Do',
      );
    const levels = Array.from({ length: 9 }, (_, at) => level(at + 6));
    const pdf = page('/A Do', '[3 0 R]', [...levels, stream('/Subtype/Form/BBox[0 0 400 300]', '0 0 1 1 re f')]);
    using edit = openEdit(engine, pdf);
    expect(edit.pageCount).toBe(1);
    const started = performance.now();
    const { applyRedactions } = await import('./redact/apply-redactions.ts');
    try {
      applyRedactions(edit, [whole]);
    } catch (error) {
      expect(hasCode(error, 'pdf_too_large') || hasCode(error, 'pdf_engine_failed'), String(error)).toBe(true);
    }
    expect(performance.now() - started).toBeLessThan(20_000);
  }, 30_000);
});

describe('encrypted documents', () => {
  /** Encrypted by PDFium itself. */
  const encrypt = (user: string, owner: string): Uint8Array => {
    using document = openDocument(engine, good);
    engine.call('encrypt', (native) => native.EPDF_SetEncryption(document.handle, user, owner, 0xfffff0c0 | 0));
    return engine.call('save', (native, heap) => {
      const writer = native.PDFiumExt_OpenFileWriter();
      native.PDFiumExt_SaveAsCopy(document.handle, writer);
      const size = native.PDFiumExt_GetFileWriterSize(writer);
      return heap.scope((allocate) => {
        const target = allocate(size);
        native.PDFiumExt_GetFileWriterData(writer, target, size);
        native.PDFiumExt_CloseFileWriter(writer);
        return heap.bytes(target, size);
      });
    });
  };

  it('with an owner password only are redacted like any other, and come out plain', async () => {
    const locked = encrypt('', 'owner');
    expect(Buffer.from(locked).toString('latin1')).toContain('/Encrypt');
    const result = await redact(engine, locked, findRedactions(engine, locked, 'SECRET'));
    expectVerified(result);
    expect(Buffer.from(result.output).toString('latin1')).not.toContain('/Encrypt');
  });

  it('with a user password need it', () => {
    const locked = encrypt('open sesame', 'owner');
    expect(() => openDocument(engine, locked)).toThrow(expect.objectContaining({ code: 'pdf_encrypted' }));
    expect(() => openDocument(engine, locked, { password: 'wrong' })).toThrow(/does not open it/);
    using document = openDocument(engine, locked, { password: 'open sesame' });
    expect(document.pageCount).toBe(1);
  });
});

describe('limits', () => {
  it('on bytes, pages, objects and pixels hold', async () => {
    const tight = await createTestEngine({ maxBytes: 100 });
    expect(() => openDocument(tight, good)).toThrow(/limit is 100/);
    const few = await createTestEngine({ maxObjects: 3 });
    expect(() => openEdit(few, good)).toThrow(/limit is 3/);
    const small = await createTestEngine({ maxPixels: 1000 });
    using document = openDocument(small, good);
    expect(() => renderPage(document, 0, { dpi: 300 })).toThrow(/limit is 1000/);
  });

  it('on the memory of the engine hold: the engine breaks, says so, and another one works', async () => {
    const tiny = await createTestEngine({ maxEngineBytes: 24 * 1024 * 1024, maxPixels: 1_000_000_000 });
    using document = openDocument(tiny, good);
    let caught: unknown;
    try {
      renderPage(document, 0, { dpi: 1200 });
    } catch (error) {
      caught = error;
    }
    expect(hasCode(caught, 'pdf_too_large') || hasCode(caught, 'pdf_engine_failed')).toBe(true);
    expect(textOf(engine, good)).toContain('SECRET');
  });

  it('100,000 objects are read and written', () => {
    const many = buildPdf([
      '<</Type/Catalog/Pages 2 0 R/Extra[' +
        Array.from({ length: 100_000 }, (_, at) => `${at + 6} 0 R`).join(' ') +
        ']>>',
      '<</Type/Pages/Kids[3 0 R]/Count 1>>',
      '<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>',
      'null',
      'null',
      ...Array.from({ length: 100_000 }, (_, at) => `<</N ${at}>>`),
    ]);
    using edit = openEdit(engine, many);
    expect(edit.file.reachable().size).toBeGreaterThan(100_000);
    expect(edit.write().length).toBeGreaterThan(2_000_000);
  }, 30_000);
});

it('an engine made from a shared module works like one made from bytes', async () => {
  const { readFileSync } = await import('node:fs');
  const { locatePdfiumWasm } = await import('./engine/wasm-location.ts');
  const { compilePdfium } = await import('./engine/create-engine.ts');
  const module = await compilePdfium(readFileSync(locatePdfiumWasm()));
  const other = await createPdfEngine({ wasm: module });
  using document = openDocument(other, good);
  expect(Buffer.from(savePlain(document)).toString('latin1')).toContain('%%EOF');
});
