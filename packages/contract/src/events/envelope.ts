/** The envelope in which every event travels. Events are past-tense facts. */
import { z } from 'zod';
import { BatchId, CaseId, DocumentId, EventId, ExhibitId, JobId } from '../ids.ts';

export const EventStatus = z.enum(['SUCCESS', 'ERROR', 'CANCELLED']);
export type EventStatus = z.infer<typeof EventStatus>;

/** `version-traceid-parentid-flags` of the W3C Trace Context recommendation. */
export const TraceParent = z
  .string()
  .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, 'A W3C traceparent of version 00.');

export const EventEnvelope = z
  .object({
    id: EventId,
    source: z.string().min(1).describe('The component that states the fact, e.g. `import` or `exchange.object-copy`.'),
    jobId: JobId,
    caseId: CaseId,
    batchId: BatchId,
    documentId: DocumentId.optional(),
    exhibitIds: z.array(ExhibitId).optional(),
    eventType: z.string().regex(/^[A-Z][A-Z_]*$/),
    version: z.number().int().positive(),
    status: EventStatus,
    eventDetail: z.record(z.string(), z.unknown()).describe('Shaped by the event type; see the catalogue.'),
    timestamp: z.iso.datetime(),
    traceparent: TraceParent,
  })
  .meta({ id: 'EventEnvelope' });
export type EventEnvelope = z.infer<typeof EventEnvelope>;

/** The envelope of a fact about a case, which no job need have made. */
export const CaseEventEnvelope = EventEnvelope.omit({ jobId: true, batchId: true, documentId: true }).meta({
  id: 'CaseEventEnvelope',
});
export type CaseEventEnvelope = z.infer<typeof CaseEventEnvelope>;

/** The envelope of a fact about the installation itself, which belongs to no job and no case. */
export const SystemEventEnvelope = EventEnvelope.omit({
  jobId: true,
  caseId: true,
  batchId: true,
  documentId: true,
  exhibitIds: true,
}).meta({ id: 'SystemEventEnvelope' });
export type SystemEventEnvelope = z.infer<typeof SystemEventEnvelope>;
