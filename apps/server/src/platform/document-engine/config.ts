/** Settings of the document engine. Values that are secrets come as references and are resolved by the caller. */
import { z } from 'zod';
import { secretString } from '../secrets/Port.ts';

const mebibyte = 1024 * 1024;

export const pdfWorkersConfigSchema = z
  .strictObject({
    workers: z
      .number()
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe('Worker threads for PDF work. Default: one for each core less one, at least one.'),
    taskTimeoutMs: z
      .number()
      .int()
      .min(100)
      .max(3_600_000)
      .default(300_000)
      .describe(
        'Longest time that one document may take in a worker; then the worker is ended and the document fails.',
      ),
    maxEngineBytes: z
      .number()
      .int()
      .min(64 * mebibyte)
      .max(2_048 * mebibyte)
      .default(1_024 * mebibyte)
      .describe('Memory that PDFium may use in one worker.'),
    maxHeapBytes: z
      .number()
      .int()
      .min(64 * mebibyte)
      .default(2_048 * mebibyte)
      .describe('JavaScript heap of one worker; file contents lie outside of it.'),
    maxDocumentBytes: z
      .number()
      .int()
      .min(1)
      .default(1_024 * mebibyte)
      .describe('Largest PDF that is accepted. Working on a PDF takes up to eight times its size in memory.'),
    maxObjects: z
      .number()
      .int()
      .min(1_000)
      .default(1_000_000)
      .describe('Most objects that a PDF may consist of. Each takes up to two kilobytes of heap.'),
    maxQueued: z
      .number()
      .int()
      .min(1)
      .default(1_000)
      .describe('Tasks that may wait for a worker; further ones are refused with `document_engine_unavailable`.'),
    idleMs: z
      .number()
      .int()
      .min(0)
      .default(60_000)
      .describe('Time after which a worker without work is ended, so that its memory is given back.'),
  })
  .prefault({});
export type PdfWorkersConfig = z.infer<typeof pdfWorkersConfigSchema>;

export const builtinDocumentEngineConfig = z.strictObject({
  kind: z.literal('builtin').describe('PDFium in this process, PDFs in the object store, annotations in the case.'),
});

export const nutrientDocumentEngineConfig = z.strictObject({
  kind: z.literal('nutrient').describe('Nutrient Document Engine over HTTP.'),
  url: z.url({ protocol: /^https?$/ }).describe('Address of the engine, `https://engine.example.com`.'),
  apiToken: secretString({ kind: 'text' }).describe('The API token, `secret://name`.'),
  connectTimeoutMs: z.number().int().min(100).default(3_000).describe('Time to establish a connection.'),
  requestTimeoutMs: z
    .number()
    .int()
    .min(100)
    .default(120_000)
    .describe('Time from the start of a request to the end of its answer.'),
  maxAttempts: z
    .number()
    .int()
    .min(1)
    .max(10)
    .default(4)
    .describe('Tries of a request that is safe to repeat, the first included; the pauses grow, with full jitter.'),
  maxConnections: z.number().int().min(1).max(1_000).default(16).describe('Requests at once.'),
  breakerThreshold: z
    .number()
    .int()
    .min(1)
    .default(5)
    .describe('Failures in a row after which requests fail at once with `document_engine_unavailable`.'),
  breakerOpenMs: z.number().int().min(100).default(30_000).describe('Time until one request tries again.'),
});
export type NutrientDocumentEngineConfig = z.infer<typeof nutrientDocumentEngineConfig>;

export const documentEngineConfigSchema = z.discriminatedUnion('kind', [
  builtinDocumentEngineConfig,
  nutrientDocumentEngineConfig,
]);
export type DocumentEngineConfig = z.infer<typeof documentEngineConfigSchema>;
