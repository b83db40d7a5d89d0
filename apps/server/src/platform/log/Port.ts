/**
 * Structured logs. Only the fields named here reach a log: document text, field values, questions, tokens and secrets have
 * no field to travel in, and what an untyped caller adds is dropped by the adapter. A message is a fixed sentence, never
 * built from values. A new field needs its shape in `field-shapes.ts`.
 */
export interface LogFields {
  readonly caseId?: number;
  readonly batchId?: number;
  readonly jobId?: string;
  readonly documentId?: number;
  readonly exhibitId?: number;
  readonly eventType?: string;
  readonly eventId?: string;
  readonly attempt?: number;
  readonly requestId?: string;
  readonly operation?: string;
  readonly accountId?: string;
  readonly component?: string;
  readonly queue?: string;
  readonly worker?: string;
  readonly errorCode?: string;
  readonly status?: number;
  readonly durationMs?: number;
  readonly count?: number;
  readonly bytes?: number;
  readonly address?: string;
  readonly pid?: number;
  readonly state?: string;
  readonly step?: string;
}

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /** Of `error`, code, class and stack are logged; a driver's message may hold values, so its text is not. */
  error(message: string, fields?: LogFields, error?: unknown): void;
  with(fields: LogFields): Log;
}
