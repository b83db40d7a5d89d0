/**
 * Secrets Manager and Parameter Store on loopback, as far as reading goes, for tests.
 *
 * Speaks AWS JSON 1.1 (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html): POST to `/`, the operation in
 * `X-Amz-Target`, errors with `__type` in the body and a status. Refuses what AWS refuses: another method, content type or
 * target, a request without a Signature Version 4 of the right scope and date, a parameter asked for without decryption.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';

export type AwsService = 'secretsmanager' | 'ssm';

/** How the next answers go wrong. Each quotes `quote` where a real failure could quote a secret. */
export type AwsFailure =
  | 'throttle'
  | 'internal'
  | 'denied'
  | 'bad_token'
  | 'hang'
  | 'stall'
  | 'drop'
  | 'malformed'
  | 'html';

export interface AwsJsonServer {
  readonly endpoint: string;
  /** Every request that came, by the name asked for. */
  readonly requests: readonly string[];
  put(name: string, value: string | Uint8Array, type?: string): void;
  remove(name: string): void;
  /** The next `times` requests fail so. */
  fail(failure: AwsFailure, times: number, quote?: string): void;
  /** No more failures. */
  mend(): void;
  close(): Promise<void>;
}

interface Stored {
  readonly value: string | Uint8Array;
  readonly type: string;
  readonly version: number;
}

const scopes: Readonly<Record<AwsService, RegExp>> = {
  secretsmanager:
    /^AWS4-HMAC-SHA256 Credential=[A-Z0-9]+\/\d{8}\/[a-z0-9-]+\/secretsmanager\/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*x-amz-date[a-z0-9;-]*, Signature=[0-9a-f]{64}$/,
  ssm: /^AWS4-HMAC-SHA256 Credential=[A-Z0-9]+\/\d{8}\/[a-z0-9-]+\/ssm\/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*x-amz-date[a-z0-9;-]*, Signature=[0-9a-f]{64}$/,
};

const targets: Readonly<Record<AwsService, string>> = {
  secretsmanager: 'secretsmanager.GetSecretValue',
  ssm: 'AmazonSSM.GetParameter',
};

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
};

const answer = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() });
  response.end(JSON.stringify(body));
};

const answerError = (response: ServerResponse, status: number, type: string, message = 'no'): void => {
  answer(response, status, { __type: type, message, Message: message });
};

/** Undefined when the request is as AWS wants it, else the error's type. */
const refusal = (service: AwsService, request: IncomingMessage): string | undefined => {
  const { headers, method } = request;
  if (method !== 'POST' || headers['content-type'] !== 'application/x-amz-json-1.1') return 'UnknownOperationException';
  if (headers['x-amz-target'] !== targets[service]) return 'UnknownOperationException';
  const date = headers['x-amz-date'];
  if (headers.authorization === undefined || typeof date !== 'string') return 'MissingAuthenticationTokenException';
  const fits = scopes[service].test(headers.authorization) && headers.authorization.includes(`/${date.slice(0, 8)}/`);
  return fits ? undefined : 'IncompleteSignature';
};

const answerSecret = (response: ServerResponse, name: string, stored: Stored | undefined): void => {
  if (stored === undefined) {
    answerError(response, 400, 'ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    return;
  }
  answer(response, 200, {
    ARN: `arn:aws:secretsmanager:us-east-1:123456789012:secret:${name}-AbCdEf`,
    Name: name,
    CreatedDate: 1.7e9,
    VersionId: `00000000-0000-4000-8000-${String(stored.version).padStart(12, '0')}`,
    VersionStages: ['AWSCURRENT'],
    ...(typeof stored.value === 'string'
      ? { SecretString: stored.value }
      : { SecretBinary: Buffer.from(stored.value).toString('base64') }),
  });
};

const answerParameter = (
  response: ServerResponse,
  name: string,
  stored: Stored | undefined,
  decrypt: boolean,
): void => {
  if (stored === undefined) {
    answerError(response, 400, 'ParameterNotFound');
    return;
  }
  const plain = typeof stored.value === 'string' ? stored.value : Buffer.from(stored.value).toString('base64');
  const hidden = stored.type === 'SecureString' && !decrypt;
  answer(response, 200, {
    Parameter: {
      Name: name,
      Type: stored.type,
      Value: hidden ? 'AQICAHhkciphertext' : plain,
      Version: stored.version,
      LastModifiedDate: 1.7e9,
      ARN: `arn:aws:ssm:us-east-1:123456789012:parameter${name}`,
      DataType: 'text',
    },
  });
};

const goWrong = (failure: AwsFailure, quote: string, response: ServerResponse): void => {
  switch (failure) {
    case 'throttle':
      return answerError(response, 400, 'ThrottlingException', `Rate exceeded ${quote}`);
    case 'internal':
      return answerError(response, 500, 'InternalServerError', quote);
    case 'denied':
      return answerError(response, 400, 'AccessDeniedException', `not authorized ${quote}`);
    case 'bad_token':
      return answerError(response, 400, 'UnrecognizedClientException', `The security token is invalid ${quote}`);
    case 'hang':
      return;
    case 'stall':
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': '10000' });
      response.write(`{"SecretString":"${quote}`);
      return;
    case 'drop':
      response.socket?.destroy();
      return;
    case 'malformed':
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(`${quote}{"SecretString":"${quote}`);
      return;
    case 'html':
      response.writeHead(503, { 'content-type': 'text/html' });
      response.end(`<html>${quote}</html>`);
  }
};

export const startAwsJsonServer = async (service: AwsService): Promise<AwsJsonServer> => {
  const kept = new Map<string, Stored>();
  const requests: string[] = [];
  const failures: { readonly failure: AwsFailure; readonly quote: string }[] = [];
  const sockets = new Set<Socket>();

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const text = await readBody(request);
    const refused = refusal(service, request);
    if (refused !== undefined) {
      answerError(response, 400, refused);
      return;
    }
    const body = JSON.parse(text) as { SecretId?: string; Name?: string; WithDecryption?: boolean };
    const name = body.SecretId ?? body.Name ?? '';
    requests.push(name);
    const next = failures.shift();
    if (next !== undefined) goWrong(next.failure, next.quote, response);
    else if (service === 'secretsmanager') answerSecret(response, name, kept.get(name));
    else answerParameter(response, name, kept.get(name), body.WithDecryption === true);
  };

  const server: Server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    put: (name, value, type = 'SecureString') => {
      kept.set(name, { value, type, version: (kept.get(name)?.version ?? 0) + 1 });
    },
    remove: (name) => {
      kept.delete(name);
    },
    fail: (failure, times, quote = 'x') => {
      for (let i = 0; i < times; i++) failures.push({ failure, quote });
    },
    mend: () => {
      failures.length = 0;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};
