/** Annotations on the PDF of an exhibit: Instant JSON, in points from the top left of the page as shown, pages from 0. */
import { z } from 'zod';
import { CaseId, ExhibitId } from '../ids.ts';
import type { OperationMap } from '../operation.ts';
import { wireInteger } from './parameters.ts';

/** Annotations that one document may have. */
export const maxAnnotationsPerDocument = 10_000;
/** Bytes of one attachment. */
export const maxAttachmentBytes = 8 * 1024 * 1024;

const mebibyte = 1024 * 1024;
const maxPerCall = 1_000;
const maxInstantJsonBytes = 64 * mebibyte;

const count = z.number().int().nonnegative();
const members = z.record(z.string(), z.unknown());
const versionText = z.string().min(1).max(200);
const annotationId = z.string().min(1).max(500);

const exhibit = {
  caseId: wireInteger(CaseId).describe('Number of the case.'),
  exhibitId: wireInteger(ExhibitId).describe('Number of the exhibit.'),
};
const exhibitParams = z.strictObject(exhibit);

const stored = {
  version: z.string().describe('Opaque; another one after every change. A change names the one that it is made upon.'),
  createdBy: z.string().nullable().describe('Id of the account, or `system`.'),
  updatedBy: z.string().nullable(),
  createdAt: z.string().nullable(),
  updatedAt: z.string().nullable(),
};

export const AnnotationKindName = z.enum([
  'redaction',
  'highlight',
  'note',
  'sticker',
  'text',
  'bates_stamp',
  'confidentiality_stamp',
]);

export const ExhibitAnnotation = z
  .object({
    annotation: members.describe('Instant JSON.'),
    kind: AnnotationKindName,
    isReadOnly: z.boolean().describe('Stamps are made and removed by numbering and coding only.'),
    ...stored,
  })
  .meta({ id: 'ExhibitAnnotation' });
export type ExhibitAnnotation = z.infer<typeof ExhibitAnnotation>;

export const ExhibitComment = z
  .object({ comment: members.describe('Instant JSON of type `pspdfkit/comment`.'), ...stored })
  .meta({ id: 'ExhibitComment' });
export type ExhibitComment = z.infer<typeof ExhibitComment>;

export const InstantJsonDocument = z
  .object({
    format: z.string(),
    annotations: z.array(members),
    comments: z.array(members).optional(),
    attachments: z.record(z.string(), z.object({ binary: z.string(), contentType: z.string() })).optional(),
  })
  .meta({ id: 'InstantJsonDocument' });

const rect = z.object({ left: z.number(), top: z.number(), width: z.number(), height: z.number() });

const readErrors = [
  'case_not_found',
  'case_busy',
  'case_archived',
  'exhibit_not_found',
  'exhibit_without_pdf',
  'annotations_unread',
  'object_not_found',
  'object_store_unavailable',
  'pdf_damaged',
  'pdf_encrypted',
  'pdf_too_large',
  'pdf_timeout',
  'pdf_engine_failed',
  'document_engine_unavailable',
  'document_engine_denied',
  'document_engine_refused',
  'conflict_retries_exhausted',
] as const;
const writeErrors = [
  ...readErrors,
  'annotation_invalid',
  'annotation_unknown_type',
  'annotation_not_found',
  'annotation_conflict',
  'annotation_exists',
  'annotation_read_only',
  'attachment_missing',
  'too_many_annotations',
  'pdf_page_out_of_range',
] as const;

const base = '/v1/cases/{caseId}/exhibits/{exhibitId}';
const tag = 'annotations';

