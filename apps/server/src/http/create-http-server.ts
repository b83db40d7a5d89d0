/**
 * The HTTP server: one route an operation, and around all of them what HTTP asks for.
 *
 * 1. Nothing is served without a token but operations whose permission is `public`; also not the news that an address does
 *    not exist. The permission is checked before a body is read.
 * 2. Every answer carries its request id; every answer that is an error is a problem document (RFC 9457) with the code of
 *    the error table, and says nothing of causes.
 * 3. Nothing that a client sends makes the server answer `internal`.
 * 4. Every wait is bounded: for headers, bodies, idle connections, operations, shutdown.
 * 5. A registry that `checkRegistry` refuses does not start.
 */
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { CaseboundError, checkRegistry, sharedErrorCodes } from '@casebound/contract';
import type { ErrorCode, HandlersOf, Operation, OperationHandler, OperationMap, Permission } from '@casebound/contract';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../platform/clock/Port.ts';
import type { Log } from '../platform/log/Port.ts';
import type { Metrics } from '../platform/metrics/Port.ts';
import { readCredentials, requirePermission } from './authenticate-request.ts';
import type { Authenticate } from './authenticate-request.ts';
import type { HttpConfig } from './config.ts';
import { createConnectionErrors } from './connection-errors.ts';
import { createDocuments } from './documents.ts';
import { createExchanges } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { createHttpMetrics } from './http-metrics.ts';
import { createLifecycle } from './lifecycle.ts';
import type { HttpServer } from './lifecycle.ts';
import { mapError } from './map-error.ts';
import { parseJson } from './parse-json.ts';
import { parseQuery } from './parse-query.ts';
import { problemAnswer } from './problem-answer.ts';
import { createRouteTable } from './route-table.ts';
import type { RouteTable } from './route-table.ts';
import { serveOperation } from './serve-operation.ts';
import type { Answer } from './serve-operation.ts';

export interface HttpDependencies<M extends OperationMap> {
  readonly operations: M;
  readonly handlers: HandlersOf<M>;
  readonly authenticate: Authenticate;
  readonly config: HttpConfig;
  /** Shown in `/openapi.json`. */
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Told first when the server is to close, so that `/health/ready` says no while requests still are served. */
  readonly readiness: { beginShutdown(): void };
}

interface RouteConfig {
  readonly operation: string;
  readonly permission: Permission | 'authenticated';
  /** A page that a browser opens, which can send a name and a password by itself. */
  readonly isPage?: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    casebound?: RouteConfig;
  }
}

const UNKNOWN_ROUTE: RouteConfig = { operation: 'unmatched', permission: 'authenticated' };

const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;

const sendProblem = (reply: FastifyReply, exchange: Exchange, thrown: unknown): FastifyReply => {
  const error = mapError(thrown);
  exchange.failure = error;
  const { status, headers, body } = problemAnswer(error, exchange.requestId, reply.request.raw.url);
  // As bytes: to text Fastify adds a charset, which this media type does not have.
  return reply.code(status).headers(headers).send(Buffer.from(body));
};

/** Pages have styles of their own and nothing else: no scripts, nothing loaded, no forms, no frames. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const isPage = (contentType: string | undefined): boolean => contentType?.startsWith('text/html') === true;

const sendAnswer = (reply: FastifyReply, answer: Answer): FastifyReply => {
  if (answer.contentType !== undefined) reply.type(answer.contentType);
  if (isPage(answer.contentType)) reply.header('content-security-policy', PAGE_POLICY);
  if (answer.headers !== undefined) reply.headers(answer.headers);
  const { body } = answer;
  return reply.code(answer.status).send(typeof body === 'object' ? Readable.from(body) : body);
};

const isDeclared = (operation: Operation, error: unknown): boolean => {
  const declared: readonly ErrorCode[] = [...sharedErrorCodes, ...operation.errors];
  const { code } = mapError(error);
  return code === 'request_aborted' || declared.includes(code);
};

const refuseUnknown = (routes: RouteTable, request: FastifyRequest): never => {
  const methods = routes.at(pathOf(request.raw.url ?? '')).map(({ method }) => method);
  if (methods.length === 0) throw new CaseboundError('route_not_found', 'No operation has this address.');
  throw new CaseboundError('method_not_allowed', `This address takes ${methods.join(', ')} only.`);
};

/** What of a route is known before its handler runs; of an address with other methods, what these ask for. */
const routeConfig = (routes: RouteTable, request: FastifyRequest): RouteConfig => {
  const matched = request.routeOptions.config.casebound;
  if (matched !== undefined) return matched;
  const isPublic = routes.at(pathOf(request.raw.url ?? '')).some(({ permission }) => permission === 'public');
  return isPublic ? { ...UNKNOWN_ROUTE, permission: 'public' } : UNKNOWN_ROUTE;
};

