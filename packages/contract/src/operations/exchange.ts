/** Exchanges: documents carried from one case to another with all of their work product. */
import { z } from 'zod';
import { Progress } from '../events/declare-event.ts';
import { BatchId, CaseId, ExhibitId, JobId } from '../ids.ts';
import type { OperationMap } from '../operation.ts';
import { wireInteger } from './parameters.ts';

const count = z.number().int().nonnegative();
const controlNumber = z.string().min(1).max(255);

/** Which exhibits travel. */
export const ExchangeSelection = z
  .discriminatedUnion('by', [
    z.strictObject({ by: z.literal('all') }),
    z.strictObject({ by: z.literal('exhibits'), exhibitIds: z.array(ExhibitId).min(1).max(100_000) }),
    z.strictObject({
      by: z.literal('controlNumbers'),
      ranges: z
        .array(z.strictObject({ from: controlNumber, to: controlNumber }))
        .min(1)
        .max(1_000)
        .describe('Both ends included. Numbers with the same beginning are compared by their last digits.'),
    }),
    z.strictObject({ by: z.literal('label'), category: z.string().min(1).max(300), name: z.string().min(1).max(300) }),
    z.strictObject({
      by: z.literal('folder'),
      path: z.string().min(1).max(2_000),
      includeSubfolders: z.boolean().default(true),
    }),
    z.strictObject({ by: z.literal('batch'), name: z.string().min(1).max(300) }),
    z.strictObject({
      by: z.literal('query'),
      text: z.string().min(1).max(2_000).optional().describe('Words that must all occur in page text or fields.'),
      filters: z
        .array(
          z.strictObject({
            field: z.string().min(1).max(300).describe('A core field, or the title of a custom field.'),
            equals: z.union([z.string().max(2_000), z.number()]).optional(),
            from: z.union([z.string().max(2_000), z.number()]).optional(),
            to: z.union([z.string().max(2_000), z.number()]).optional(),
          }),
        )
        .max(20)
        .default([]),
    }),
  ])
  .meta({ id: 'ExchangeSelection' });
export type ExchangeSelection = z.infer<typeof ExchangeSelection>;

/** Burned into the page, kept as an annotation, or left out. */
export const AnnotationRoute = z.enum(['brand_in', 'layer', 'omit']);
export type AnnotationRoute = z.infer<typeof AnnotationRoute>;

export const AnnotationRouting = z
  .strictObject({
    redactionsAs: AnnotationRoute.default('brand_in'),
    highlightsAs: AnnotationRoute.default('layer'),
    notesAs: AnnotationRoute.default('layer'),
    stickersAs: AnnotationRoute.default('layer'),
    batesAs: AnnotationRoute.default('layer'),
    confidentialityCodesAs: AnnotationRoute.default('layer'),
    comments: z.enum(['layer', 'omit']).default('layer'),
  })
  .meta({ id: 'AnnotationRouting' });
export type AnnotationRouting = z.infer<typeof AnnotationRouting>;

export const ControlNumberPolicy = z
  .discriminatedUnion('policy', [
    z.strictObject({ policy: z.literal('keep') }),
    z.strictObject({ policy: z.literal('prefix'), prefix: z.string().min(1).max(100) }),
    z.strictObject({
      policy: z.literal('renumber'),
      prefix: z.string().max(100).default(''),
      start: z.number().int().min(0).default(1),
      digits: z.number().int().min(1).max(18).default(6),
    }),
  ])
  .meta({ id: 'ControlNumberPolicy' });
export type ControlNumberPolicy = z.infer<typeof ControlNumberPolicy>;

export const ExchangeRequest = z
  .strictObject({
    sourceCaseId: CaseId,
    destinationCaseId: CaseId,
    selection: ExchangeSelection,
    families: z.enum(['keep', 'split']).default('keep'),
    deduplicate: z.enum(['none', 'destination']).default('none'),
    includeNatives: z.boolean().default(false),
    includeImages: z.boolean().default(true),
    includeText: z.boolean().default(true),
    includeCustomFields: z.boolean().default(true),
    includeLabels: z.boolean().default(true),
    includeFolders: z.boolean().default(true),
    includeHistory: z.boolean().default(true).describe('Logs of confidentiality and relevancy.'),
    annotations: AnnotationRouting.prefault({}),
    reOcr: z.boolean().default(false),
    nativesOfRedacted: z
      .enum(['withhold', 'include'])
      .default('withhold')
      .describe('A native shows what a redaction in its PDF hides.'),
    controlNumbers: ControlNumberPolicy.prefault({ policy: 'keep' }),
    onConflict: z.enum(['fail', 'skip', 'overlay']).default('fail'),
    batchName: z.string().min(1).max(300).optional().describe('Name of the new batch; default: made of the job.'),
  })
  .meta({ id: 'ExchangeRequest' });
