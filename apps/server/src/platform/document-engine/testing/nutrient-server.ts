/**
 * Nutrient Document Engine on loopback, as far as its upstream API is used, for tests.
 *
 * - Paths, parameters, bodies and statuses are those of the OpenAPI description of version 1.9. Lists of annotations as JSON are cut at
 *   1,000; batches succeed in part and say which paths failed; an overloaded engine answers 500; tokens are `Token token="..."`.
 * - A test sets `fault`; it is asked for each request and says what goes wrong with it. Refusals quote what was sent, as real ones may.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { serveDocuments, type ServerAnswer, type ServerRequest } from './nutrient-routes.ts';
import { Refused, type ServerDocument } from './nutrient-documents.ts';
import { createPdfWork, type PdfWork } from './nutrient-pdf.ts';

export type NutrientFault =
  /** The connection is cut before anything is answered; the request does not take effect. */
  | { readonly kind: 'drop' }
  /** The request takes effect, its answer is lost. */
  | { readonly kind: 'loseAnswer' }
  /** Nothing is ever answered. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string; readonly quote?: string }
  /** The connection is cut after so many bytes of the body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** The body ends after so many bytes as if that were its end. */
  | { readonly kind: 'shorten'; readonly after: number }
  /** A page of some proxy, with status 200. */
  | { readonly kind: 'page' }
  /** This is answered with the content type that the request asks for. */
  | { readonly kind: 'body'; readonly text: string };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface NutrientServer {
  readonly url: string;
  readonly pdf: PdfWork;
  readonly documents: Map<string, ServerDocument>;
  /** Every request that came, in order. */
  readonly requests: SeenRequest[];
  /** Undefined: no fault. */
  fault: (request: SeenRequest) => NutrientFault | undefined;
  /** Why an annotation of a batch is refused; undefined when it is not. */
  refuseAnnotation: (id: string) => string | undefined;
  /** Tokens that are let in. */
  tokens: readonly string[];
  /** How rects of search results are written. */
  rectOrder: 'left-top' | 'top-left';
  /** Most requests that were open at once since the last reset. */
  mostOpen: number;
  reset(): void;
  stop(): Promise<void>;
}

const readAll = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

const tokenOf = ({ authorization = '' }: IncomingMessage['headers']): string | undefined =>
  /^Token token="?([^"]*)"?$/.exec(authorization)?.[1] ?? /^Bearer (.+)$/.exec(authorization)?.[1];

const json = (status: number, body: unknown): ServerAnswer => ({
  status,
  contentType: 'application/json',
  body: Buffer.from(JSON.stringify(body)),
});

const pause = async (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const startNutrientServer = async (): Promise<NutrientServer> => {
  const pdf = await createPdfWork();
  const sockets = new Set<Socket>();
  let open = 0;

  const answer = async (seen: SeenRequest): Promise<ServerAnswer> => {
    const token = tokenOf(seen.headers);
    if (token === undefined || !server.tokens.includes(token))
      return { status: 401, contentType: 'text/plain', body: Buffer.from('Unauthorized') };
    const request: ServerRequest = { ...seen, accept: seen.headers.accept ?? '*/*' };
    try {
      return await serveDocuments(server, request);
    } catch (error) {
      if (error instanceof Refused) return json(error.status, error.body);
      // What the engine cannot read. The sentence quotes, as those of libraries do.
      return json(400, {
        details: error instanceof Error ? error.message : 'bad',
        status: 400,
        request_id: randomUUID(),
      });
    }
  };

  const send = (response: ServerResponse, { status, contentType, body }: ServerAnswer, headers = {}): void => {
    response.writeHead(status, { 'content-type': contentType, 'content-length': body.length, ...headers });
    response.end(body);
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readAll(request);
    const url = new URL(request.url ?? '/', 'http://engine');
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body,
    };
    server.requests.push(seen);
    const fault = server.fault(seen);
    switch (fault?.kind) {
      case 'drop':
        response.socket?.destroy();
        return;
      case 'hang':
        return;
      case 'status':
        send(
          response,
          json(fault.status, { details: fault.quote ?? 'as told', status: fault.status, request_id: 'r-1' }),
          fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter },
        );
        return;
      case 'page':
        send(response, { status: 200, contentType: 'text/html', body: Buffer.from('<html>Please log in</html>') });
        return;
      case 'body':
        send(response, {
          status: 200,
          contentType: (request.headers.accept ?? '').split(',', 1)[0] ?? '',
          body: Buffer.from(fault.text),
        });
        return;
      case 'slow':
        await pause(fault.ms);
        break;
      default:
    }
    const real = await answer(seen);
    switch (fault?.kind) {
      case 'loseAnswer':
        response.socket?.destroy();
        return;
      case 'cut':
        response.writeHead(real.status, { 'content-type': real.contentType, 'content-length': real.body.length });
        response.write(real.body.subarray(0, fault.after), () => setTimeout(() => response.socket?.destroy(), 5));
        return;
      case 'shorten':
        send(response, { ...real, body: real.body.subarray(0, fault.after) });
        return;
      default:
        send(response, real);
    }
  };

  const http = createServer((request, response) => {
    open += 1;
    server.mostOpen = Math.max(server.mostOpen, open);
    response.on('close', () => (open -= 1));
    serve(request, response).catch(() => response.socket?.destroy());
  });
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  const server: NutrientServer = {
    url: `http://127.0.0.1:${port}`,
    pdf,
    documents: new Map(),
    requests: [],
    fault: () => undefined,
    refuseAnnotation: () => undefined,
    tokens: ['secret-token'],
    rectOrder: 'top-left',
    mostOpen: 0,
    reset() {
      server.requests.length = 0;
      server.fault = () => undefined;
      server.refuseAnnotation = () => undefined;
      server.tokens = ['secret-token'];
      server.rectOrder = 'top-left';
      server.mostOpen = 0;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  return server;
};
