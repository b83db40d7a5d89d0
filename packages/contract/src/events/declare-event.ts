/** How an event is declared. One declaration is the source of its schema, its documentation and the handlers' types. */
import { z } from 'zod';

/** Why something ended with status ERROR; the detail of every event of that status. */
export const ErrorDetail = z
  .object({
    code: z.string().min(1).max(100).describe('An error code of docs/errors.md.'),
    message: z.string().max(2000).describe('What went wrong, for people; no document text.'),
    deadLetterId: z.string().optional().describe('The dead letter that holds the message, where one died.'),
  })
  .meta({ id: 'ErrorDetail' });
export type ErrorDetail = z.infer<typeof ErrorDetail>;

/** Who or what ended something early; the detail of every event of status CANCELLED. */
export const CancelledDetail = z
  .object({ reason: z.string().max(2000).describe('Why, for people.') })
  .meta({ id: 'CancelledDetail' });
export type CancelledDetail = z.infer<typeof CancelledDetail>;

export interface EventDeclaration {
  readonly version: number;
  /** What has happened, as one sentence in the past tense. */
  readonly sentence: string;
  readonly producer: string;
  readonly consumers: readonly string[];
  /**
   * `job`: names job, case and batch in its envelope. `case`: is about a case, whoever changed it. `system`: is about the installation
   * itself and names none.
   */
  readonly scope: 'job' | 'case' | 'system';
  /** Shape of `eventDetail` when the status is SUCCESS. ERROR and CANCELLED have details of their own, the same for all. */
  readonly detail: z.ZodObject;
}

/** A fact about a job. */
export const jobEvent = <const D extends z.ZodObject>(declaration: {
  readonly version: number;
  readonly sentence: string;
  readonly producer: string;
  readonly consumers: readonly string[];
  readonly detail: D;
}) => ({ ...declaration, scope: 'job' as const });

/** A fact about a case: what a person or a job changed in it. */
export const caseEvent = <const D extends z.ZodObject>(declaration: {
  readonly version: number;
  readonly sentence: string;
  readonly producer: string;
  readonly consumers: readonly string[];
  readonly detail: D;
}) => ({ ...declaration, scope: 'case' as const });

/** A fact about the installation. */
export const systemEvent = <const D extends z.ZodObject>(declaration: {
  readonly version: number;
  readonly sentence: string;
  readonly producer: string;
  readonly consumers: readonly string[];
  readonly detail: D;
}) => ({ ...declaration, scope: 'system' as const });

/** Counts and pace of a job; progress events and job views share it. */
export const Progress = z.object({
  done: z.number().int().nonnegative(),
  failed: z.number().int().nonnegative(),
  total: z.number().int().nonnegative().nullable().describe('null while it is not known.'),
  perSecond: z.number().nonnegative(),
  etaSeconds: z.number().nonnegative().nullable().describe('null while it cannot be told.'),
});
export type Progress = z.infer<typeof Progress>;
