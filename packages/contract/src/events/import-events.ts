/** Facts about imports. */
import { z } from 'zod';
import { jobEvent, Progress } from './declare-event.ts';

const count = z.number().int().nonnegative();

export const importEvents = {
  IMPORT_INITIATED: jobEvent({
    version: 1,
    sentence: 'An import was accepted and its source opened.',
    producer: 'import',
    consumers: ['web', 'cli'],
    detail: z.object({ rows: count.nullable(), mappedFields: count, customFields: count }),
  }),
  IMPORT_PROGRESSED: jobEvent({
    version: 1,
    sentence: 'An import moved on; sent at most once a second.',
    producer: 'import',
    consumers: ['web', 'cli'],
    detail: z.object({ stage: z.string().min(1), progress: Progress }),
  }),
  IMPORT_FINISHED: jobEvent({
    version: 1,
    sentence: 'Every row of an import is either in the case or in the list of its problems.',
    producer: 'import',
    consumers: ['web', 'cli'],
    detail: z.object({ exhibits: count, duplicates: count, overlaid: count, problems: count }),
  }),
  IMPORT_FAILED: jobEvent({
    version: 1,
    sentence:
      'An import failed, and what it had written was undone; or its message died (`deadLetterId`), and it waits to be resumed.',
    producer: 'import',
    consumers: ['import', 'web', 'cli'],
    detail: z.object({ stage: z.string().min(1) }),
  }),
} as const;
