/**
 * The record store over HTTP: `{prefix}/{projectEndpoint}/{resource}[/{id}]`.
 *
 * 1. Bodies are read by the store's strict JSON reader; nothing that a client sends is answered with 5xx.
 * 2. Answers of reads are the database's JSON text, not parsed on the way.
 * 3. Errors are problem documents; their correlation id is the request's id.
 */
import { Readable } from 'node:stream';
import { CaseboundError, type FieldError, problemContentType, toProblem } from '@casebound/contract';
import {
  bulkWrite,
  type BulkRow,
  type Claims,
  deleteDocument,
  getDocument,
  type JsonValue,
  listDocuments,
  matchesWeakly,
  parseJson,
  putDocument,
  type Resource,
  type StoreContext,
  upsertDocument,
  type WriteResult,
} from '@casebound/records';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { parseBulkQuery, parseListQuery, refuseQuery } from './parse-request.ts';
import { type JsonLine, readJsonLines } from './read-json-lines.ts';

export interface RecordsPluginOptions {
  /** The store that a request is about. May throw: `store_unhealthy`, `case_not_found`, ... */
  readonly store: (request: FastifyRequest) => StoreContext | Promise<StoreContext>;
  /** What the caller may reach; null in a store without authorization rules. */
  readonly claims: (request: FastifyRequest) => Claims | null;
  readonly bodyLimitBytes: number;
  /** Errors that are nobody's fault but ours. */
  readonly onInternalError: (error: unknown, requestId: string) => void;
}

interface ResourceParams {
  readonly project: string;
  readonly resource: string;
  readonly id?: string;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

const readBody = (body: Buffer, store: StoreContext): JsonValue => {
  let text: string;
  try {
    text = decoder.decode(body);
  } catch {
    throw new CaseboundError('malformed_body', 'The body is not valid UTF-8.');
  }
  return parseJson(text, store.limits.json);
};

const fastifyCodes: Readonly<Record<string, 'body_too_large' | 'unsupported_media_type'>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
};

/** The error to answer with; `internal` for what has no code. */
const toCasebound = (error: unknown): CaseboundError => {
  if (error instanceof CaseboundError) return error;
  const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown };
  const known = typeof code === 'string' ? fastifyCodes[code] : undefined;
  if (known === 'body_too_large') return new CaseboundError(known, 'The body is larger than this store takes.');
  if (known === 'unsupported_media_type') return new CaseboundError(known, 'The body must be application/json.');
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new CaseboundError('malformed_body', 'The request could not be read.');
  return new CaseboundError('internal', 'The request failed for a reason that lies in the server.', { cause: error });
};

const resourceOf = (store: StoreContext, params: ResourceParams): Resource => {
  const found = store.model.byEndpoint.get(`${params.project}/${params.resource}`.toLowerCase());
  if (found !== undefined) return found;
  throw new CaseboundError(
    'resource_not_found',
    `There is no resource ${params.project.slice(0, 50)}/${params.resource.slice(0, 100)}.`,
  );
};

const header = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(',') : value;

const conditions = (request: FastifyRequest): { ifMatch?: string; ifNoneMatch?: string } => {
  const [ifMatch, ifNoneMatch] = [header(request.headers['if-match']), header(request.headers['if-none-match'])];
  return { ...(ifMatch === undefined ? {} : { ifMatch }), ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }) };
};

/** One line of a bulk body; what is wrong with it is told of its row, and the other rows go on. */
const bulkRow = (store: StoreContext, line: JsonLine): BulkRow => {
  if ('error' in line) return { unreadable: line.error };
  try {
    const row = parseJson(line.text, store.limits.json);
    const named = typeof row === 'object' && row !== null && !Array.isArray(row) ? row : {};
    const { resource: name, document } = named;
    const [project = '', resource = ''] = typeof name === 'string' ? name.split('/') : [];
    if (document === undefined)
      throw new CaseboundError('malformed_body', `Line ${line.number} has no member \`document\`.`);
    return { resource: resourceOf(store, { project, resource }), document };
  } catch (error) {
    if (error instanceof CaseboundError) return { unreadable: error };
    throw error;
  }
};

async function* bulkRows(store: StoreContext, body: AsyncIterable<unknown>, maxLine: number): AsyncGenerator<BulkRow> {
  for await (const line of readJsonLines(body, maxLine)) yield bulkRow(store, line);
}

const maxReportedRows = 1_000;

const serveBulk = async (
  store: StoreContext,
  request: FastifyRequest,
  claims: Claims | null,
  maxLine: number,
): Promise<unknown> => {
  if (!(request.body instanceof Readable))
    throw new CaseboundError('unsupported_media_type', 'A bulk body is lines of JSON, application/x-ndjson.');
  const failures: { row: number; code: string; detail: string; errors: readonly FieldError[] }[] = [];
  const summary = await bulkWrite(store, bulkRows(store, request.body, maxLine), {
    claims,
    allOrNothing: parseBulkQuery(request.raw.url ?? '').allOrNothing,
    onRow: (row) => {
      if (row.outcome !== 'failed' || failures.length >= maxReportedRows) return;
      const { code, message, errors } = row.error;
      failures.push({ row: row.index, code, detail: message, errors: errors.slice(0, 20) });
    },
  });
  return { ...summary, failures };
};

const sendWritten = (reply: FastifyReply, result: WriteResult, location: string): FastifyReply => {
  reply.header('etag', `"${result.etag}"`).header('location', location);
  return reply.code(result.outcome === 'created' ? 201 : 200).send();
};

