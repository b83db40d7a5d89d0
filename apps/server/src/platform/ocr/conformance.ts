/** What every engine for text recognition must do. An adapter's own test file opens one and passes it here. */
import { hasCode } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawPage } from './testing/draw-page.ts';
import type { Ocr } from './Port.ts';

export const describeOcr = (name: string, open: () => Promise<Ocr>): void => {
  describe(`text recognition: ${name}`, () => {
    let ocr: Ocr;
    beforeAll(async () => {
      ocr = await open();
    });
    afterAll(async () => ocr.close());

    it('reads a page, with lines and words at their places', async () => {
      const page = await ocr.recognise(await drawPage(['Pay the SECRET amount today', 'to Jane Doe']));
      expect(page.text.trim().split(/\n+/)).toEqual(['Pay the SECRET amount today', 'to Jane Doe']);
      expect(page.confidence).toBeGreaterThan(80);
      const [line] = page.lines;
      expect(line?.words.map(({ text }) => text)).toEqual(['Pay', 'the', 'SECRET', 'amount', 'today']);
      // 300 dpi: the text starts 60 points from the left.
      expect(line?.rect.left).toBeGreaterThan(235);
      expect(line?.rect.left).toBeLessThan(270);
      const word = line?.words[2];
      expect(word?.rect.left).toBeGreaterThan(440);
      expect(word?.rect.left).toBeLessThan(490);
    }, 60_000);

    it('finds nothing on an empty page', async () => {
      expect(await ocr.recognise(await drawPage([]))).toEqual({ text: '', confidence: 0, lines: [] });
    }, 60_000);

    it('says that a picture cannot be read, and goes on', async () => {
      const broken = Uint8Array.from(await drawPage(['x']));
      const failures = await Promise.all(
        [broken.slice(0, 60), Uint8Array.from(Buffer.from('no picture'))].map(async (png) =>
          ocr.recognise(png).catch((error: unknown) => error),
        ),
      );
      for (const failure of failures) expect(hasCode(failure, 'image_unreadable'), String(failure)).toBe(true);
      expect((await ocr.recognise(await drawPage(['still there']))).text).toContain('still there');
    }, 60_000);

    it('refuses a language that is not configured', async () => {
      const failure = await ocr
        .recognise(await drawPage(['x']), { languages: ['xyz'] })
        .catch((error: unknown) => error);
      expect(hasCode(failure, 'ocr_language_missing')).toBe(true);
    });

    it('forgets pages that nobody waits for', async () => {
      const gone = new AbortController();
      const reading = ocr.recognise(await drawPage(['never read']), { signal: gone.signal });
      gone.abort(new Error('gone'));
      await expect(reading).rejects.toThrow('gone');
      expect((await ocr.recognise(await drawPage(['next']))).text).toContain('next');
    }, 60_000);
  });
};
