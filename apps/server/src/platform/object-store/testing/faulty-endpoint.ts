/**
 * An S3 endpoint for tests that fails on demand: an HTTP proxy of our own in front of fauxqs.
 *
 * - It adds what fauxqs lacks and the protocol has: conditional writes, listings in byte order, the list of unfinished uploads, the check of
 *   access keys. Each can be taken away again, as endpoints of that kind exist.
 * - A test sets `fault`; it is asked for each request and says what goes wrong with it.
 */
import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { startFauxqs } from 'fauxqs';

export type Fault =
  /** The connection is cut before anything is answered; the request does not take effect. */
  | { readonly kind: 'drop' }
  /** The request takes effect, its answer is lost. */
  | { readonly kind: 'loseAnswer' }
  /** Nothing is ever answered. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  /** This is answered, whatever was asked; the request does not take effect. */
  | { readonly kind: 'xml'; readonly text: string }
  /** The answer is no XML and no S3: a page of some proxy. */
  | { readonly kind: 'page' }
  /** The connection is cut after so many bytes of the body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Nothing more comes after so many bytes of the body. */
  | { readonly kind: 'stall'; readonly after: number }
  /** The body comes in pieces with pauses. */
  | { readonly kind: 'slow'; readonly pieces: number; readonly pauseMs: number }
  /** The body is shorter, and Content-Length agrees. */
  | { readonly kind: 'shorten'; readonly by: number }
  /** Content-Length is larger by so much than what comes. */
  | { readonly kind: 'overstate'; readonly by: number }
  | { readonly kind: 'flip'; readonly at: number }
  /** No length is said, and the end of a shorter body looks like a proper end. */
  | { readonly kind: 'shortenChunked'; readonly by: number }
  | { readonly kind: 'dropMetadata' }
  | { readonly kind: 'ignoreRange' }
  /** Content-Range says this. */
  | { readonly kind: 'wrongRange'; readonly says: string };

export interface SeenRequest {
  readonly method: string;
  /** Path without bucket and leading slash, decoded. */
  readonly name: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface FaultyEndpoint {
  readonly url: string;
  readonly bucket: string;
  /** Undefined: no fault. */
  fault: (request: SeenRequest) => Fault | undefined;
  /** Every request that came, in order. */
  readonly requests: SeenRequest[];
  /** Most requests that were open at once since the last reset. */
  mostOpen: number;
  honoursConditions: boolean;
  listsInOrder: boolean;
  /** Access keys that are let in; undefined: all. */
  accessKeys: readonly string[] | undefined;
  /** Unfinished uploads by id. */
  readonly uploads: Map<string, { readonly name: string; begun: Date }>;
  /** Open connections. */
  connections(): number;
  reset(): void;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer;
}

const bucket = 'casebound';

const readAll = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

const errorAnswer = (status: number, code: string): Answer => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>as told</Message></Error>`,
  ),
});

const xml = (text: string): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${text}`),
});

