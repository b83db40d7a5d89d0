/**
 * An operation is declared once; its route, its OpenAPI entry, its client method and its permission check come from here.
 *
 * `registry-check.ts` holds what the types cannot: a server refuses to start on a registry that fails it.
 */
import type { z } from 'zod';
import type { Actor, Permission } from './actor.ts';
import type { ErrorCode } from './errors.ts';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A JSON body of a schema. Members that the schema does not name are not sent. */
export interface JsonSuccess {
  readonly status: 200 | 201 | 202;
  readonly body: z.ZodType;
}

/** A body of text. */
export interface TextSuccess {
  readonly status: 200;
  readonly contentType: string;
  /** The text comes in parts, as they are known, for as long as the client stays. */
  readonly stream?: true;
}

/** A file, whole or a part of it (RFC 9110, 14): 200, or 206 with `Content-Range` when the client sent a `Range` that can be met. */
export interface BinarySuccess {
  readonly status: 200;
  readonly binary: true;
}

/** A file as a handler returns it. */
export interface FileAnswer {
  /** Sent as what is in the file; browsers are told to keep, not to show it. */
  readonly contentType: string;
  /** Any text; it is made safe for the header. */
  readonly fileName: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** SHA-256, hexadecimal; serves as the entity tag. */
  readonly sha256: string;
  /** The part that `body` delivers: bytes `start` up to, not including, `end`. Left out: all. */
  readonly part?: { readonly start: number; readonly end: number };
  readonly body: AsyncIterable<Uint8Array>;
}

/** A file, or a part of it, as a client gets it. */
export interface DownloadedFile {
  readonly contentType: string;
  readonly disposition: string | null;
  /** Bytes of the whole file, where a part was asked for. */
  readonly size: number;
  readonly bytes: Uint8Array;
}

/** No body. */
export interface EmptySuccess {
  readonly status: 202 | 204;
}

/** What success looks like. */
export type Success = JsonSuccess | TextSuccess | BinarySuccess | EmptySuccess;

/** The kind of a success, to switch over: a new kind is a compile error wherever one is not handled. */
export type SuccessKind =
  | { readonly kind: 'json'; readonly success: JsonSuccess }
  | { readonly kind: 'text'; readonly success: TextSuccess }
  | { readonly kind: 'binary'; readonly success: BinarySuccess }
  | { readonly kind: 'empty'; readonly success: EmptySuccess };

export const successKind = (success: Success): SuccessKind => {
  if ('body' in success) return { kind: 'json', success };
  if ('contentType' in success) return { kind: 'text', success };
  if ('binary' in success) return { kind: 'binary', success };
  return { kind: 'empty', success };
};

export interface Operation {
  /** `/v1/cases/{caseId}/archive`: path parameters in braces, each a member of `params`. */
  readonly method: HttpMethod;
  readonly path: `/${string}`;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  /** Required: an operation without one is refused when the server starts. */
  readonly permission: Permission;
  /** `z.strictObject`, as all input: a member that is not known is refused, never dropped in silence. */
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Takes the header `Idempotency-Key`: 1 to 200 printable ASCII characters. */
  readonly idempotencyKey?: true;
  /** Bytes that a body may have, where that is more than `http.bodyLimitBytes`. */
  readonly bodyLimitBytes?: number;
  readonly success: Success;
  /** Codes that this operation answers beyond those that every operation can (`sharedErrorCodes`). */
  readonly errors: readonly ErrorCode[];
}

/** Codes that any operation may answer; an operation does not repeat them. */
export const sharedErrorCodes = [
  'validation_failed',
  'malformed_request',
  'malformed_body',
  'unauthenticated',
  'forbidden',
  'request_timeout',
  'body_too_large',
  'uri_too_long',
  'unsupported_media_type',
  'headers_too_large',
  'internal',
  'operation_timeout',
  'overloaded',
  'shutting_down',
  'database_unreachable',
] as const satisfies readonly ErrorCode[];

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined;

/** What a handler receives: validated input, who asks, and a signal that aborts when the client goes or time runs out. */
export interface OperationRequest<O extends Operation> {
  readonly params: Parsed<O['params']>;
  readonly query: Parsed<O['query']>;
  readonly body: Parsed<O['body']>;
  readonly actor: Actor;
  readonly requestId: string;
  /** Of an operation that takes one, when the client sent it. */
  readonly idempotencyKey?: string;
  /** The header `Range` as the client sent it, of an operation that answers with a file. */
  readonly range?: string;
  readonly signal: AbortSignal;
}

/** What a handler returns: the value of the success schema, text for a `contentType`, or nothing. */
export type OperationResult<O extends Operation> = O['success'] extends { readonly body: infer B extends z.ZodType }
  ? z.input<B>
  : O['success'] extends { readonly stream: true }
    ? AsyncIterable<string>
    : O['success'] extends { readonly contentType: string }
      ? string
      : O['success'] extends { readonly binary: true }
        ? FileAnswer
        : void;

/** What a client gets back. */
export type OperationResponse<O extends Operation> = O['success'] extends { readonly body: infer B extends z.ZodType }
  ? z.output<B>
  : O['success'] extends { readonly contentType: string }
    ? string
    : O['success'] extends { readonly binary: true }
      ? DownloadedFile
      : void;

/** What an object type must accept for all its members to be optional. */
export type NoMembers = Record<string, never>;

/** A part of what a client sends; it may be left out when all its members may. */
type SentPart<Name extends string, S> = S extends z.ZodType
  ? NoMembers extends z.input<S>
    ? { readonly [N in Name]?: z.input<S> }
    : { readonly [N in Name]: z.input<S> }
  : unknown;

/** What a client sends: only the parts that the operation declares. */
export type OperationInput<O extends Operation> = SentPart<'params', O['params']> &
  SentPart<'query', O['query']> &
  SentPart<'body', O['body']>;

export type OperationHandler<O extends Operation> = (request: OperationRequest<O>) => Promise<OperationResult<O>>;

/** Operations by name. */
export type OperationMap = Readonly<Record<string, Operation>>;

/** A handler for each operation of a map: a missing one does not compile. */
export type HandlersOf<M extends OperationMap> = { readonly [N in keyof M]: OperationHandler<M[N]> };