export type ExchangeRequest = z.infer<typeof ExchangeRequest>;

export const exchangeStates = [
  'INITIATING',
  'QUEUES_CREATED',
  'WORKERS_CREATED',
  'POLICIES_APPLIED',
  'COPY_STARTED',
  'INITIATED',
  'COPYING_RECORDS',
  'PROCESSING',
  'DE_ORCHESTRATING',
  'VERIFYING',
  'COMPENSATING',
  'FINISHED',
  'FINISHED_WITH_ERRORS',
  'FAILED',
  'CANCELLED',
  'ROLLED_BACK',
] as const;
export const ExchangeState = z.enum(exchangeStates);
export type ExchangeState = z.infer<typeof ExchangeState>;

export const exchangeStages = ['object_copy', 'pre_uploader', 'uploader', 're_ocr', 'search_text'] as const;
export const ExchangeStage = z.enum(exchangeStages);
export type ExchangeStage = z.infer<typeof ExchangeStage>;

/** `skipped`: there was nothing to do, or what it needed failed before; the item says which. */
export const ExchangeItemState = z.enum(['pending', 'done', 'failed', 'skipped']);
export type ExchangeItemState = z.infer<typeof ExchangeItemState>;

export const Exchange = z
  .object({
    jobId: JobId,
    sourceCaseId: CaseId,
    destinationCaseId: CaseId,
    batchId: BatchId.nullable().describe('The batch in the destination; null until it is made.'),
    state: ExchangeState,
    endsAs: ExchangeState.nullable().describe('How it will end, while it is being undone.'),
    cancelRequested: z.boolean(),
    round: count.describe('0 at first; one more with each retry of failed items.'),
    idempotencyKey: z.string(),
    request: ExchangeRequest,
    exhibits: count,
    progress: Progress,
    byStage: z.partialRecord(ExchangeStage, Progress),
    failure: z.object({ step: z.string(), code: z.string(), reason: z.string() }).nullable(),
    resources: z
      .array(z.object({ kind: z.enum(['queue', 'worker', 'subscription']), name: z.string(), address: z.string() }))
      .describe('What exists for it now.'),
    kept: z
      .array(z.string())
      .describe(
        'After it was undone: records that stayed because somebody changed them or others refer to them; the first 100.',
      ),
    manifestKey: z.string().nullable(),
    createdBy: z.string(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Exchange' });
export type Exchange = z.infer<typeof Exchange>;

export const ExchangeItem = z
  .object({
    exhibitId: ExhibitId.nullable().describe('In the destination; null when nothing was written there.'),
    sourceExhibitId: ExhibitId,
    sourceControlNumber: z.string(),
    controlNumber: z.string().nullable(),
    stage: z.union([ExchangeStage, z.literal('records')]),
    state: ExchangeItemState,
    attempts: count,
    code: z.string().nullable(),
    reason: z.string().nullable(),
    deadLetterId: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()).nullable(),
    updatedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ExchangeItem' });
export type ExchangeItem = z.infer<typeof ExchangeItem>;

export const ExchangePreview = z
  .object({
    exhibits: count,
    families: count.describe('Exhibits that travel because a member of their family does.'),
    duplicates: count.describe('Left out, for the destination has a document with the same hash.'),
    conflicts: count.describe('Control numbers that the destination has already.'),
    conflictExamples: z.array(z.string()),
    byKind: z.record(z.string(), z.object({ objects: count, bytes: count })),
    pages: count,
    redacted: count,
    stages: z.array(ExchangeStage),
    warnings: z.array(z.object({ code: z.string(), message: z.string(), exhibits: count })),
  })
  .meta({ id: 'ExchangePreview' });
export type ExchangePreview = z.infer<typeof ExchangePreview>;

const jobParams = z.strictObject({ jobId: JobId });
const startErrors = [
  'case_not_found',
  'case_busy',
  'case_archived',
  'exchange_same_case',
  'exchange_selection_empty',
  'exchange_conflict',
  'exchange_unredacted_denied',
  'exchange_code_without_bit',
  'copy_not_possible',
  'schema_mismatch',
  'store_not_provisioned',
  'search_query_invalid',
  'search_index_unavailable',
  'document_engine_unavailable',
  'document_engine_denied',
  'object_store_unavailable',
] as const;

export const exchangeOperations = {
  createExchange: {
    method: 'POST',
    path: '/v1/exchanges',
    summary: 'Start an exchange',
    description:
      'Checks everything first and refuses with the reason before anything is made. The header `Idempotency-Key` names the request; without it its content does. The same key answers the same job.',
    tag: 'exchanges',
    permission: 'case.manage',
    idempotencyKey: true,
    body: ExchangeRequest,
    success: {
      status: 202,
      body: z.object({
        jobId: JobId,
        created: z.boolean().describe('false: the key was used before, and this is its job.'),
        exchange: Exchange,
      }),
    },
    errors: [...startErrors, 'idempotency_key_reused', 'too_many_jobs'],
  },
  previewExchange: {
    method: 'POST',
    path: '/v1/exchanges/preview',
    summary: 'Say what an exchange would do',
    description: 'Checks and counts as a start does, and changes nothing.',
    tag: 'exchanges',
    permission: 'case.manage',
    body: ExchangeRequest,
    success: { status: 200, body: ExchangePreview },
    errors: startErrors,
  },
  listExchanges: {
    method: 'GET',
    path: '/v1/exchanges',
    summary: 'List exchanges, newest first',
    tag: 'exchanges',
    permission: 'case.read',
    query: z.strictObject({
      state: ExchangeState.optional(),
      caseId: wireInteger(CaseId).optional().describe('Source or destination.'),
      before: JobId.optional(),
      limit: wireInteger(z.number().int().min(1).max(200)).default(50),
    }),
    success: { status: 200, body: z.object({ exchanges: z.array(Exchange), next: JobId.nullable() }) },
    errors: ['exchange_not_found'],
  },
  getExchange: {
    method: 'GET',
    path: '/v1/exchanges/{jobId}',
    summary: 'Get an exchange with its progress',
    tag: 'exchanges',
    permission: 'case.read',
    params: jobParams,
    success: { status: 200, body: Exchange },
    errors: ['exchange_not_found'],
  },
  listExchangeItems: {
    method: 'GET',
    path: '/v1/exchanges/{jobId}/items',
    summary: 'List the ledger of an exchange: exhibits by stage',
    tag: 'exchanges',
    permission: 'case.read',
    params: jobParams,
    query: z.strictObject({
      state: ExchangeItemState.optional(),
      stage: ExchangeItem.shape.stage.optional(),
      after: z.string().max(100).optional().describe('`next` of the page before.'),
      limit: wireInteger(z.number().int().min(1).max(1000)).default(100),
    }),
    success: { status: 200, body: z.object({ items: z.array(ExchangeItem), next: z.string().nullable() }) },
    errors: ['exchange_not_found', 'case_not_found', 'case_busy'],
  },
  watchExchange: {
    method: 'GET',
    path: '/v1/exchanges/{jobId}/progress',
    summary: 'Follow an exchange as a stream of events',
    description:
      'Server-sent events: `progress` whenever something has changed, `end` with the last of it. Each holds the whole exchange, so a client that reconnects has missed nothing. A comment every 15 seconds keeps the connection.',
    tag: 'exchanges',
    permission: 'case.read',
    params: jobParams,
    success: { status: 200, contentType: 'text/event-stream', stream: true },
    errors: ['exchange_not_found'],
  },
  cancelExchange: {
    method: 'POST',
    path: '/v1/exchanges/{jobId}/cancel',
    summary: 'Cancel an exchange',
    description:
      'Intake stops, what runs is waited for, and what was made is removed. Records on which others have come to depend stay and are listed.',
    tag: 'exchanges',
    permission: 'case.manage',
    params: jobParams,
    success: { status: 202, body: Exchange },
    errors: ['exchange_not_found', 'exchange_state_conflict'],
  },
  retryExchange: {
    method: 'POST',
    path: '/v1/exchanges/{jobId}/retry',
    summary: 'Process the failed items of an exchange again',
    tag: 'exchanges',
    permission: 'case.manage',
    params: jobParams,
    body: z.strictObject({ failed: z.literal(true).default(true) }),
    success: { status: 202, body: z.object({ items: count, exchange: Exchange }) },
    errors: ['exchange_not_found', 'exchange_state_conflict', 'case_not_found', 'case_busy', 'case_archived'],
  },
  rollbackExchange: {
    method: 'POST',
    path: '/v1/exchanges/{jobId}/rollback',
    summary: 'Remove from the destination what a finished exchange brought',
    description: 'What was changed there since is kept and listed.',
    tag: 'exchanges',
    permission: 'case.manage',
    params: jobParams,
    success: { status: 202, body: Exchange },
    errors: ['exchange_not_found', 'exchange_state_conflict'],
  },
} as const satisfies OperationMap;
