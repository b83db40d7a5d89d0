/** Which annotations go with what is redacted: the rule that every adapter keeps. */
import { kindOf, type PageAnnotation, type Rect, type Redaction } from '@casebound/pdf';

/** Annotations often touch the line above or below; an overlap of a point says nothing. */
const EDGE = 1;

const rectsOf = (annotation: PageAnnotation): readonly Rect[] =>
  (annotation.type === 'pspdfkit/markup/highlight' ? annotation.rects : [annotation.bbox]).map(
    ([left, top, width, height]) => ({ left, top, width, height }),
  );

const meets = (one: Rect, other: Rect): boolean =>
  one.left + EDGE < other.left + other.width &&
  other.left + EDGE < one.left + one.width &&
  one.top + EDGE < other.top + other.height &&
  other.top + EDGE < one.top + one.height;

/** Ids of annotations that lie under a redaction. Stamps stay: they say which page this is. */
export const listUnderRedactions = (
  annotations: readonly PageAnnotation[],
  redactions: readonly Redaction[],
): readonly string[] => {
  const byPage = Map.groupBy(redactions, ({ pageIndex }) => pageIndex);
  return annotations.flatMap((annotation) => {
    const kind = kindOf(annotation);
    if (kind === 'redaction' || kind === 'bates_stamp' || kind === 'confidentiality_stamp') return [];
    const areas = (byPage.get(annotation.pageIndex) ?? []).flatMap(({ rects }) => rects);
    return rectsOf(annotation).some((rect) => areas.some((area) => meets(rect, area))) ? [annotation.id] : [];
  });
};