const forward = (
  upstream: { readonly port: number; readonly agent: Agent },
  request: IncomingMessage,
  path: string,
  body: Buffer,
  extra = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = {
      ...request.headers,
      'content-length': String(body.byteLength),
      connection: 'keep-alive',
      ...extra,
    };
    const outgoing = httpRequest(
      { ...upstream, host: '127.0.0.1', method: request.method, path, headers },
      (incoming) => {
        readAll(incoming).then(
          (answer) =>
            resolve({
              status: incoming.statusCode ?? 500,
              headers: Object.fromEntries(
                Object.entries(incoming.headers).flatMap(([name, value]) =>
                  value === undefined ? [] : [[name, value]],
                ),
              ),
              body: answer,
            }),
          reject,
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });

const field = (text: string, name: string): string | undefined =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];

const sendWithFault = async (
  response: ServerResponse,
  answer: Answer,
  fault: Fault | undefined,
  isHead: boolean,
): Promise<void> => {
  const headers = { ...answer.headers };
  delete headers['connection'];
  delete headers['transfer-encoding'];
  let { body } = answer;
  const socket = response.socket;
  switch (fault?.kind) {
    case 'dropMetadata':
      for (const name of Object.keys(headers)) if (name.startsWith('x-amz-meta-')) delete headers[name];
      break;
    case 'shorten':
      body = body.subarray(0, body.byteLength - fault.by);
      headers['content-length'] = String(isHead ? Number(headers['content-length']) - fault.by : body.byteLength);
      break;
    case 'overstate':
      headers['content-length'] = String(body.byteLength + fault.by);
      break;
    case 'flip':
      body = Buffer.from(body);
      body[fault.at] = (body[fault.at] ?? 0) ^ 1;
      break;
    case 'wrongRange':
      headers['content-range'] = fault.says;
      break;
    case 'shortenChunked':
      delete headers['content-length'];
      response.writeHead(answer.status, { ...headers, 'transfer-encoding': 'chunked' });
      response.end(body.subarray(0, body.byteLength - fault.by));
      return;
    case 'cut':
    case 'stall':
      response.writeHead(answer.status, headers);
      response.write(body.subarray(0, fault.after), () => {
        if (fault.kind === 'cut') setTimeout(() => socket?.destroy(), 10);
      });
      return;
    case 'slow': {
      response.writeHead(answer.status, headers);
      const size = Math.ceil(body.byteLength / fault.pieces);
      for (let start = 0; start < body.byteLength; start += size) {
        response.write(body.subarray(start, start + size));
        await new Promise((resolve) => setTimeout(resolve, fault.pauseMs));
      }
      response.end();
      return;
    }
    default:
  }
  response.writeHead(answer.status, headers);
  response.end(isHead ? undefined : body);
  if (fault?.kind === 'overstate') setTimeout(() => socket?.destroy(), 10);
};

export const startFaultyEndpoint = async (): Promise<FaultyEndpoint> => {
  const fauxqs = await startFauxqs({
    port: 0,
    host: '127.0.0.1',
    logger: false,
    relaxedRules: { disableMinCopySourceSize: true },
  });
  fauxqs.createBucket(bucket);
  const upstream = { port: fauxqs.port, agent: new Agent({ keepAlive: true }) };

  const locks = new Map<string, Promise<unknown>>();
  const oneAtATime = async <T>(name: string, task: () => Promise<T>): Promise<T> => {
    const own = (locks.get(name) ?? Promise.resolve()).then(task, task);
    locks.set(name, own);
    return own.finally(() => {
      if (locks.get(name) === own) locks.delete(name);
    });
  };

  const listInOrder = async (request: IncomingMessage, query: URLSearchParams): Promise<Answer> => {
    const all = await forward(
      upstream,
      request,
      `/${bucket}?list-type=2&max-keys=1000000&prefix=${encodeURIComponent(query.get('prefix') ?? '')}`,
      Buffer.alloc(0),
    );
    if (all.status !== 200) return all;
    const after =
      Buffer.from(query.get('continuation-token') ?? '', 'hex').toString() || (query.get('start-after') ?? '');
    const most = Number(query.get('max-keys') ?? '1000');
    const contents = [...all.body.toString().matchAll(/<Contents>.*?<\/Contents>/gs)]
      .map(([text]) => ({ text, key: field(text, 'Key') ?? '' }))
      .filter(({ key }) => key > after)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const page = contents.slice(0, most);
    const last = page.at(-1)?.key ?? '';
    const more = contents.length > page.length;
    return xml(
      `<ListBucketResult><Name>${bucket}</Name><KeyCount>${page.length}</KeyCount><IsTruncated>${more}</IsTruncated>` +
        (more ? `<NextContinuationToken>${Buffer.from(last).toString('hex')}</NextContinuationToken>` : '') +
        `${page.map(({ text }) => text).join('')}</ListBucketResult>`,
    );
  };

  const handle = async (request: IncomingMessage, seen: SeenRequest, fault: Fault | undefined): Promise<Answer> => {
    const { method, name, query, body, headers } = seen;
    if (endpoint.accessKeys?.some((key) => headers.authorization?.includes(`Credential=${key}/`)) === false) {
      return errorAnswer(403, 'InvalidAccessKeyId');
    }
    if (method === 'GET' && name === '' && query.has('uploads')) {
      const uploads = [...endpoint.uploads].map(
        ([id, upload]) =>
          `<Upload><Key>${upload.name}</Key><UploadId>${id}</UploadId><Initiated>${upload.begun.toISOString()}</Initiated></Upload>`,
      );
      return xml(
        `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${uploads.join('')}</ListMultipartUploadsResult>`,
      );
    }
    if (method === 'GET' && name === '' && endpoint.listsInOrder) return listInOrder(request, query);
    const send = (): Promise<Answer> =>
      forward(upstream, request, request.url ?? '/', body, fault?.kind === 'ignoreRange' ? { range: '' } : {});
    const isWrite = (method === 'PUT' && !query.has('partNumber')) || (method === 'POST' && query.has('uploadId'));
    const answer = await (isWrite && endpoint.honoursConditions
      ? oneAtATime(name, async () => {
          if (headers['if-none-match'] === '*') {
            const present = await forward(
              upstream,
              Object.assign(Object.create(request), { method: 'HEAD', headers: { host: headers.host } }),
              (request.url ?? '/').split('?')[0] ?? '/',
              Buffer.alloc(0),
            );
            if (present.status === 200) return errorAnswer(412, 'PreconditionFailed');
          }
          return send();
        })
      : send());
    const uploadId = query.get('uploadId');
    if (answer.status === 200 && query.has('uploads')) {
      endpoint.uploads.set(field(answer.body.toString(), 'UploadId') ?? '', { name, begun: new Date() });
    } else if (answer.status < 300 && uploadId !== null && !query.has('partNumber')) endpoint.uploads.delete(uploadId);
    return answer;
  };

  const sockets = new Set<Socket>();
  let open = 0;
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readAll(request);
    const url = new URL(request.url ?? '/', 'http://endpoint');
    const seen: SeenRequest = {
      method: request.method ?? '',
      name: decodeURIComponent(url.pathname.replace(/^\/[^/]*\/?/, '')),
      query: url.searchParams,
      headers: request.headers,
      body,
    };
    endpoint.requests.push(seen);
    const fault = endpoint.fault(seen);
    if (fault?.kind === 'drop') {
      response.socket?.destroy();
      return;
    }
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'status')
      return sendWithFault(response, errorAnswer(fault.status, fault.code), undefined, seen.method === 'HEAD');
    if (fault?.kind === 'xml') return sendWithFault(response, xml(fault.text), undefined, false);
    if (fault?.kind === 'page') {
      const page = {
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html>Please log in</html>'),
      };
      return sendWithFault(response, page, undefined, false);
    }
    const answer = await handle(request, seen, fault);
    if (fault?.kind === 'loseAnswer') {
      response.socket?.destroy();
      return;
    }
    await sendWithFault(response, answer, fault, seen.method === 'HEAD');
  };
  const server = createServer((request, response) => {
    open += 1;
    endpoint.mostOpen = Math.max(endpoint.mostOpen, open);
    response.on('close', () => (open -= 1));
    serve(request, response).catch(() => response.socket?.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  const endpoint: FaultyEndpoint = {
    url: `http://127.0.0.1:${port}`,
    bucket,
    fault: () => undefined,
    requests: [],
    mostOpen: 0,
    honoursConditions: true,
    listsInOrder: true,
    accessKeys: undefined,
    uploads: new Map(),
    connections: () => sockets.size,
    reset: () => {
      endpoint.fault = () => undefined;
      endpoint.requests.length = 0;
      endpoint.mostOpen = 0;
      endpoint.honoursConditions = true;
      endpoint.listsInOrder = true;
      endpoint.accessKeys = undefined;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      upstream.agent.destroy();
      await fauxqs.stop();
    },
  };
  return endpoint;
};
