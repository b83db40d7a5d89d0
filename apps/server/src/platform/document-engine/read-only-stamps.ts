/** The rule on stamps that every adapter keeps. */
import { CaseboundError } from '@casebound/contract';
import { kindOf, type PageAnnotation } from '@casebound/pdf';

/** Throws `annotation_read_only` when a stamp would be changed or deleted by a caller that did not say `stamps: true`. */
export const refuseStamps = (annotations: Iterable<PageAnnotation>, options: { readonly stamps?: boolean }): void => {
  if (options.stamps === true) return;
  for (const annotation of annotations) {
    const kind = kindOf(annotation);
    if (kind === 'bates_stamp' || kind === 'confidentiality_stamp')
      throw new CaseboundError(
        'annotation_read_only',
        `The annotation \`${annotation.id}\` is a ${kind === 'bates_stamp' ? 'Bates' : 'confidentiality'} stamp; stamps are not changed by hand.`,
      );
  }
};
