/** Thin: from the contract's operations to the use cases. */
import type {
  DeadLetterFilter as WireFilter,
  DeadLetterSummary,
  HandlersOf,
  messagingOperations,
  Workflow,
} from '@casebound/contract';
import type { DeadLetterFilter, DeadLetterSummary as Letter, WorkflowRow } from '@casebound/messaging';
import type { OperationsDependencies } from './dependencies.ts';
import { getQueue, listQueues } from './look-at-queues.ts';
import { readEvents } from './read-events.ts';
import { redriveDeadLetters } from './redrive-dead-letters.ts';

export type OperationsHandlers = HandlersOf<typeof messagingOperations>;

const caseOf = (fairnessKey: number): number | null => (fairnessKey === 0 ? null : fairnessKey);

const toFilter = (filter: WireFilter): DeadLetterFilter => ({
  ...(filter.queue === undefined ? {} : { queue: filter.queue }),
  ...(filter.caseId === undefined ? {} : { fairnessKey: filter.caseId }),
  ...(filter.code === undefined ? {} : { code: filter.code }),
  ...(filter.diedBefore === undefined ? {} : { diedBefore: new Date(filter.diedBefore) }),
  ...(filter.diedAfter === undefined ? {} : { diedAfter: new Date(filter.diedAfter) }),
});

const selected = ({
  ids,
  filter,
}: {
  readonly ids?: readonly string[] | undefined;
  readonly filter?: WireFilter | undefined;
}): DeadLetterFilter => ({
  ...(ids === undefined ? {} : { ids }),
  ...(filter === undefined ? {} : toFilter(filter)),
});

const summaryOf = ({
  deadLetterId,
  queue,
  messageId,
  fairnessKey,
  diedAt,
  sentAt,
  receiveCount,
  code,
  reason,
}: Letter): DeadLetterSummary => ({
  deadLetterId,
  queue,
  messageId,
  caseId: caseOf(fairnessKey),
  diedAt: diedAt.toISOString(),
  sentAt: sentAt.toISOString(),
  receiveCount,
  code,
  reason,
});

const workflowOf = (row: WorkflowRow): Workflow => ({
  workflowId: row.workflowId,
  name: row.name,
  version: row.version,
  caseId: caseOf(row.fairnessKey),
  state: row.state,
  step: row.step,
  attempt: row.attempt,
  cancelRequested: row.cancelRequested,
  worker: row.worker,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
  results: { ...row.results },
  errors: [...row.errors],
});

export function createOperationsHandlers(dependencies: OperationsDependencies): OperationsHandlers {
  const { queues, deadLetters, workflows, breakers } = dependencies;
  return {
    listQueues: async () => ({ queues: await listQueues(dependencies) }),
    getQueue: async ({ params }) => getQueue(dependencies, params.queue),
    purgeQueue: async ({ params }) => queues.purge(params.queue),
    listDeadLetters: async ({ query: { after, limit, ...filter } }) => {
      const [page, total] = await Promise.all([
        deadLetters.list(toFilter(filter), { limit, ...(after === undefined ? {} : { after }) }),
        deadLetters.count(toFilter(filter)),
      ]);
      return {
        deadLetters: page.map(summaryOf),
        total,
        next: page.length === limit ? (page.at(-1)?.deadLetterId ?? null) : null,
      };
    },
    getDeadLetter: async ({ params }) => {
      const letter = await deadLetters.show(params.deadLetterId);
      return {
        ...summaryOf(letter),
        body: letter.body,
        attributes: { ...letter.attributes },
        history: [...letter.history],
      };
    },
    redriveDeadLetters: async ({ body, signal }) =>
      redriveDeadLetters(dependencies, selected(body), body.perSecond, signal),
    purgeDeadLetters: async ({ body }) => ({ purged: await deadLetters.purge(selected(body)) }),
    readEvents: async ({ query: { after, waitSeconds, limit, type, caseId, jobId }, signal }) => {
      const filter = {
        limit,
        ...(type === undefined ? {} : { type }),
        ...(caseId === undefined ? {} : { caseId }),
        ...(jobId === undefined ? {} : { jobId }),
      };
      const { events, next } = await readEvents(dependencies, filter, after, waitSeconds, signal);
      return {
        events: events.map(({ sequence, topic, publishedAt, event }) => ({
          sequence,
          topic,
          publishedAt: publishedAt.toISOString(),
          event: { ...event },
        })),
        next,
      };
    },
    listWorkflows: async ({ query: { state, name, before, limit } }) => {
      const page = await workflows.list({
        limit,
        ...(state === undefined ? {} : { state }),
        ...(name === undefined ? {} : { name }),
        ...(before === undefined ? {} : { before }),
      });
      return {
        workflows: page.map(workflowOf),
        next: page.length === limit ? (page.at(-1)?.workflowId ?? null) : null,
      };
    },
    getWorkflow: async ({ params }) => workflowOf(await workflows.show(params.workflowId)),
    cancelWorkflow: async ({ params }) => workflowOf(await workflows.cancel(params.workflowId)),
    resumeWorkflow: async ({ params }) => workflowOf(await workflows.resume(params.workflowId)),
    listBreakers: async () => ({
      breakers: (await breakers.list()).map((report) => ({ ...report, changedAt: report.changedAt.toISOString() })),
    }),
  };
}
