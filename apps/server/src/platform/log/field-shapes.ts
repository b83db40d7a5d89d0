/**
 * The allow-list of the log at run time: which fields there are, and what a value of each looks like.
 *
 * A field that is not here, or a value that does not have its field's shape, is not written. Types stop a typed caller;
 * this stops a value that came in from outside in a field of the right name: a password within an address, a sentence
 * where an identifier belongs.
 */
import type { LogFields } from './Port.ts';

type Shape = (value: unknown) => string | number | undefined;

/** What looks like an account's token is not written under any name. */
const token = /cb_[A-Za-z0-9_-]{20}/;

const matching =
  (pattern: RegExp): Shape =>
  (value) =>
    typeof value === 'string' && pattern.test(value) && !token.test(value) ? value : undefined;

const number: Shape = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);

/** Names that code gives: operations, queues, states, SQLSTATEs, ids. No blanks, so no sentences. */
const identifier = matching(/^[\w.:/-]{1,128}$/);
/** Host and port, a URL's origin and path, or a file path: without credentials and query, which need `@` and `?`. */
const address = matching(/^[\w[\].:/-]{1,255}$/);

const shapes: { readonly [F in keyof Required<LogFields>]: Shape } = {
  caseId: number,
  batchId: number,
  jobId: identifier,
  documentId: number,
  exhibitId: number,
  eventType: identifier,
  eventId: identifier,
  attempt: number,
  requestId: identifier,
  operation: identifier,
  accountId: identifier,
  component: identifier,
  queue: identifier,
  worker: identifier,
  errorCode: identifier,
  status: number,
  durationMs: number,
  count: number,
  bytes: number,
  address,
  pid: number,
  state: identifier,
  step: identifier,
};

const shapeOf: ReadonlyMap<string, Shape> = new Map(Object.entries(shapes));

export interface AllowedFields {
  readonly [field: string]: string | number;
}

/** The fields that may be written. `droppedFields` counts those that may not; their names might be values themselves. */
export const allowFields = (fields: LogFields): AllowedFields => {
  const allowed: Record<string, string | number> = {};
  let dropped = 0;
  for (const [field, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const written = shapeOf.get(field)?.(value);
    if (written === undefined) dropped += 1;
    else allowed[field] = written;
  }
  if (dropped > 0) allowed['droppedFields'] = dropped;
  return allowed;
};
