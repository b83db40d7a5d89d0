/** What of a set of annotations is found in a PDF: `casebound pdf verify`. */
import {
  type Finding,
  type InstantJson,
  kindOf,
  openDocument,
  openEdit,
  type OpenOptions,
  type PageAnnotation,
  type PdfEngine,
  readAnnotations,
  readPageText,
  toRedaction,
  type VerificationReport,
  verifyRedactions,
} from '@casebound/pdf';

/**
 * `removed`: a redaction under which nothing is left. `leaked`: one under which something is. `mark`: one that was never applied.
 * `layered`: an annotation of the PDF. `drawn`: its text stands on the page. `absent`: no annotation of the PDF; it may be drawn or left out.
 */
export type Found = 'removed' | 'leaked' | 'mark' | 'layered' | 'drawn' | 'absent';

export interface InspectedAnnotation {
  readonly id: string;
  readonly kind: string;
  readonly pageIndex: number;
  readonly found: Found;
  readonly failed: boolean;
  readonly detail: string;
  readonly findings: readonly Finding[];
}

const details: Readonly<Record<Found, string>> = {
  removed: 'nothing is left under it',
  leaked: 'something is left under it',
  mark: 'is a mark only; what lies under it is still there',
  layered: 'is an annotation of the PDF',
  drawn: 'its text is drawn on the page',
  absent: 'is no annotation of the PDF: drawn into the page, or left out',
};

const squeeze = (text: string): string => text.normalize('NFKC').replaceAll(/\s+/g, '');

/** Reads the PDF anew. Throws what opening a PDF throws, and `pdf_page_out_of_range`. */
export const inspectAnnotations = async (
  engine: PdfEngine,
  pdf: Uint8Array,
  { annotations }: Pick<InstantJson, 'annotations'>,
  options: OpenOptions & { readonly original?: Uint8Array },
): Promise<{ readonly report: VerificationReport; readonly found: readonly InspectedAnnotation[] }> => {
  const opening = options.password === undefined ? {} : { password: options.password };
  const present = (() => {
    using edit = openEdit(engine, pdf, opening);
    return new Map(readAnnotations(edit).annotations.map((annotation) => [annotation.id, annotation.type]));
  })();
  const redactions = annotations.flatMap((annotation) =>
    annotation.type === 'pspdfkit/markup/redaction' ? [toRedaction(annotation)] : [],
  );
  // Without redactions there is nothing to prove, and a file of other programs may have had revisions.
  const report: VerificationReport =
    redactions.length === 0
      ? { verified: true, redactions: [], document: [], checkedRemovedText: false }
      : await verifyRedactions(engine, pdf, redactions, options);
  const byId = new Map(report.redactions.map((redaction) => [redaction.id, redaction]));
  using document = openDocument(engine, pdf, opening);
  const texts = new Map<number, string>();
  const textOf = (pageIndex: number): string => {
    const known = texts.get(pageIndex);
    if (known !== undefined) return known;
    const text = squeeze(readPageText(document, pageIndex).text);
    document.releasePage(pageIndex);
    texts.set(pageIndex, text);
    return text;
  };
  const lookFor = (annotation: PageAnnotation): Found => {
    const isThere = present.get(annotation.id) === annotation.type;
    if (annotation.type === 'pspdfkit/markup/redaction') {
      if (isThere) return 'mark';
      return byId.get(annotation.id)?.verified === true ? 'removed' : 'leaked';
    }
    if (isThere) return 'layered';
    if (annotation.type !== 'pspdfkit/text') return 'absent';
    const wanted = squeeze(annotation.text.value);
    return wanted !== '' && textOf(annotation.pageIndex).includes(wanted) ? 'drawn' : 'absent';
  };
  return {
    report,
    found: annotations.map((annotation): InspectedAnnotation => {
      const found = lookFor(annotation);
      return {
        id: annotation.id,
        kind: kindOf(annotation),
        pageIndex: annotation.pageIndex,
        found,
        failed: found === 'leaked' || found === 'mark',
        detail: details[found],
        findings: byId.get(annotation.id)?.findings ?? [],
      };
    }),
  };
};
