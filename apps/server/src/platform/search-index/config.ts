/** Settings of the search index. */
import { z } from 'zod';

export const searchIndexConfigSchema = z
  .strictObject({
    kind: z.literal('sqlite').default('sqlite').describe('One SQLite full-text file a case.'),
    root: z.string().min(1).optional().describe('Folder of the files. Default: `search` in the data folder.'),
    openFiles: z.int().min(1).max(10_000).default(64).describe('Index files that one process keeps open.'),
    busyTimeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(30_000)
      .describe('How long a writer waits for another process.'),
  })
  .prefault({});
export type SearchIndexConfig = z.output<typeof searchIndexConfigSchema>;
