/** Settings of the records of cases. */
import { z } from 'zod';

export const recordsConfigSchema = z
  .strictObject({
    extensions: z
      .array(z.string().min(1))
      .default([])
      .describe('API schema files of extension projects that add object types and fields to every case'),
  })
  .prefault({});
