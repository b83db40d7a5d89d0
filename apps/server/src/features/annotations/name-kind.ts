/** The kind of an annotation that lies on a page, in the words of the contract. */
import { type AnnotationKindName, CaseboundError } from '@casebound/contract';
import { kindOf, type PageAnnotation } from '@casebound/pdf';
import type { z } from 'zod';

export const nameKind = (value: PageAnnotation): z.infer<typeof AnnotationKindName> => {
  const kind = kindOf(value);
  if (kind === 'comment') throw new CaseboundError('internal', 'A comment stands among the annotations.');
  return kind;
};
