/** How much is on documents: the engine is asked document by document, a few at once. */
import { hasCode } from '@casebound/contract';
import type { DocumentSurvey, EngineCall, EngineDocumentId } from '../../Port.ts';
import { listAnnotations, listComments } from './engine-annotations.ts';
import type { EngineWork } from './engine-work.ts';

const surveyOne = async (
  work: EngineWork,
  id: EngineDocumentId,
  options: EngineCall,
): Promise<DocumentSurvey | undefined> => {
  const document = await work.documents.describe(id, options.signal);
  if (document === undefined) return undefined;
  const annotations: Record<string, number> = {};
  for (const { value } of await listAnnotations(work, id, options))
    annotations[value.type] = (annotations[value.type] ?? 0) + 1;
  const comments = Object.keys(annotations).length === 0 ? [] : await listComments(work, id, options);
  return { ...document, annotations, comments: comments.length };
};

export const surveyDocuments = async (
  work: EngineWork,
  ids: readonly EngineDocumentId[],
  options: EngineCall,
): Promise<ReadonlyMap<EngineDocumentId, DocumentSurvey>> => {
  const found = new Map<EngineDocumentId, DocumentSurvey>();
  await work.each(ids, async (id) => {
    try {
      const survey = await surveyOne(work, id, options);
      if (survey !== undefined) found.set(id, survey);
    } catch (error) {
      // It was deleted meanwhile.
      if (!hasCode(error, 'engine_document_not_found')) throw error;
    }
  });
  return found;
};
