/** Facts about what stands in a case, whoever changed it. */
import { z } from 'zod';
import { caseEvent } from './declare-event.ts';

export const caseEvents = {
  EXHIBITS_CHANGED: caseEvent({
    version: 1,
    sentence:
      'Fields, labels, folders, codes or annotations of the exhibits that the envelope names were changed; at most 1,000 an event.',
    producer: 'fields, exhibits, annotations',
    consumers: ['search'],
    detail: z.object({
      fields: z
        .array(z.string().max(300))
        .max(100)
        .describe('Names of what changed, where they are few; never values.'),
    }),
  }),
  FIELD_DEFINITIONS_CHANGED: caseEvent({
    version: 1,
    sentence: 'The custom fields of a case were added to or changed.',
    producer: 'fields',
    consumers: ['fields', 'search'],
    detail: z.object({ titles: z.array(z.string().max(300)).max(1000) }),
  }),
} as const;
