/** Settings of text recognition. */
import { z } from 'zod';

export const ocrConfigSchema = z.strictObject({
  kind: z.literal('tesseract').default('tesseract').describe('Tesseract in worker threads of this process, offline.'),
  languages: z
    .array(z.string().regex(/^[a-z]{3}(_[a-z]{3,4})?$/i, 'is a language code such as `eng`'))
    .min(1)
    .max(20)
    .default(['eng'])
    .describe(
      'Languages that pages are read in. For each, the npm package `@tesseract.js-data/{code}` must be installed, or its file must lie in `languageFolder`. More languages make reading slower.',
    ),
  languageFolder: z
    .string()
    .min(1)
    .optional()
    .describe('Folder with `{code}.traineddata.gz` of every language. Default: the installed npm packages.'),
  workers: z
    .number()
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe('Worker threads. Default: one for each core less one, at least one.'),
  pageTimeoutMs: z
    .number()
    .int()
    .min(1_000)
    .default(120_000)
    .describe('Longest time for one page; then its worker is ended and the page fails.'),
  dpi: z
    .number()
    .int()
    .min(72)
    .max(600)
    .default(300)
    .describe('Resolution at which pages are drawn for recognition; lowered where a page would have too many pixels.'),
  maxPixels: z.number().int().min(1_000_000).default(40_000_000).describe('Most pixels of one picture.'),
  idleMs: z.number().int().min(0).default(60_000).describe('Time after which a worker without work is ended.'),
});
export type OcrConfig = z.infer<typeof ocrConfigSchema>;
