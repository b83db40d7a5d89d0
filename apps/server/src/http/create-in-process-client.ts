/**
 * The client without a network: the same methods, validation, permissions, results and errors, by calling handlers of this
 * process. For commands that run while no server does.
 */
import { successKind } from '@casebound/contract';
import type {
  Actor,
  AnyInput,
  CallOptions,
  ClientOf,
  HandlersOf,
  Operation,
  OperationHandler,
  OperationMap,
} from '@casebound/contract';
import { requirePermission } from './authenticate-request.ts';
import { mapError } from './map-error.ts';
import { chooseRequestId } from './request-id.ts';
import { serveOperation } from './serve-operation.ts';
import type { Answer } from './serve-operation.ts';

const decodeAnswer = (operation: Operation, { body = '' }: Answer): unknown => {
  const success = successKind(operation.success);
  switch (success.kind) {
    case 'json':
      return success.success.body.parse(JSON.parse(body));
    case 'text':
      return body;
    case 'empty':
      return undefined;
  }
};

/** The log is the handlers' own: who calls in process sees the error itself. */
export const createInProcessClient = <M extends OperationMap>(
  operations: M,
  handlers: HandlersOf<M>,
  actor: Actor,
): ClientOf<M> => {
  const methods = Object.entries<Operation>(operations).map(([name, operation]) => [
    name,
    async ({ params, query = {}, body }: AnyInput = {}, options: CallOptions = {}) => {
      try {
        requirePermission(actor, name, operation.permission);
        const answer = await serveOperation({
          name,
          operation,
          // As in the server: the handler of this name takes what this operation's schemas yield.
          handler: handlers[name] as unknown as OperationHandler<Operation>,
          input: { params, query, body },
          actor,
          requestId: chooseRequestId(options.requestId),
          signal: options.signal ?? new AbortController().signal,
        });
        return decodeAnswer(operation, answer);
      } catch (error) {
        throw mapError(error);
      }
    },
  ]);
  // The methods are those of the map by construction, which `Object.fromEntries` cannot say.
  return Object.fromEntries(methods) as ClientOf<M>;
};
