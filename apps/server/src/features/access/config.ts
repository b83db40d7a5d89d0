/** Settings of accounts. */
import { z } from 'zod';

export const accessConfigSchema = z
  .strictObject({
    tokenCacheMs: z
      .int()
      .min(0)
      .max(60_000)
      .default(5000)
      .describe(
        'How long a server takes a token as valid without looking it up again; also how long a token that another server made void may still be taken.',
      ),
  })
  .prefault({});
export type AccessConfig = z.infer<typeof accessConfigSchema>;
