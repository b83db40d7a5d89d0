/** Whether everything that a document refers to exists; what does not is named, each with its place. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import { concretePath, type FlatDocument, type FlatReference } from './flatten-document.ts';

const targetName = ({ column }: FlatReference): string =>
  column.reference?.target.resourceName ?? column.descriptor?.resourceName ?? '';

/**
 * Errors for the references that `resolve` does not know, and for those to records that the caller may not refer to: the same, so
 * that nothing is learnt of what may not be seen. What the document refers to already stays.
 */
export const unresolvedErrors = (
  flat: FlatDocument,
  resolve: (referentialId: string) => boolean,
  unreferable: ReadonlySet<string>,
  before: FlatDocument | null,
): readonly FieldError[] => {
  const kept = new Set(unreferable.size === 0 ? [] : before?.references.map((reference) => reference.referentialId));
  return flat.references
    .filter(({ referentialId: id }) => !resolve(id) || (unreferable.has(id) && !kept.has(id)))
    .map((reference) => ({
      path: concretePath(reference.column.path, reference.ordinals),
      message: `names no ${targetName(reference)} that exists`,
    }));
};

export const unresolvedError = (errors: readonly FieldError[]): CaseboundError =>
  new CaseboundError(
    'unresolved_reference',
    `The document refers to ${errors.length === 1 ? 'a record that does' : `${errors.length} records that do`} not exist: ${errors
      .slice(0, 5)
      .map((error) => `${error.path} ${error.message}`)
      .join('; ')}.`,
    { errors: errors.slice(0, 200) },
  );
