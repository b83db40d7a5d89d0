/** Thin: from the contract's operations to the use cases. */
import type { Actor, annotationOperations, CaseId, ExhibitId, HandlersOf } from '@casebound/contract';
import {
  changeAnnotation,
  createAnnotations,
  deleteAnnotation,
  getAnnotation,
  listAnnotations,
} from './annotations.ts';
import { applyRedactions } from './apply-redactions.ts';
import { getAttachment, putAttachment } from './attachments.ts';
import { addComments, changeComment, deleteComment, listComments } from './comments.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import type { ExhibitCall } from './exhibit-document.ts';
import { exportAnnotations, importAnnotations } from './instant-json.ts';
import { listPages, renderPage, searchText } from './pages.ts';

export type AnnotationHandlers = HandlersOf<typeof annotationOperations>;

const callOf = ({
  params: { caseId, exhibitId },
  actor,
  requestId,
  signal,
}: {
  readonly params: { readonly caseId: CaseId; readonly exhibitId: ExhibitId };
  readonly actor: Actor;
  readonly requestId: string;
  readonly signal: AbortSignal;
}): ExhibitCall => ({ caseId, exhibitId, actor, requestId, signal });

export const createAnnotationHandlers = (parts: AnnotationDependencies): AnnotationHandlers => ({
  listAnnotations: async (request) => ({
    annotations: [...(await listAnnotations(parts, callOf(request), request.query.pageIndex))],
  }),
  getAnnotation: async (request) => getAnnotation(parts, callOf(request), request.params.annotationId),
  createAnnotations: async (request) => ({
    annotations: [...(await createAnnotations(parts, callOf(request), request.body.annotations))],
  }),
  changeAnnotation: async (request) =>
    changeAnnotation(parts, callOf(request), request.params.annotationId, request.body),
  deleteAnnotation: async (request) =>
    deleteAnnotation(parts, callOf(request), request.params.annotationId, request.query.version),
  listComments: async (request) => ({
    comments: [...(await listComments(parts, callOf(request), request.query.rootId))],
  }),
  addComments: async (request) => ({
    comments: [...(await addComments(parts, callOf(request), request.body.comments))],
  }),
  changeComment: async (request) => changeComment(parts, callOf(request), request.params.commentId, request.body),
  deleteComment: async (request) =>
    deleteComment(parts, callOf(request), request.params.commentId, request.query.version),
  putAttachment: async (request) => putAttachment(parts, callOf(request), request.body),
  getAttachment: async (request) => getAttachment(parts, callOf(request), request.params.attachmentId),
  exportAnnotations: async (request) => exportAnnotations(parts, callOf(request)),
  importAnnotations: async (request) => importAnnotations(parts, callOf(request), request.body),
  listExhibitPages: async (request) => ({ pages: [...(await listPages(parts, callOf(request)))] }),
  renderExhibitPage: async (request) =>
    renderPage(parts, callOf(request), request.params.pageIndex, {
      dpi: request.query.dpi,
      annotations: request.query.annotations === 'true',
    }),
  searchExhibitText: async (request) => ({
    matches: (await searchText(parts, callOf(request), request.body.query)).map((match) => ({
      ...match,
      rects: [...match.rects],
    })),
  }),
  applyRedactions: async (request) => applyRedactions(parts, callOf(request), request.body.confirm),
});
