/** Queues, dead letters, events, workflows and circuit breakers, for those who run the system. */
import { z } from 'zod';
import { eventTypes } from '../events/catalogue.ts';
import { CaseId, JobId } from '../ids.ts';
import type { OperationMap } from '../operation.ts';
import { wireInteger } from './parameters.ts';

const count = z.number().int().nonnegative();

export const Queue = z
  .object({
    name: z.string(),
    address: z.string().describe('The transport’s own address.'),
    visibilityTimeoutMs: z.number().int(),
    maxReceiveCount: z.number().int(),
    fewerReceivesBecause: z.string().nullable(),
    visible: count,
    inFlight: count,
    delayed: count,
    oldestVisibleMs: z
      .number()
      .nullable()
      .describe('Age of the oldest visible message; null when there is none, or it is not known.'),
    deadLetters: count,
  })
  .meta({ id: 'Queue' });
export type Queue = z.infer<typeof Queue>;

export const DeadLetterSummary = z
  .object({
    deadLetterId: z.string(),
    queue: z.string(),
    messageId: z.string(),
    caseId: z.number().int().nullable(),
    diedAt: z.iso.datetime(),
    sentAt: z.iso.datetime(),
    receiveCount: count,
    code: z.string(),
    reason: z.string(),
  })
  .meta({ id: 'DeadLetterSummary' });
export type DeadLetterSummary = z.infer<typeof DeadLetterSummary>;

export const DeadLetter = DeadLetterSummary.extend({
  body: z.string().describe('The payload as it was sent.'),
  attributes: z.record(z.string(), z.string()),
  history: z
    .array(
      z.object({
        attempt: count,
        at: z.string(),
        worker: z.string(),
        outcome: z.string(),
        code: z.string(),
        error: z.string(),
      }),
    )
    .describe('Every attempt that failed, oldest first.'),
}).meta({ id: 'DeadLetter' });
export type DeadLetter = z.infer<typeof DeadLetter>;

export const WorkflowStatus = z.enum(['running', 'compensating', 'succeeded', 'failed', 'cancelled', 'stuck']);

