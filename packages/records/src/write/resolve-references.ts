/** Whether everything that a document refers to exists; what does not is named, each with its place. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import type { FlatDocument } from './flatten-document.ts';

/** Errors for the references that `resolve` does not know. */
export const unresolvedErrors = (
  flat: FlatDocument,
  resolve: (referentialId: string) => boolean,
): readonly FieldError[] =>
  flat.references
    .filter((reference) => !resolve(reference.referentialId))
    .map((reference) => ({ path: reference.path, message: `names a ${reference.targetName} that does not exist` }));

export const unresolvedError = (errors: readonly FieldError[]): CaseboundError =>
  new CaseboundError(
    'unresolved_reference',
    `The document refers to ${errors.length} record${errors.length === 1 ? '' : 's'} that do not exist: ${errors
      .slice(0, 5)
      .map((error) => `${error.path} ${error.message}`)
      .join('; ')}.`,
    { errors: errors.slice(0, 200) },
  );
