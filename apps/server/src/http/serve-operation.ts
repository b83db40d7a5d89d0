/** One operation: validated input to its handler, and what the handler returns to an answer. */
import { CaseboundError, successKind } from '@casebound/contract';
import type { Actor, FileAnswer, Operation, OperationHandler } from '@casebound/contract';
import type { z } from 'zod';
import { fileAnswer } from './file-answer.ts';
import { validateInput } from './validate-input.ts';
import type { RawInput } from './validate-input.ts';

export interface Answer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: string | AsyncIterable<string | Uint8Array> | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Call {
  readonly name: string;
  readonly operation: Operation;
  readonly handler: OperationHandler<Operation>;
  readonly input: RawInput;
  readonly actor: Actor;
  readonly requestId: string;
  /** As the client sent it. */
  readonly idempotencyKey: unknown;
  /** As the client sent it. */
  readonly range: unknown;
  readonly signal: AbortSignal;
}

/** Only what the schema names leaves the server; a result that does not fit it is a defect, not an answer. */
const encodeBody = (name: string, schema: z.ZodType, result: unknown): string => {
  const parsed = schema.safeParse(result);
  if (parsed.success) return JSON.stringify(parsed.data);
  throw new CaseboundError('internal', `The result of ${name} is not what the contract says.`, { cause: parsed.error });
};

const isStream = (value: unknown): value is AsyncIterable<string> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

const encodeAnswer = (name: string, operation: Operation, result: unknown): Answer => {
  const answer = successKind(operation.success);
  const { status } = answer.success;
  switch (answer.kind) {
    case 'json':
      return {
        status,
        contentType: 'application/json; charset=utf-8',
        body: encodeBody(name, answer.success.body, result),
      };
    case 'text':
      if (answer.success.stream === true ? !isStream(result) : typeof result !== 'string')
        throw new CaseboundError('internal', `The result of ${name} is not text.`);
      // One of the two, as was looked at.
      return { status, contentType: answer.success.contentType, body: result as string | AsyncIterable<string> };
    case 'binary':
      if (!isFileAnswer(result)) throw new CaseboundError('internal', `The result of ${name} is not a file.`);
      return fileAnswer(result);
    case 'empty':
      return { status, contentType: undefined, body: undefined };
  }
};

const isFileAnswer = (value: unknown): value is FileAnswer =>
  typeof value === 'object' && value !== null && 'fileName' in value && 'body' in value;

const readIdempotencyKey = (given: unknown): string | undefined => {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^[\x21-\x7e]{1,200}$/.test(given)) return given;
  throw new CaseboundError(
    'validation_failed',
    'The header Idempotency-Key must be 1 to 200 printable ASCII characters without blanks.',
  );
};

export const serveOperation = async (call: Call): Promise<Answer> => {
  const valid = validateInput(call.operation, call.input);
  const { actor, requestId, signal } = call;
  const idempotencyKey = call.operation.idempotencyKey === true ? readIdempotencyKey(call.idempotencyKey) : undefined;
  // Each part was parsed by the operation's own schema, which is where its type comes from.
  const request = {
    ...valid,
    actor,
    requestId,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...('binary' in call.operation.success && typeof call.range === 'string' ? { range: call.range } : {}),
    signal,
  } as Parameters<OperationHandler<Operation>>[0];
  return encodeAnswer(call.name, call.operation, await call.handler(request));
};
