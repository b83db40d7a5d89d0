import { hasCode } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import { spawnSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ocrConfigSchema } from '../../config.ts';
import { describeOcr } from '../../conformance.ts';
import { drawPage } from '../../testing/draw-page.ts';
import { openTesseractOcr } from './tesseract-ocr.ts';

const config = (changes: Record<string, unknown> = {}): ReturnType<typeof ocrConfigSchema.parse> =>
  ocrConfigSchema.parse({ workers: 1, ...changes });

describeOcr('Tesseract', async () => openTesseractOcr(config()));

/** Of util-linux: a namespace without any network. */
const UNSHARE = 'unshare';
const cutOff = spawnSync(UNSHARE, ['-n', 'true']).status === 0;

describe('Tesseract', () => {
  it.skipIf(!cutOff)(
    'reads without any network, and writes nothing into the working folder',
    async () => {
      await using folder = await createTemporaryFolder();
      const picture = path.join(folder.path, 'page.png');
      await writeFile(picture, await drawPage(['Read without a network']));
      const child = spawnSync(
        UNSHARE,
        ['-n', process.execPath, path.join(import.meta.dirname, '../../testing/recognise-file.ts'), picture],
        { cwd: folder.path, encoding: 'utf8', timeout: 60_000 },
      );
      expect(child.stderr).toBe('');
      expect(child.stdout.trim()).toBe('Read without a network');
      expect(await readdir(folder.path)).toEqual(['page.png']);
    },
    60_000,
  );

  it('ends a page that takes too long, and goes on', async () => {
    const ocr = await openTesseractOcr({ ...config(), pageTimeoutMs: 5 });
    try {
      const failure = await ocr.recognise(await drawPage(['slow'])).catch((error: unknown) => error);
      expect(hasCode(failure, 'pdf_timeout')).toBe(true);
    } finally {
      await ocr.close();
    }
  });

  it('names a language whose data is not there, before the first page', async () => {
    const missing = await openTesseractOcr(config({ languages: ['eng', 'qqq'] })).catch((error: unknown) => error);
    expect(hasCode(missing, 'ocr_language_missing')).toBe(true);
    await using folder = await createTemporaryFolder();
    const empty = await openTesseractOcr(config({ languageFolder: folder.path })).catch((error: unknown) => error);
    expect(hasCode(empty, 'ocr_language_missing')).toBe(true);
  });

  it('fails with a reason when the data of a language is broken, and the process lives on', async () => {
    await using folder = await createTemporaryFolder();
    await writeFile(path.join(folder.path, 'eng.traineddata.gz'), 'no data');
    const ocr = await openTesseractOcr(config({ languageFolder: folder.path }));
    try {
      const failure = await ocr.recognise(await drawPage(['x'])).catch((error: unknown) => error);
      expect(hasCode(failure, 'ocr_failed')).toBe(true);
    } finally {
      await ocr.close();
    }
  }, 60_000);

  it('refuses a picture of too many pixels', async () => {
    const ocr = await openTesseractOcr(config({ maxPixels: 1_000_000 }));
    try {
      const failure = await ocr.recognise(await drawPage(['x'])).catch((error: unknown) => error);
      expect(hasCode(failure, 'pdf_too_large')).toBe(true);
    } finally {
      await ocr.close();
    }
  });
});