export const Workflow = z
  .object({
    workflowId: z.uuid(),
    name: z.string(),
    version: z.number().int(),
    caseId: z.number().int().nullable(),
    state: WorkflowStatus,
    step: z.number().int().describe('Index of the step that is next to run or to undo.'),
    attempt: count,
    cancelRequested: z.boolean(),
    worker: z.string().nullable(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    results: z.record(z.string(), z.unknown()),
    errors: z.array(
      z.object({
        step: z.string(),
        phase: z.string(),
        attempt: count,
        at: z.string(),
        worker: z.string(),
        code: z.string(),
        error: z.string(),
      }),
    ),
  })
  .meta({ id: 'Workflow' });
export type Workflow = z.infer<typeof Workflow>;

const LoggedEvent = z.object({
  sequence: z.number().int(),
  topic: z.string(),
  publishedAt: z.iso.datetime(),
  event: z.record(z.string(), z.unknown()).describe('An event of the catalogue; see docs/events.md.'),
});

export const Breaker = z
  .object({
    name: z.string(),
    worker: z.string(),
    state: z.enum(['closed', 'open', 'half_open']),
    consecutiveFailures: count,
    changedAt: z.iso.datetime(),
  })
  .meta({ id: 'Breaker' });
export type Breaker = z.infer<typeof Breaker>;

const queueParams = z.strictObject({ queue: z.string().min(1).max(80) });
const deadLetterParams = z.strictObject({
  deadLetterId: z.string().regex(/^\d{1,18}$/, 'A dead letter is named by a number.'),
});
const workflowParams = z.strictObject({ workflowId: z.uuid() });
const limit = wireInteger(z.number().int().min(1).max(500)).default(100);

/** Which dead letters are meant. All members must hold. */
export const DeadLetterFilter = z.strictObject({
  queue: z.string().min(1).max(80).optional(),
  caseId: wireInteger(CaseId).optional(),
  code: z.string().min(1).max(100).optional(),
  diedBefore: z.iso.datetime().optional(),
  diedAfter: z.iso.datetime().optional(),
});
export type DeadLetterFilter = z.infer<typeof DeadLetterFilter>;

/** For what changes many at once: ids, a filter, or an explicit word for all. */
const selection = {
  ids: z
    .array(z.string().regex(/^\d{1,18}$/))
    .min(1)
    .max(10_000)
    .optional(),
  filter: DeadLetterFilter.refine(
    (filter) => Object.values(filter).some((value) => value !== undefined),
    'An empty filter means all; say `all` instead.',
  ).optional(),
  all: z.literal(true).optional(),
};
const oneSelection = [
  ({ ids, filter, all }: { readonly ids?: unknown; readonly filter?: unknown; readonly all?: unknown }): boolean =>
    [ids, filter, all].filter((given) => given !== undefined).length === 1,
  'Give exactly one of `ids`, `filter` and `all`.',
] as const;

export const messagingOperations = {
  listQueues: {
    method: 'GET',
    path: '/v1/queues',
    summary: 'List queues with their depths',
    tag: 'messaging',
    permission: 'system.read',
    success: { status: 200, body: z.object({ queues: z.array(Queue) }) },
    errors: ['queue_transport_unavailable'],
  },
  getQueue: {
    method: 'GET',
    path: '/v1/queues/{queue}',
    summary: 'Get a queue with its depth',
    tag: 'messaging',
    permission: 'system.read',
    params: queueParams,
    success: { status: 200, body: Queue },
    errors: ['queue_not_found', 'queue_transport_unavailable'],
  },
  purgeQueue: {
    method: 'POST',
    path: '/v1/queues/{queue}/purge',
    summary: 'Delete all messages of a queue',
    description:
      'What is in flight is deleted too: its handlers finish, and their jobs may wait for what will not come.',
    tag: 'messaging',
    permission: 'system.manage',
    params: queueParams,
    success: { status: 204 },
    errors: ['queue_not_found', 'queue_transport_unavailable'],
  },
  listDeadLetters: {
    method: 'GET',
    path: '/v1/dead-letters',
    summary: 'List dead letters, oldest first',
    tag: 'messaging',
    permission: 'system.read',
    query: DeadLetterFilter.extend({
      after: z
        .string()
        .regex(/^\d{1,18}$/)
        .optional(),
      limit,
    }),
    success: {
      status: 200,
      body: z.object({ deadLetters: z.array(DeadLetterSummary), total: count, next: z.string().nullable() }),
    },
    errors: [],
  },
  getDeadLetter: {
    method: 'GET',
    path: '/v1/dead-letters/{deadLetterId}',
    summary: 'Get a dead letter with its payload and history',
    tag: 'messaging',
    permission: 'system.manage',
    params: deadLetterParams,
    success: { status: 200, body: DeadLetter },
    errors: ['dead_letter_not_found'],
  },
  redriveDeadLetters: {
    method: 'POST',
    path: '/v1/dead-letters/redrive',
    summary: 'Put dead letters back into their queues',
    description:
      'Answers when all are back, or when 30 seconds have passed: then `remaining` says how many are left, and the request can be repeated.',
    tag: 'messaging',
    permission: 'system.manage',
    body: z
      .strictObject({ ...selection, perSecond: z.number().int().min(1).max(10_000).default(100) })
      .refine(...oneSelection),
    success: { status: 200, body: z.object({ redriven: count, remaining: count }) },
    errors: ['queue_not_found', 'dead_letter_not_found', 'queue_transport_unavailable'],
  },
  purgeDeadLetters: {
    method: 'POST',
    path: '/v1/dead-letters/purge',
    summary: 'Delete dead letters for good',
    tag: 'messaging',
    permission: 'system.manage',
    body: z.strictObject(selection).refine(...oneSelection),
    success: { status: 200, body: z.object({ purged: count }) },
    errors: ['dead_letter_not_found'],
  },
  readEvents: {
    method: 'GET',
    path: '/v1/events',
    summary: 'Read published events, oldest first',
    description:
      'Without `after`, from now on. With `waitSeconds` the answer comes when there are events, or when the time has passed.',
    tag: 'messaging',
    permission: 'system.read',
    query: z.strictObject({
      after: wireInteger(z.number().int().nonnegative()).optional(),
      limit,
      waitSeconds: wireInteger(z.number().int().min(0).max(25)).default(0),
      type: z.enum(eventTypes).optional().describe('See docs/events.md.'),
      caseId: wireInteger(CaseId).optional(),
      jobId: JobId.optional(),
    }),
    success: {
      status: 200,
      body: z.object({ events: z.array(LoggedEvent), next: z.number().int().describe('Pass it as `after`.') }),
    },
    errors: [],
  },
  listWorkflows: {
    method: 'GET',
    path: '/v1/workflows',
    summary: 'List workflows, newest first',
    tag: 'messaging',
    permission: 'system.read',
    query: z.strictObject({
      state: WorkflowStatus.optional(),
      name: z.string().optional(),
      before: z.uuid().optional(),
      limit,
    }),
    success: { status: 200, body: z.object({ workflows: z.array(Workflow), next: z.uuid().nullable() }) },
    errors: ['workflow_not_found'],
  },
  getWorkflow: {
    method: 'GET',
    path: '/v1/workflows/{workflowId}',
    summary: 'Get a workflow with its results and errors',
    tag: 'messaging',
    permission: 'system.read',
    params: workflowParams,
    success: { status: 200, body: Workflow },
    errors: ['workflow_not_found'],
  },
  cancelWorkflow: {
    method: 'POST',
    path: '/v1/workflows/{workflowId}/cancel',
    summary: 'Cancel a workflow',
    description: 'What it has done is undone, last first. Cancelling a cancelled workflow changes nothing.',
    tag: 'messaging',
    permission: 'system.manage',
    params: workflowParams,
    success: { status: 202, body: Workflow },
    errors: ['workflow_not_found', 'workflow_conflict'],
  },
  resumeWorkflow: {
    method: 'POST',
    path: '/v1/workflows/{workflowId}/resume',
    summary: 'Go on with a workflow that is stuck, or that nobody drives',
    tag: 'messaging',
    permission: 'system.manage',
    params: workflowParams,
    success: { status: 202, body: Workflow },
    errors: ['workflow_not_found', 'workflow_conflict'],
  },
  listBreakers: {
    method: 'GET',
    path: '/v1/breakers',
    summary: 'List circuit breakers by engine and process',
    tag: 'messaging',
    permission: 'system.read',
    success: { status: 200, body: z.object({ breakers: z.array(Breaker) }) },
    errors: [],
  },
} as const satisfies OperationMap;