export const annotationOperations = {
  listAnnotations: {
    method: 'GET',
    path: `${base}/annotations`,
    summary: 'List the annotations of an exhibit',
    description: 'By page, and then in the order in which they were made.',
    tag,
    permission: 'case.read',
    params: exhibitParams,
    query: z.strictObject({ pageIndex: wireInteger(count).optional() }),
    success: { status: 200, body: z.object({ annotations: z.array(ExhibitAnnotation) }) },
    errors: readErrors,
  },
  getAnnotation: {
    method: 'GET',
    path: `${base}/annotations/{annotationId}`,
    summary: 'Get one annotation',
    tag,
    permission: 'case.read',
    params: z.strictObject({ ...exhibit, annotationId }),
    success: { status: 200, body: ExhibitAnnotation },
    errors: [...readErrors, 'annotation_not_found'],
  },
  createAnnotations: {
    method: 'POST',
    path: `${base}/annotations`,
    summary: 'Add annotations to an exhibit, all or none',
    description:
      'One without an `id` gets one. A repeat of what is there and equal changes nothing. A redaction marks the exhibit as redacted.',
    tag,
    permission: 'case.write',
    params: exhibitParams,
    body: z.strictObject({ annotations: z.array(members).min(1).max(maxPerCall) }),
    bodyLimitBytes: 16 * mebibyte,
    success: { status: 201, body: z.object({ annotations: z.array(ExhibitAnnotation) }) },
    errors: writeErrors,
  },
  changeAnnotation: {
    method: 'PUT',
    path: `${base}/annotations/{annotationId}`,
    summary: 'Change an annotation',
    description:
      'The whole annotation as it shall be, and the version that the change is made upon. When that is no longer the version, the answer is 409 and its `errors` show the annotation as it is now.',
    tag,
    permission: 'case.write',
    params: z.strictObject({ ...exhibit, annotationId }),
    body: z.strictObject({ version: versionText, annotation: members }),
    success: { status: 200, body: ExhibitAnnotation },
    errors: writeErrors,
  },
  deleteAnnotation: {
    method: 'DELETE',
    path: `${base}/annotations/{annotationId}`,
    summary: 'Delete an annotation with the comments on it',
    tag,
    permission: 'case.write',
    params: z.strictObject({ ...exhibit, annotationId }),
    query: z.strictObject({ version: versionText }),
    success: { status: 204 },
    errors: writeErrors,
  },
  listComments: {
    method: 'GET',
    path: `${base}/comments`,
    summary: 'List the comments on one annotation, or on all, oldest first',
    tag,
    permission: 'case.read',
    params: exhibitParams,
    query: z.strictObject({ rootId: annotationId.optional() }),
    success: { status: 200, body: z.object({ comments: z.array(ExhibitComment) }) },
    errors: readErrors,
  },
  addComments: {
    method: 'POST',
    path: `${base}/comments`,
    summary: 'Add comments to annotations, all or none',
    tag,
    permission: 'case.write',
    params: exhibitParams,
    body: z.strictObject({ comments: z.array(members).min(1).max(maxPerCall) }),
    success: { status: 201, body: z.object({ comments: z.array(ExhibitComment) }) },
    errors: writeErrors,
  },
  changeComment: {
    method: 'PUT',
    path: `${base}/comments/{commentId}`,
    summary: 'Change the text of a comment',
    description: 'Names the version that it is made upon, as a change of an annotation does.',
    tag,
    permission: 'case.write',
    params: z.strictObject({ ...exhibit, commentId: annotationId }),
    body: z.strictObject({ version: versionText, comment: members }),
    success: { status: 200, body: ExhibitComment },
    errors: writeErrors,
  },
  deleteComment: {
    method: 'DELETE',
    path: `${base}/comments/{commentId}`,
    summary: 'Delete a comment',
    tag,
    permission: 'case.write',
    params: z.strictObject({ ...exhibit, commentId: annotationId }),
    query: z.strictObject({ version: versionText }),
    success: { status: 204 },
    errors: writeErrors,
  },
  putAttachment: {
    method: 'POST',
    path: `${base}/attachments`,
    summary: 'Keep the picture of a sticker',
    description: 'PNG or JPEG, at most 8 MiB. Equal bytes again change nothing.',
    tag,
    permission: 'case.write',
    params: exhibitParams,
    body: z.strictObject({
      contentType: z.enum(['image/png', 'image/jpeg']),
      binary: z.base64().min(1).describe('Base64.'),
    }),
    bodyLimitBytes: 12 * mebibyte,
    success: { status: 201, body: z.object({ attachmentId: z.string(), size: count }) },
    errors: writeErrors,
  },
  getAttachment: {
    method: 'GET',
    path: `${base}/attachments/{attachmentId}`,
    summary: 'Get the picture of a sticker',
    tag,
    permission: 'case.read',
    params: z.strictObject({ ...exhibit, attachmentId: annotationId }),
    success: { status: 200, binary: true },
    errors: [...readErrors, 'attachment_missing'],
  },
  exportAnnotations: {
    method: 'GET',
    path: `${base}/instant-json`,
    summary: 'Export annotations, comments and attachments as Instant JSON',
    tag,
    permission: 'case.read',
    params: exhibitParams,
    success: { status: 200, body: InstantJsonDocument },
    errors: readErrors,
  },
  importAnnotations: {
    method: 'POST',
    path: `${base}/instant-json`,
    summary: 'Import Instant JSON, all or nothing',
    description:
      'With `replace`, what is there is deleted in the same step; stamps stay. Stamps that are not there already are refused.',
    tag,
    permission: 'case.write',
    params: exhibitParams,
    body: z.strictObject({ document: members, replace: z.boolean().default(false) }),
    bodyLimitBytes: maxInstantJsonBytes,
    success: { status: 200, body: z.object({ annotations: count, comments: count }) },
    errors: writeErrors,
  },
  listExhibitPages: {
    method: 'GET',
    path: `${base}/pdf/pages`,
    summary: 'List the pages of the PDF of an exhibit with their sizes',
    tag,
    permission: 'case.read',
    params: exhibitParams,
    success: {
      status: 200,
      body: z.object({
        pages: z.array(
          z.object({
            pageIndex: count,
            width: z.number().describe('Points, as shown.'),
            height: z.number().describe('Points, as shown.'),
          }),
        ),
      }),
    },
    errors: readErrors,
  },
  renderExhibitPage: {
    method: 'GET',
    path: `${base}/pdf/pages/{pageIndex}/picture`,
    summary: 'Draw one page as PNG, with the annotations on it',
    tag,
    permission: 'case.read',
    params: z.strictObject({ ...exhibit, pageIndex: wireInteger(count) }),
    query: z.strictObject({
      dpi: wireInteger(z.int().min(10).max(300)).default(100),
      annotations: z.enum(['true', 'false']).default('true'),
    }),
    success: { status: 200, binary: true },
    errors: [...readErrors, 'pdf_page_out_of_range'],
  },
  searchExhibitText: {
    method: 'POST',
    path: `${base}/pdf/searches`,
    summary: 'Find words or a pattern on the pages, with their boxes',
    description:
      'A word or phrase, without regard to letter case, or `/pattern/`. Nothing is changed; the words stand in the body so that no log has them.',
    tag,
    permission: 'case.read',
    params: exhibitParams,
    body: z.strictObject({ query: z.string().min(1).max(500) }),
    success: {
      status: 200,
      body: z.object({
        matches: z.array(z.object({ pageIndex: count, text: z.string(), rects: z.array(rect) })),
      }),
    },
    errors: readErrors,
  },
  applyRedactions: {
    method: 'POST',
    path: `${base}/redactions/apply`,
    summary: 'Remove for good what lies under the redactions of an exhibit',
    description:
      'The PDF of the case itself is replaced by one in which what was redacted is gone, with its page texts and its place in the search index. Nothing leads back. The exhibit stays marked as redacted.',
    tag,
    permission: 'case.write',
    params: exhibitParams,
    body: z.strictObject({
      confirm: z.string().min(1).max(500).describe('The control number of the exhibit, to say that it is meant.'),
    }),
    success: {
      status: 200,
      body: z.object({
        applied: count,
        removedAnnotations: z.array(z.string()).describe('Annotations that lay under redactions and went with them.'),
        pdf: z.object({ size: count, sha256: z.string(), pageCount: count }),
      }),
    },
    errors: [...writeErrors, 'redaction_unverified'],
  },
} as const satisfies OperationMap;
