/** Laws over real documents: whatever is redacted is proved gone, and everything else stays where it was. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { PdfEngine } from './engine/create-engine.ts';
import { openDocument } from './engine/open-document.ts';
import { readGeometry } from './engine/page-text.ts';
import { mergeImages } from './images/merge-images.ts';
import { parseInstantJson } from './annotations/instant-json.ts';
import { produceDocument } from './produce-document.ts';
import {
  compareChars,
  createTestEngine,
  expectVerified,
  findRedactions,
  redact,
  textOf,
} from './testing/with-engine.ts';

const shared = path.resolve(import.meta.dirname, '../../../../shared/data');
const folders = [path.join(shared, 'pdf'), path.join(shared, 'relativity-samples/VOL01/NATIVES/NATIVE00001')];
const files = folders.flatMap((folder) =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.pdf'))
        .map((name) => path.join(folder, name))
    : [],
);
const scans = path.join(shared, 'relativity-samples/VOL01/IMAGES/IMG001');
const POPPLER = 'pdftotext';
const QPDF = 'qpdf';
const MUTOOL = 'mutool';
const hasPoppler = spawnSync(POPPLER, ['-v']).status === 0;

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

describe.skipIf(files.length === 0)('real documents', () => {
  it.each(files.map((file) => [path.basename(file), file] as const))(
    '%s: any rectangle is proved empty, and its neighbours stay',
    async (_name, file) => {
      const bytes = readFileSync(file);
      const pages = (() => {
        using document = openDocument(engine, bytes);
        return Array.from({ length: document.pageCount }, (_, pageIndex) => readGeometry(document, pageIndex));
      })();
      const share = fc.double({ min: 0, max: 1, noNaN: true });
      const rect = fc.record({ page: fc.nat(pages.length - 1), x: share, y: share, width: share, height: share });
      await fc.assert(
        fc.asyncProperty(fc.array(rect, { minLength: 1, maxLength: 4 }), async (rects) => {
          const redactions = rects.map(({ page, x, y, width, height }, at) => {
            const { width: full, height: tall } = pages[page] ?? { width: 1, height: 1 };
            return {
              id: `r${at}`,
              pageIndex: page,
              rects: [
                {
                  left: x * full * 0.9,
                  top: y * tall * 0.9,
                  width: 4 + width * full * 0.4,
                  height: 4 + height * tall * 0.2,
                },
              ],
            };
          });
          const result = await redact(engine, bytes, redactions);
          expectVerified(result);
          for (const page of new Set(redactions.map(({ pageIndex }) => pageIndex)))
            expect(compareChars(engine, bytes, result.output, page, redactions).lost).toBe(0);
        }),
        { numRuns: 4, seed: 20_240_301 },
      );
    },
  );

  it('go through redaction, layered and burned annotations, stamps and verification', async () => {
    for (const file of files) {
      const bytes = readFileSync(file);
      const produced = await produceDocument(engine, bytes, {
        annotations: parseInstantJson({
          annotations: [
            {
              id: 'r',
              type: 'pspdfkit/markup/redaction',
              pageIndex: 0,
              rects: [[60, 60, 200, 90]],
              overlayText: 'PRIVILEGED',
            },
            {
              id: 'h',
              type: 'pspdfkit/markup/highlight',
              pageIndex: 0,
              rects: [[40, 170, 90, 12]],
              isCommentThreadRoot: true,
            },
            {
              id: 'b',
              type: 'pspdfkit/text',
              pageIndex: 0,
              bbox: [20, 20, 120, 14],
              text: 'ACME000001',
              customData: { type: 'bates_stamp' },
            },
          ],
          comments: [{ id: 'c', rootId: 'h', pageIndex: 0, text: 'why?' }],
        }),
        flatten: true,
        stamps: [{ anchor: 'bottom-center', text: 'CONFIDENTIAL' }],
        stampOptions: { extendPage: true },
      });
      expect(produced.verification?.verified, file).toBe(true);
      expect(textOf(engine, produced.bytes)).toContain('CONFIDENTIAL');
    }
  });

  it.skipIf(!hasPoppler)('hold none of the redacted words and all of the others, as pdftotext reads them', async () => {
    const file = files.find((name) => name.endsWith('tracemonkey.pdf'));
    if (file === undefined) return;
    const bytes = readFileSync(file);
    const { output } = await redact(engine, bytes, findRedactions(engine, bytes, 'JavaScript'));
    const folder = mkdtempSync(path.join(tmpdir(), 'casebound-pdf-'));
    try {
      const words = (pdf: Uint8Array): readonly string[] => {
        const name = path.join(folder, 'x.pdf');
        writeFileSync(name, pdf);
        const text = spawnSync(POPPLER, ['-raw', name, '-'], { encoding: 'utf8', maxBuffer: 1 << 28 }).stdout;
        return text.match(/[A-Za-z]{4,}/g) ?? [];
      };
      const before = words(bytes);
      const after = words(output);
      expect(before.filter((word) => /javascript/i.test(word)).length).toBeGreaterThan(30);
      expect(after.filter((word) => /javascript/i.test(word))).toEqual([]);
      const present = new Set(after);
      const missing = new Set(before.filter((word) => !/javascript/i.test(word) && !present.has(word)));
      expect([...missing]).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe.skipIf(files.length === 0)('what is written', () => {
  const redacted = async (): Promise<Uint8Array> => {
    const file = files.find((name) => name.endsWith('tracemonkey.pdf')) ?? files[0] ?? '';
    const bytes = readFileSync(file);
    return (await redact(engine, bytes, findRedactions(engine, bytes, 'JavaScript'))).output;
  };
  const withFile = async (use: (file: string, folder: string) => void): Promise<void> => {
    const folder = mkdtempSync(path.join(tmpdir(), 'casebound-pdf-'));
    try {
      const file = path.join(folder, 'out.pdf');
      writeFileSync(file, await redacted());
      use(file, folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it.skipIf(spawnSync(QPDF, ['--version']).status !== 0)(
    'is sound, as qpdf checks it',
    async () => {
      await withFile((file, folder) => {
        const { status, stderr } = spawnSync(QPDF, ['--check', file], { encoding: 'utf8' });
        expect(status, stderr).toBe(0);
        // Everything unpacked: no stream of any kind holds the word.
        const plain = path.join(folder, 'plain.pdf');
        spawnSync(QPDF, ['--stream-data=uncompress', '--object-streams=disable', file, plain]);
        expect(readFileSync(plain).toString('latin1')).not.toMatch(/JavaScript/i);
      });
    },
    30_000,
  );

  it.skipIf(spawnSync(MUTOOL, ['-v']).status !== 0)(
    'holds none of the words, as MuPDF reads them',
    async () => {
      await withFile((file) => {
        const { stdout } = spawnSync(MUTOOL, ['draw', '-F', 'txt', file], { encoding: 'utf8', maxBuffer: 1 << 26 });
        expect(stdout.length).toBeGreaterThan(10_000);
        expect(stdout).not.toMatch(/JavaScript/i);
      });
    },
    30_000,
  );
});

describe.skipIf(!existsSync(scans))('real scans', () => {
  it('become pages of their own size, and lose the pixels under a redaction', async () => {
    const names = readdirSync(scans).filter((name) => name.startsWith('SYM') && name.endsWith('.tif'));
    const pdf = mergeImages(names.map((name) => readFileSync(path.join(scans, name))));
    using document = openDocument(engine, pdf);
    expect(document.pageCount).toBe(5);
    expect(readGeometry(document, 0).width).toBeCloseTo(792, 0);
    const result = await redact(engine, pdf, [
      { id: 'r', pageIndex: 2, rects: [{ left: 100, top: 100, width: 300, height: 120 }] },
    ]);
    expectVerified(result);
    expect(result.report.removed.images).toBe(1);
  });

  it('that are text under a wrong name fail with a reason', () => {
    expect(() => mergeImages([readFileSync(path.join(scans, 'TextAsTiffFile.tif'))])).toThrow(
      /neither PNG, JPEG nor TIFF/,
    );
  });
});
