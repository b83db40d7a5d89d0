/**
 * Branded identifiers. A `CaseId` cannot be passed where a `BatchId` is asked for, although both are numbers at run time.
 * Each id is a zod schema and a type of the same name: parse at the border, trust inside.
 */
import { z } from 'zod';

const positiveInteger = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);

/** A case (tenant). Its records live in the schema `case_{id}`, its objects under `case_{id}/`. */
export const CaseId = positiveInteger.brand<'CaseId'>();
export type CaseId = z.infer<typeof CaseId>;

/** What one import, or one exchange, brought into a case. */
export const BatchId = positiveInteger.brand<'BatchId'>();
export type BatchId = z.infer<typeof BatchId>;

/** The unit a reviewer sees and codes. */
export const ExhibitId = positiveInteger.brand<'ExhibitId'>();
export type ExhibitId = z.infer<typeof ExhibitId>;

/** The source item behind an exhibit. */
export const DocumentId = positiveInteger.brand<'DocumentId'>();
export type DocumentId = z.infer<typeof DocumentId>;

/** One exchange or import. UUIDv7. */
export const JobId = z.uuid().brand<'JobId'>();
export type JobId = z.infer<typeof JobId>;

/** One event. UUIDv7; the key under which consumers remember that they have seen it. */
export const EventId = z.uuid().brand<'EventId'>();
export type EventId = z.infer<typeof EventId>;

/** A person or program that holds an account. */
export const AccountId = z.uuid().brand<'AccountId'>();
export type AccountId = z.infer<typeof AccountId>;
