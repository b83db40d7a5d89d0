/** Settings of imports. */
import { z } from 'zod';

export const importConfigSchema = z
  .strictObject({
    roots: z
      .array(z.string().min(1))
      .default([])
      .describe('Folders of the server that accounts may import from; the owner of the data folder may name any path'),
    concurrency: z.int().min(1).max(16).default(2).describe('Imports that one process runs at once'),
    activePerCase: z
      .int()
      .min(1)
      .max(1_000)
      .default(4)
      .describe('Imports of one case that may be under way at once; more are refused until one has ended'),
    sliceSeconds: z
      .int()
      .min(1)
      .max(1_200)
      .default(60)
      .describe('How long a worker works on an import before it lets others have their turn'),
    chunkRows: z.int().min(10).max(5_000).default(2_000).describe('Rows that are committed together'),
  })
  .prefault({});