/** Answers with the problem document of an error. */
export const sendProblem = (
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  options: Pick<RecordsPluginOptions, 'onInternalError'>,
): FastifyReply => {
  const error = toCasebound(thrown);
  // A client that went away in the middle of its body is nobody's failure, and hears no answer.
  const isGone = reply.raw.socket?.destroyed !== false && !request.raw.complete;
  if (error.code === 'internal' && !isGone) options.onInternalError(thrown, request.id);
  if (error.retryAfterSeconds !== undefined || error.status === 503)
    reply.header('retry-after', String(error.retryAfterSeconds ?? 1));
  const body = toProblem(error, request.id, request.raw.url?.split('?', 1)[0]?.slice(0, 1000));
  return reply
    .code(error.status)
    .header('content-type', problemContentType)
    .send(Buffer.from(JSON.stringify(body)));
};

/** Mounts the store; register it with `{ prefix }`. */
export const recordsPlugin = async (app: FastifyInstance, options: RecordsPluginOptions): Promise<void> => {
  const { claims } = options;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer', bodyLimit: options.bodyLimitBytes },
    (_request, body, done) => done(null, body),
  );
  app.addContentTypeParser('application/x-ndjson', (_request, payload, done) => done(null, payload));

  app.setErrorHandler((thrown, request, reply) => sendProblem(thrown, request, reply, options));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new CaseboundError('resource_not_found', `There is nothing at this address; see ${app.prefix}/.`),
      request,
      reply,
      options,
    ),
  );
  app.addHook('onRequest', async (request) => {
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity')
      throw new CaseboundError('unsupported_media_type', 'Bodies are taken as they are, without a content encoding.');
  });

  const target = async (request: FastifyRequest): Promise<{ store: StoreContext; resource: Resource; id: string }> => {
    const params = request.params as ResourceParams;
    const store = await options.store(request);
    return { store, resource: resourceOf(store, params), id: params.id ?? '' };
  };
  const bodyOf = (request: FastifyRequest, store: StoreContext): JsonValue => {
    if (!Buffer.isBuffer(request.body))
      throw new CaseboundError('malformed_body', 'The request needs a body of type application/json.');
    return readBody(request.body, store);
  };

  app.get('/', async (request, reply) => {
    const store = await options.store(request);
    const resources = [...store.model.resources.values()].map((resource) => ({
      path: `${app.prefix}/${resource.projectEndpoint}/${resource.endpoint}`,
      resource: `${resource.name.projectName}.${resource.name.resourceName}`,
      identity: resource.source.identityJsonPaths,
      queryFields: [...resource.queryFields.keys()],
    }));
    return reply.send({ fingerprint: store.model.fingerprint, resources });
  });

  app.post('/$bulk', async (request, reply) => {
    const store = await options.store(request);
    return reply.send(await serveBulk(store, request, claims(request), options.bodyLimitBytes));
  });

  app.get('/:project/:resource', async (request, reply) => {
    const { store, resource } = await target(request);
    const page = await listDocuments(store, resource, {
      ...parseListQuery(request.raw.url ?? ''),
      claims: claims(request),
    });
    if (page.totalCount !== null) reply.header('total-count', String(page.totalCount));
    if (page.nextPageToken !== null) reply.header('next-page-token', page.nextPageToken);
    return reply.type('application/json').send(`[${page.bodies.join(',')}]`);
  });

  app.post('/:project/:resource', async (request, reply) => {
    const { store, resource } = await target(request);
    const result = await upsertDocument(store, resource, bodyOf(request, store), {
      ...conditions(request),
      claims: claims(request),
    });
    return sendWritten(reply, result, `${app.prefix}/${resource.projectEndpoint}/${resource.endpoint}/${result.uuid}`);
  });

  app.get('/:project/:resource/:id', async (request, reply) => {
    const { store, resource, id } = await target(request);
    refuseQuery(request.raw.url ?? '');
    const { ifNoneMatch } = conditions(request);
    const document = await getDocument(store, resource, id, { claims: claims(request) });
    reply.header('etag', `"${document.etag}"`);
    if (ifNoneMatch !== undefined && matchesWeakly(ifNoneMatch, document.etag)) return reply.code(304).send();
    return reply.type('application/json').send(document.body);
  });

  app.put('/:project/:resource/:id', async (request, reply) => {
    const { store, resource, id } = await target(request);
    const result = await putDocument(store, resource, id, bodyOf(request, store), {
      ...conditions(request),
      claims: claims(request),
    });
    return reply.header('etag', `"${result.etag}"`).code(204).send();
  });

  app.delete('/:project/:resource/:id', async (request, reply) => {
    const { store, resource, id } = await target(request);
    await deleteDocument(store, resource, id, { ...conditions(request), claims: claims(request) });
    return reply.code(204).send();
  });

  const refuse = (allowed: string) => async (_request: FastifyRequest, reply: FastifyReply) => {
    reply.header('allow', allowed);
    throw new CaseboundError('method_not_allowed', `This address takes ${allowed} only.`);
  };
  app.route({ method: ['PUT', 'PATCH', 'DELETE'], url: '/:project/:resource', handler: refuse('GET, POST') });
  app.route({ method: ['POST', 'PATCH'], url: '/:project/:resource/:id', handler: refuse('GET, PUT, DELETE') });
};