const assertSound = <M extends OperationMap>({ operations, handlers }: HttpDependencies<M>): void => {
  const problems = [
    ...checkRegistry(operations),
    ...Object.keys(operations)
      .filter((name) => !Object.hasOwn(handlers, name))
      .map((name) => `Operation ${name}: it has no handler.`),
  ];
  if (problems.length > 0) throw new CaseboundError('registry_invalid', problems.join(' '));
};

/** Builds the server; it listens when told to. Throws `registry_invalid`. */
export const createHttpServer = async <const M extends OperationMap>(
  dependencies: HttpDependencies<M>,
): Promise<HttpServer> => {
  assertSound(dependencies);
  const { operations, handlers, authenticate, config, clock, readiness } = dependencies;
  const log = dependencies.log.with({ component: 'http' });
  const metrics = createHttpMetrics(dependencies.metrics);
  const exchanges = createExchanges({ clock, log, metrics });
  const connectionErrors = createConnectionErrors(log, metrics);
  const routes = createRouteTable(operations);
  const lifecycle = createLifecycle({ config, clock, log, readiness, exchanges });

  const server = buildServer(config);
  const app: FastifyInstance = fastify({
    serverFactory: (handle) => {
      const serve = (request: IncomingMessage, response: ServerResponse): void => {
        const exchange = exchanges.begin(request, response);
        connectionErrors.owe(request, response);
        response.setHeader('x-request-id', exchange.requestId);
        for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
        if (lifecycle.isStopping()) response.setHeader('connection', 'close');
        handle(request, response);
      };
      server.on('request', serve);
      // `Expect` with anything but `100-continue`: served as if it had not been said (RFC 9110, 10.1.1 allows it).
      server.on('checkExpectation', serve);
      return server;
    },
    clientErrorHandler: connectionErrors.onClientError,
    frameworkErrors: (error, request, reply) => void sendProblem(reply, exchanges.of(request.raw), error),
    bodyLimit: config.bodyLimitBytes,
    // The query is parsed strictly where it is validated; this parser runs where nothing may be thrown.
    routerOptions: { maxParamLength: config.maxUrlLength, querystringParser: () => ({}) },
    return503OnClosing: false,
    logger: false,
  });
  server.on('connect', (_request, socket) => {
    connectionErrors.refuse(socket, new CaseboundError('method_not_allowed', 'This server is no proxy.'));
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      if (!/^[^;]+(;\s*charset="?utf-8"?\s*)?$/i.test(request.headers['content-type'] ?? '')) {
        throw new CaseboundError('unsupported_media_type', 'The body must be application/json in UTF-8.');
      }
      done(null, parseJson(Buffer.from(body), config.maxJsonDepth));
    } catch (error) {
      done(mapError(error));
    }
  });

  app.setErrorHandler((error, request, reply) => sendProblem(reply, exchanges.of(request.raw), error));
  app.setNotFoundHandler((request) => refuseUnknown(routes, request));

  app.addHook('onRequest', async (request, reply) => {
    const exchange = exchanges.of(request.raw);
    const { operation, permission, isPage: isForBrowsers = false } = routeConfig(routes, request);
    exchange.operation = operation;
    exchange.quiet = permission === 'public';
    if (request.raw.httpVersionMinor >= 1 && request.raw.headers.host === undefined) {
      reply.raw.setHeader('connection', 'close');
      throw new CaseboundError('malformed_request', 'A request of HTTP/1.1 has a Host header.');
    }
    if ((request.raw.url ?? '').length > config.maxUrlLength) {
      throw new CaseboundError('uri_too_long', `The path and query are longer than ${config.maxUrlLength} characters.`);
    }
    if (permission !== 'public') {
      if (lifecycle.isStopping()) throw new CaseboundError('shutting_down', 'The server takes no more requests.');
      if (exchanges.inFlight() > config.maxConcurrentRequests) {
        throw new CaseboundError('overloaded', 'The server works on as many requests as it may.');
      }
      const { token, challenge } = readCredentials(
        request.headers.authorization,
        permission === 'authenticated' || isForBrowsers,
      );
      const actor =
        token === undefined
          ? undefined
          : await exchange.within(config.requestTimeoutMs, async () => authenticate(token));
      if (actor === undefined) {
        reply.raw.setHeader('www-authenticate', challenge);
        throw new CaseboundError('unauthenticated', 'The request carries no token, or one that is not valid.');
      }
      exchange.actor = actor;
      if (permission !== 'authenticated') requirePermission(actor, operation, permission);
    }
    if (request.is404) {
      const allowed = routes.at(pathOf(request.raw.url ?? ''));
      if (allowed.length > 0) reply.raw.setHeader('allow', allowed.map(({ method }) => method).join(', '));
      refuseUnknown(routes, request);
    }
  });

  const documents = createDocuments(operations, dependencies.version);
  for (const { path, operation, answer } of documents) {
    app.get(path, { config: { casebound: { operation, permission: 'authenticated' } } }, async (_request, reply) => {
      const { headers, body } = answer;
      return reply.headers(headers).send(body);
    });
  }

  for (const [name, operation] of Object.entries<Operation>(operations)) {
    // The handler of this name takes what this operation's schemas yield; a loop over names cannot say so to the compiler.
    const handler = handlers[name] as unknown as OperationHandler<Operation>;
    app.route({
      method: operation.method,
      bodyLimit: Math.max(config.bodyLimitBytes, operation.bodyLimitBytes ?? 0),
      url: operation.path.replaceAll(/\{([^}]*)\}/g, ':$1'),
      config: {
        casebound: {
          operation: name,
          permission: operation.permission,
          isPage: 'contentType' in operation.success && isPage(operation.success.contentType),
        },
      },
      handler: async (request, reply) => {
        const exchange = exchanges.of(request.raw);
        const { actor, requestId } = exchange;
        const input = { params: request.params, query: parseQuery(request.raw.url ?? ''), body: request.body };
        const answer = await exchange
          .within(config.requestTimeoutMs, async (signal) =>
            serveOperation({
              name,
              operation,
              handler,
              input,
              actor,
              requestId,
              idempotencyKey: request.headers['idempotency-key'],
              range: request.headers.range,
              signal,
            }),
          )
          .catch((error: unknown) => {
            // The client gets it all the same; its documentation does not say so.
            if (!isDeclared(operation, error)) {
              log.warn('An operation failed with a code that it does not declare', {
                operation: name,
                requestId,
                errorCode: mapError(error).code,
              });
            }
            throw error;
          });
        return sendAnswer(reply, answer);
      },
    });
  }

  await app.ready();
  return lifecycle.control(server, app);
};

const buildServer = (config: HttpConfig): Server => {
  const server = createServer({
    headersTimeout: config.headersTimeoutMs,
    requestTimeout: config.receiveTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(1000, config.headersTimeoutMs),
    maxHeaderSize: config.maxHeaderBytes,
    // Checked with the other rules, so that its absence is answered with a problem document too.
    requireHostHeader: false,
  });
  server.timeout = config.idleTimeoutMs;
  server.maxConnections = config.maxConnections;
  return server;
};
