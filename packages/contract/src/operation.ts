/**
 * An operation is declared once; its route, its OpenAPI entry, its client method and its permission check come from here.
 */
import type { z } from 'zod';
import type { Actor, Permission } from './actor.ts';
import type { ErrorCode } from './errors.ts';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What success looks like: a JSON body of a schema, plain text, or nothing. */
export type Success =
  | { readonly status: 200 | 201 | 202; readonly body: z.ZodType }
  | { readonly status: 200; readonly contentType: string }
  | { readonly status: 202 | 204 };

export interface Operation {
  /** `/v1/cases/{caseId}/archive`: path parameters in braces, each a member of `params`. */
  readonly method: HttpMethod;
  readonly path: `/${string}`;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  /** Required: an operation without one is refused when the server starts. */
  readonly permission: Permission;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly success: Success;
  /** Codes that this operation answers beyond those that every operation can. */
  readonly errors: readonly ErrorCode[];
}

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined;
type Sent<S> = S extends z.ZodType ? z.input<S> : undefined;

/** What a handler receives: validated input, who asks, and a signal that aborts when the client goes or time runs out. */
export interface OperationRequest<O extends Operation> {
  readonly params: Parsed<O['params']>;
  readonly query: Parsed<O['query']>;
  readonly body: Parsed<O['body']>;
  readonly actor: Actor;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

/** What a handler returns: the value of the success schema, text for a `contentType`, or nothing. */
export type OperationResult<O extends Operation> = O['success'] extends { readonly body: infer B extends z.ZodType }
  ? z.input<B>
  : O['success'] extends { readonly contentType: string }
    ? string
    : void;

/** What a client gets back. */
export type OperationResponse<O extends Operation> = O['success'] extends { readonly body: infer B extends z.ZodType }
  ? z.output<B>
  : O['success'] extends { readonly contentType: string }
    ? string
    : void;

/** What a client sends: only the parts that the operation declares. */
export type OperationInput<O extends Operation> = (O['params'] extends z.ZodType
  ? { readonly params: Sent<O['params']> }
  : unknown) &
  (O['query'] extends z.ZodType ? { readonly query?: Sent<O['query']> } : unknown) &
  (O['body'] extends z.ZodType ? { readonly body: Sent<O['body']> } : unknown);

export type OperationHandler<O extends Operation> = (request: OperationRequest<O>) => Promise<OperationResult<O>>;
