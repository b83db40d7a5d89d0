/** Listing, adding, changing and deleting annotations. */
import { CaseboundError, hasCode, type ExhibitAnnotation } from '@casebound/contract';
import { kindOf, type PageAnnotation } from '@casebound/pdf';
import type { StoredAnnotation } from '../../platform/document-engine/Port.ts';
import { changeExhibit } from './change-exhibit.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { engineCall, type ExhibitCall } from './exhibit-document.ts';
import { annotationEntry, isMeant, meantBy } from './intent.ts';
import { isStamp, readAnnotations, refuseStamp, refuseTooMany } from './read-input.ts';
import { openToRead, readLying } from './open-to-read.ts';
import { nameKind } from './name-kind.ts';

type Members = Readonly<Record<string, unknown>>;

export const describeAnnotation = ({ value, ...stored }: StoredAnnotation): ExhibitAnnotation => ({
  annotation: { ...value },
  kind: nameKind(value),
  isReadOnly: isStamp(value),
  version: stored.version,
  createdBy: stored.createdBy ?? null,
  updatedBy: stored.updatedBy ?? null,
  createdAt: stored.createdAt ?? null,
  updatedAt: stored.updatedAt ?? null,
});

export const listAnnotations = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  pageIndex: number | undefined,
): Promise<readonly ExhibitAnnotation[]> =>
  readLying(parts, call, [], async ({ engineId }) => {
    const stored = await parts.engine.listAnnotations(engineId, {
      ...engineCall(call),
      ...(pageIndex === undefined ? {} : { pageIndex }),
    });
    return stored.map(describeAnnotation);
  });

export const getAnnotation = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  annotationId: string,
): Promise<ExhibitAnnotation> => {
  const { engineId } = await openToRead(parts, call);
  return describeAnnotation(await parts.engine.getAnnotation(engineId, annotationId, engineCall(call)));
};

const isRedaction = (value: PageAnnotation): boolean => kindOf(value) === 'redaction';

/** Adds annotations, all or none. What is there and equal stays as it is. */
export const createAnnotations = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  given: readonly Members[],
): Promise<readonly ExhibitAnnotation[]> => {
  const values = readAnnotations(given);
  return changeExhibit(parts, call, async ({ engineId }) => {
    const present = await parts.engine.listAnnotations(engineId, engineCall(call));
    const byId = new Map(present.map((one) => [one.value.id, one]));
    const added = values.filter((value) => {
      const there = byId.get(value.id);
      return there === undefined || !isMeant(meantBy(value), there.value);
    });
    added.forEach(refuseStamp);
    if (added.length > 0) refuseTooMany(present.length + added.length);
    return {
      entries: added.map((value) => annotationEntry('create', value)),
      ...(added.some(isRedaction) ? { redactions: { present: present.some(({ value }) => isRedaction(value)) } } : {}),
      run: async () => {
        const stored = await parts.engine.createAnnotations(engineId, values, engineCall(call));
        const versions = new Map(stored.map((one) => [one.value.id, one.version]));
        return {
          result: stored.map(describeAnnotation),
          done: added.map((value) => ({ entry: annotationEntry('create', value), version: versions.get(value.id) })),
        };
      },
    };
  });
};

/** The conflict with what it is about: the annotation as it is now. */
const withPresent = async (
  { engine }: AnnotationDependencies,
  call: ExhibitCall,
  engineId: Parameters<typeof engine.getAnnotation>[0],
  annotationId: string,
): Promise<CaseboundError> => {
  try {
    const present = describeAnnotation(await engine.getAnnotation(engineId, annotationId, engineCall(call)));
    return new CaseboundError(
      'annotation_conflict',
      `The annotation \`${annotationId}\` is at version ${present.version} by now.`,
      { errors: [{ path: '$.version', message: `now ${JSON.stringify(present)}` }] },
    );
  } catch (error) {
    if (!hasCode(error, 'annotation_not_found')) throw error;
    return error;
  }
};

/** Errors: `annotation_conflict` with the annotation as it is now, and what adding throws. */
export const changeAnnotation = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  annotationId: string,
  { version, annotation }: { readonly version: string; readonly annotation: Members },
): Promise<ExhibitAnnotation> => {
  if (annotation['id'] !== undefined && annotation['id'] !== annotationId)
    throw new CaseboundError('annotation_invalid', 'The id in the annotation is not the id in the address.', {
      errors: [{ path: '$.annotation.id', message: 'is not the id in the address' }],
    });
  const [value] = readAnnotations([{ ...annotation, id: annotationId }]);
  if (value === undefined) throw new CaseboundError('internal', 'An annotation was read as none.');
  return changeExhibit(parts, call, async ({ engineId }) => {
    const present = await parts.engine.getAnnotation(engineId, annotationId, engineCall(call));
    refuseStamp(present.value);
    refuseStamp(value);
    if (present.version !== version) throw await withPresent(parts, call, engineId, annotationId);
    const entry = annotationEntry('change', value, version);
    return {
      entries: [entry],
      run: async () => {
        try {
          const [stored] = await parts.engine.updateAnnotations(engineId, [{ value, version }], engineCall(call));
          if (stored === undefined) throw new CaseboundError('internal', 'The engine answered no annotation.');
          return { result: describeAnnotation(stored), done: [{ entry, version: stored.version }] };
        } catch (error) {
          if (hasCode(error, 'annotation_conflict')) throw await withPresent(parts, call, engineId, annotationId);
          throw error;
        }
      },
    };
  });
};

/** Deletes an annotation with the comments on it. Errors: `annotation_not_found`, `annotation_conflict`, `annotation_read_only`. */
export const deleteAnnotation = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  annotationId: string,
  version: string,
): Promise<void> =>
  changeExhibit(parts, call, async ({ engineId }) => {
    const present = await parts.engine.getAnnotation(engineId, annotationId, engineCall(call));
    refuseStamp(present.value);
    if (present.version !== version) throw await withPresent(parts, call, engineId, annotationId);
    const entry = annotationEntry('delete', present.value, version);
    return {
      entries: [entry],
      ...(isRedaction(present.value) ? { redactions: { present: true } } : {}),
      run: async () => {
        try {
          await parts.engine.deleteAnnotations(engineId, [{ id: annotationId, version }], engineCall(call));
        } catch (error) {
          if (hasCode(error, 'annotation_conflict')) throw await withPresent(parts, call, engineId, annotationId);
          throw error;
        }
        return { result: undefined, done: [{ entry }] };
      },
    };
  });
