import { z } from 'zod';

export const logConfigSchema = z
  .strictObject({
    level: z
      .enum(['debug', 'info', 'warn', 'error', 'silent'])
      .default('info')
      .describe('The least serious line that is written.'),
  })
  .prefault({});
export type LogConfig = z.infer<typeof logConfigSchema>;
