/** What is checked before anything is sent, so that the engine is not asked for what is wrong already. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import { type CommentAnnotation, type InstantJson, type PageAnnotation, parseInstantJson } from '@casebound/pdf';
import type { PageSize } from './Port.ts';

/** Attachments are looked for in the engine, not in the call: a stand-in for each. */
const standInPrefix = 'stand-in-for-';

/**
 * Annotations and comments in the shape of Instant JSON. Throws `annotation_invalid` (two of one id, too) and
 * `annotation_unknown_type`. `outside`: ids of annotations that are not among these but that comments may have as root.
 */
export const parseShapes = (
  annotations: readonly unknown[],
  comments: readonly unknown[] = [],
  outside: readonly PageAnnotation[] = [],
): Pick<InstantJson, 'annotations' | 'comments'> => {
  const standIns: Record<string, { binary: string }> = {};
  const input = [...outside, ...annotations].map((value) => {
    if (typeof value !== 'object' || value === null || !('imageAttachmentId' in value)) return value;
    const id = value.imageAttachmentId;
    if (typeof id !== 'string' || id === '') return value;
    standIns[`${standInPrefix}${id}`] = { binary: '' };
    return { ...value, imageAttachmentId: `${standInPrefix}${id}` };
  });
  const parsed = parseInstantJson({ annotations: input, comments, attachments: standIns }, Number.MAX_SAFE_INTEGER);
  return {
    comments: parsed.comments,
    annotations: parsed.annotations
      .slice(outside.length)
      .map((value) =>
        value.type === 'pspdfkit/image'
          ? { ...value, imageAttachmentId: value.imageAttachmentId.slice(standInPrefix.length) }
          : value,
      ),
  };
};

/** Throws `pdf_page_out_of_range`, `annotation_invalid`. */
export const checkPlaces = (annotations: readonly PageAnnotation[], pages: readonly PageSize[]): void => {
  const errors: FieldError[] = [];
  annotations.forEach((annotation, at) => {
    const page = pages[annotation.pageIndex];
    if (page === undefined)
      throw new CaseboundError(
        'pdf_page_out_of_range',
        `The annotation \`${annotation.id}\` is on page index ${annotation.pageIndex}; the document has ${pages.length} pages, counted from 0.`,
      );
    const rects =
      annotation.type === 'pspdfkit/markup/highlight' || annotation.type === 'pspdfkit/markup/redaction'
        ? annotation.rects
        : [annotation.bbox];
    for (const [left, top, width, height] of rects)
      if (left >= page.width || top >= page.height || left + width <= 0 || top + height <= 0) {
        errors.push({ path: `$[${at}]`, message: 'has a rect outside its page' });
        break;
      }
  });
  if (errors.length > 0)
    throw new CaseboundError(
      'annotation_invalid',
      `${errors.length} of ${annotations.length} annotations lie outside their page, first ${errors[0]?.path}.`,
      { errors: errors.slice(0, 50) },
    );
};

export const unknownRoot = (comment: CommentAnnotation): CaseboundError =>
  new CaseboundError(
    'annotation_not_found',
    `The comment \`${comment.id}\` has the root \`${comment.rootId}\`, which is not on the document.`,
  );
