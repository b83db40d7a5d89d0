/**
 * What a change is going to do, in a form that says afterwards whether it was done: ids, kinds, pages, versions and digests, never a text.
 */
import { createHash } from 'node:crypto';
import { kindOf, type PageAnnotation, type CommentAnnotation } from '@casebound/pdf';
import { z } from 'zod';

const act = z.enum(['create', 'change', 'delete']);

/** Members of a value, and a digest of them: whether a value that is found is the one that was meant. */
const Meant = z.object({ keys: z.array(z.string()), digest: z.string() });
export type Meant = z.infer<typeof Meant>;

export const Entry = z.discriminatedUnion('what', [
  z.object({
    what: z.literal('annotation'),
    act,
    id: z.string(),
    kind: z.string(),
    page: z.number().int(),
    /** The version that it is made upon. */
    version: z.string().optional(),
    meant: Meant.optional(),
    /** It may go with what is asked for, or may not. */
    isOptional: z.boolean().optional(),
  }),
  z.object({
    what: z.literal('comment'),
    act,
    id: z.string(),
    page: z.number().int(),
    version: z.string().optional(),
    meant: Meant.optional(),
  }),
  z.object({ what: z.literal('attachment'), id: z.string(), size: z.number().int() }),
  /** The PDF gives place to one without what was redacted. */
  z.object({
    what: z.literal('pdf'),
    sha256: z.string(),
    /** Pages with redactions, from 0. */
    pages: z.array(z.number().int()),
    /** Whether the texts of other pages hold nothing of these. */
    isByPage: z.boolean(),
    /** Keys of objects that show what was redacted, and go. */
    objects: z.array(z.string()),
  }),
]);
export type Entry = z.infer<typeof Entry>;

const canonical = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(canonical)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([, member]) => member !== undefined)
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, member]) => [key, canonical(member)]),
        )
      : value;

/** An engine may state these itself. */
const volatile = new Set(['v', 'createdAt', 'updatedAt', 'creatorName']);

const digestOf = (value: Readonly<Record<string, unknown>>, keys: readonly string[]): string =>
  createHash('sha256')
    .update(JSON.stringify(canonical(Object.fromEntries(keys.map((key) => [key, value[key] ?? null])))))
    .digest('hex');

export const meantBy = (value: PageAnnotation | CommentAnnotation): Meant => {
  const keys = Object.entries(value)
    .flatMap(([key, member]) => (member === undefined || volatile.has(key) ? [] : [key]))
    .toSorted();
  return { keys, digest: digestOf(value, keys) };
};

export const isMeant = (meant: Meant | undefined, value: PageAnnotation | CommentAnnotation): boolean =>
  meant === undefined || digestOf(value, meant.keys) === meant.digest;

export const annotationEntry = (
  how: z.infer<typeof act>,
  value: PageAnnotation,
  version?: string,
): Extract<Entry, { what: 'annotation' }> => ({
  what: 'annotation',
  act: how,
  id: value.id,
  kind: kindOf(value),
  page: value.pageIndex,
  ...(version === undefined ? {} : { version }),
  ...(how === 'delete' ? {} : { meant: meantBy(value) }),
});

export const commentEntry = (
  how: z.infer<typeof act>,
  value: CommentAnnotation,
  version?: string,
): Extract<Entry, { what: 'comment' }> => ({
  what: 'comment',
  act: how,
  id: value.id,
  page: value.pageIndex,
  ...(version === undefined ? {} : { version }),
  ...(how === 'delete' ? {} : { meant: meantBy(value) }),
});
