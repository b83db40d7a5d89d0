/** OpenAPI 3.1 of a registry of operations. Pure: the same registry gives the same document, byte for byte. */
import type { z } from 'zod';
import { errorTable } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { sharedErrorCodes, successKind } from '../operation.ts';
import type { Operation, OperationMap } from '../operation.ts';
import { Problem, problemContentType, toProblem } from '../problem.ts';
import { CaseboundError } from '../casebound-error.ts';
import { createSchemaCollector, isRequired } from './json-schema.ts';
import type { SchemaCollector } from './json-schema.ts';

export interface ApiInfo {
  readonly title: string;
  readonly version: string;
  readonly description: string;
}

/** A document of the OpenAPI 3.1 specification. */
export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly info: ApiInfo;
  readonly paths: Record<string, Record<string, unknown>>;
  readonly components: Record<string, Record<string, unknown>>;
  readonly [member: string]: unknown;
}

const requestIdHeader = { 'X-Request-Id': { $ref: '#/components/headers/X-Request-Id' } };
const retryableHeader = { 'Retry-After': { $ref: '#/components/headers/Retry-After' } };

const byStatus = (codes: readonly ErrorCode[]): Map<number, ErrorCode[]> => {
  const groups = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = errorTable[code];
    groups.set(status, [...(groups.get(status) ?? []), code]);
  }
  return groups;
};

/** The answer of one status: what each of its codes means, with an example of each. */
const problemResponse = (codes: readonly ErrorCode[]): unknown => ({
  description: codes.map((code) => `\`${code}\`: ${errorTable[code].title} ${errorTable[code].remedy}`).join('\n\n'),
  headers: codes.some((code) => errorTable[code].status === 503)
    ? { ...requestIdHeader, ...retryableHeader }
    : requestIdHeader,
  content: {
    [problemContentType]: {
      schema: { $ref: '#/components/schemas/Problem' },
      examples: Object.fromEntries(
        codes.map((code) => [
          code,
          {
            value: toProblem(new CaseboundError(code, errorTable[code].title), '01981c5e-9c4e-7d7b-8a56-1f1f4a3c2b10'),
          },
        ]),
      ),
    },
  },
});

/** Whether any operation may answer the shared code, or only one with a body or with a permission. */
const sharedCodesOf = (operation: Operation): ErrorCode[] => {
  const ofBody: readonly ErrorCode[] = [
    'malformed_body',
    'body_too_large',
    'unsupported_media_type',
    'request_timeout',
  ];
  const ofAccounts: readonly ErrorCode[] = ['unauthenticated', 'forbidden'];
  const hasInput = operation.params !== undefined || operation.query !== undefined || operation.body !== undefined;
  return sharedErrorCodes.filter((code) => {
    if (ofBody.includes(code)) return operation.body !== undefined;
    if (ofAccounts.includes(code)) return operation.permission !== 'public';
    if (code === 'validation_failed') return hasInput;
    return true;
  });
};

/** Answers that several operations share are stated once, under the names of their codes. */
const problemResponses = (operation: Operation, shared: Map<string, unknown>): Record<string, unknown> => {
  const ofEvery: readonly ErrorCode[] = sharedErrorCodes;
  const response = (codes: readonly ErrorCode[]): unknown => {
    if (!codes.every((code) => ofEvery.includes(code))) return problemResponse(codes);
    const name = codes.join('.');
    if (!shared.has(name)) shared.set(name, problemResponse(codes));
    return { $ref: `#/components/responses/${name}` };
  };
  return Object.fromEntries(
    [...byStatus([...operation.errors, ...sharedCodesOf(operation)])]
      .toSorted(([a], [b]) => a - b)
      .map(([status, codes]) => [String(status), response(codes)]),
  );
};

const parameters = (place: 'path' | 'query', schema: z.ZodObject | undefined, schemas: SchemaCollector): unknown[] =>
  Object.entries(schema?.shape ?? {}).map(([name, member]) => {
    const json = schemas.add(member, 'output');
    const { description, ...rest } = { description: undefined, ...(typeof json === 'object' ? json : {}) };
    return {
      name,
      in: place,
      required: place === 'path' || isRequired(member),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });

const successResponse = (operation: Operation, schemas: SchemaCollector): unknown => {
  const answer = successKind(operation.success);
  switch (answer.kind) {
    case 'json':
      return {
        description: 'Success.',
        headers: requestIdHeader,
        content: { 'application/json': { schema: schemas.add(answer.success.body, 'output') } },
      };
    case 'text':
      return {
        description: 'Success.',
        headers: requestIdHeader,
        content: { [answer.success.contentType]: { schema: { type: 'string' } } },
      };
    case 'binary':
      return {
        description: 'The file; 206 with a part of it where `Range` asks for one.',
        headers: requestIdHeader,
        content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
      };
    case 'empty':
      return { description: 'Success, without a body.', headers: requestIdHeader };
  }
};

const describeOperation = (
  name: string,
  operation: Operation,
  schemas: SchemaCollector,
  shared: Map<string, unknown>,
): unknown => {
  const input = [
    ...parameters('path', operation.params, schemas),
    ...parameters('query', operation.query, schemas),
    { $ref: '#/components/parameters/X-Request-Id' },
  ];
  return {
    operationId: name,
    summary: operation.summary,
    ...(operation.description === undefined ? {} : { description: operation.description }),
    tags: [operation.tag],
    security: operation.permission === 'public' ? [] : [{ bearer: [] }],
    'x-casebound-permission': operation.permission,
    parameters: input,
    ...(operation.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemas.add(operation.body, 'input') } },
          },
        }),
    responses: {
      [String(operation.success.status)]: successResponse(operation, schemas),
      ...problemResponses(operation, shared),
    },
  };
};

/** The OpenAPI document of the operations, which must have passed `checkRegistry`. */
export const describeOpenApi = (operations: OperationMap, info: ApiInfo): OpenApiDocument => {
  const schemas = createSchemaCollector();
  schemas.add(Problem, 'output');
  for (const { success } of Object.values(operations)) if ('body' in success) schemas.add(success.body, 'output');
  const responses = new Map<string, unknown>();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [name, operation] of Object.entries(operations)) {
    const path = (paths[operation.path] ??= {});
    path[operation.method.toLowerCase()] = describeOperation(name, operation, schemas, responses);
  }
  return {
    openapi: '3.1.1',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info,
    servers: [{ url: '/', description: 'The server that served this document.' }],
    tags: [...new Set(Object.values(operations).map((operation) => operation.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: schemas.components(),
      responses: Object.fromEntries([...responses].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'The token of an account: `Authorization: Bearer cb_...`.',
        },
      },
      headers: {
        'X-Request-Id': {
          description: 'The id of the request: the one that was sent, or a new UUIDv7. Server logs carry it.',
          schema: { type: 'string' },
        },
        'Retry-After': {
          description: 'Seconds until a retry makes sense. Not every answer has it.',
          schema: { type: 'integer', minimum: 0 },
        },
      },
      parameters: {
        'X-Request-Id': {
          name: 'X-Request-Id',
          in: 'header',
          required: false,
          description: 'An id of the caller for this request. One that does not match is replaced.',
          schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,128}$' },
        },
      },
    },
  };
};
