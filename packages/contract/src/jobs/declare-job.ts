/**
 * How a job is declared: what its messages hold and how long a handler may take. Callers load the declaration; only workers
 * load the handler.
 */
import { z } from 'zod';
import type { EventType } from '../events/catalogue.ts';
import { TraceParent } from '../events/envelope.ts';
import { BatchId, CaseId, DocumentId, ExhibitId, JobId } from '../ids.ts';

/** What every message of a job says about itself, whatever it carries. */
export const JobContext = z.object({
  jobId: JobId,
  caseId: CaseId,
  batchId: BatchId,
  documentId: DocumentId.optional(),
  exhibitIds: z.array(ExhibitId).optional(),
  traceparent: TraceParent,
});
export type JobContext = z.infer<typeof JobContext>;

export interface JobDeclaration<P extends z.ZodType = z.ZodType> {
  /** Unique; also what metrics and dead letters call it. */
  readonly name: string;
  /** What the handler does with one message, as a sentence. */
  readonly sentence: string;
  readonly payload: P;
  /** A handler that runs longer is aborted and its message released. The visibility timeout of its queue follows from it. */
  readonly handlerTimeoutSeconds: number;
  /** How long a receive may gather messages before it hands them over. */
  readonly batchWindowSeconds: number;
  /** At least 5; fewer only with `fewerReceivesBecause`. */
  readonly maxReceiveCount: number;
  readonly fewerReceivesBecause?: string;
  /** Stated with status ERROR when a message of this job dies, in place of MESSAGE_DEAD_LETTERED. */
  readonly failureEvent?: EventType;
}

/** A job message as it travels. */
export interface JobMessage<P> {
  readonly job: string;
  readonly context: JobContext;
  readonly payload: P;
}

/** Declares a job with the defaults of the product: 15 minutes, 60 seconds, 5 receives. */
export const declareJob = <const N extends string, P extends z.ZodType>(declaration: {
  readonly name: N;
  readonly sentence: string;
  readonly payload: P;
  readonly handlerTimeoutSeconds?: number;
  readonly batchWindowSeconds?: number;
  readonly maxReceiveCount?: number;
  readonly fewerReceivesBecause?: string;
  readonly failureEvent?: EventType;
}) => ({
  handlerTimeoutSeconds: 900,
  batchWindowSeconds: 60,
  maxReceiveCount: 5,
  ...declaration,
});

/** Schema of a job's message: its name, its context, its payload. */
export const jobMessageSchema = <P extends z.ZodType>(declaration: JobDeclaration<P>) =>
  z.strictObject({ job: z.literal(declaration.name), context: JobContext, payload: declaration.payload });
