/** An exhibit to read from. What dead processes left is settled on the way, so that readers see it stated; who cannot write does without. */
import { hasCode } from '@casebound/contract';
import type { AnnotationDependencies } from './dependencies.ts';
import { type ExhibitCall, openExhibit } from './exhibit-document.ts';
import { repairIntents } from './repair-intents.ts';
import type { AnnotatedExhibit } from './store.ts';

export const openToRead = async (parts: AnnotationDependencies, call: ExhibitCall): Promise<AnnotatedExhibit> => {
  const exhibit = await openExhibit(parts, call);
  if (!exhibit.hasIntents) return exhibit;
  try {
    await repairIntents(parts, exhibit);
  } catch (error) {
    if (!hasCode(error, 'case_archived')) throw error;
  }
  return exhibit;
};

/** Reads what lies on an exhibit: nothing in an archived case, where the document of one that was never asked for cannot be made. */
export const readLying = async <T>(
  parts: AnnotationDependencies,
  call: ExhibitCall,
  nothing: T,
  read: (exhibit: AnnotatedExhibit) => Promise<T>,
): Promise<T> => {
  let exhibit: AnnotatedExhibit;
  try {
    exhibit = await openToRead(parts, call);
  } catch (error) {
    if (hasCode(error, 'case_archived')) return nothing;
    throw error;
  }
  return read(exhibit);
};
