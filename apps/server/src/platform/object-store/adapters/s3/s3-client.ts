/**
 * The connection to an endpoint.
 *
 * - At most `maxConnections` requests are on their way; the others wait here and not in the agent, where the request timeout would
 *   count their waiting. The bodies of open reads are not counted: a caller that reads while it writes cannot lock itself out.
 * - Requests are repeated by repeat-requests.ts, not by the SDK.
 * - The SDK's default CRC-32 trailers are off: many endpoints cannot read them. Bodies are covered by the signature's SHA-256.
 */
import { createHash } from 'node:crypto';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3ObjectStoreConfig } from '../../config.ts';
import type { ObjectStoreDependencies, S3Credentials } from '../../dependencies.ts';
import { limitConcurrency } from '../../limit-concurrency.ts';
import { repeatRequest } from './repeat-requests.ts';
import { classifyEndpointError } from './s3-errors.ts';

/** The SDK asks for credentials again when they end within five minutes; so these live for two seconds. */
const sdkRefreshWindowMs = 300_000;
const credentialsLiveMs = 2_000;

export interface S3Connection {
  readonly config: S3ObjectStoreConfig;
  /** Endpoint and bucket, for people. */
  readonly address: string;
  readonly dependencies: ObjectStoreDependencies;
  /** Runs one request with classified errors. `doing` completes "The object store could not ...". */
  send<T>(doing: string, request: (client: S3Client) => Promise<T>): Promise<T>;
  /** As `send`, with errors as they come: for the few whose answer depends on the kind of error. Not for bodies of reads. */
  sendRaw<T>(request: (client: S3Client) => Promise<T>): Promise<T>;
  classify(error: unknown, doing: string): unknown;
  close(): void;
}

const rotating =
  (credentials: () => Promise<S3Credentials>) => async (): Promise<S3Credentials & { readonly expiration: Date }> => ({
    ...(await credentials()),
    expiration: new Date(Date.now() + sdkRefreshWindowMs + credentialsLiveMs),
  });

const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** Endpoints older than flexible checksums require Content-MD5 on a bulk delete; newer ones accept it beside theirs. */
const addContentMd5ToBulkDelete = (client: S3Client): void => {
  client.middlewareStack.add(
    (next, context) => (args) => {
      if (context['commandName'] === 'DeleteObjectsCommand') {
        const request: unknown = args.request;
        if (typeof request === 'object' && request !== null && 'headers' in request && 'body' in request) {
          const { headers, body } = request;
          if (
            typeof headers === 'object' &&
            headers !== null &&
            (typeof body === 'string' || body instanceof Uint8Array)
          ) {
            Reflect.set(headers, 'content-md5', createHash('md5').update(body).digest('base64'));
          }
        }
      }
      return next(args);
    },
    { step: 'build', name: 'addContentMd5ToBulkDelete', priority: 'low' },
  );
};

export const connect = (
  config: S3ObjectStoreConfig,
  credentials: (() => Promise<S3Credentials>) | undefined,
  dependencies: ObjectStoreDependencies,
): S3Connection => {
  const agent = { keepAlive: true, maxSockets: Infinity };
  const clientConfig: S3ClientConfig = {
    region: config.region,
    forcePathStyle: config.pathStyle ?? config.endpoint !== undefined,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    logger: silent,
    requestHandler: {
      connectionTimeout: config.connectTimeoutMs,
      requestTimeout: config.requestTimeoutMs,
      throwOnRequestTimeout: true,
      // Pauses of a body are timed where it is read: only there it is known whether anybody waits for bytes.
      socketTimeout: 0,
      httpAgent: agent,
      httpsAgent: agent,
      logger: silent,
    },
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
    ...(credentials === undefined ? {} : { credentials: rotating(credentials) }),
  };
  const client = new S3Client(clientConfig);
  addContentMd5ToBulkDelete(client);
  const limit = limitConcurrency(config.maxConnections);
  const address = `${config.endpoint ?? `S3 in ${config.region}`}, bucket ${config.bucket}`;
  const classify = (error: unknown, doing: string): unknown => classifyEndpointError(error, doing, address);
  const sendRaw: S3Connection['sendRaw'] = (request) =>
    repeatRequest(config.maxAttempts, () => limit(() => request(client)));
  return {
    config,
    address,
    dependencies,
    sendRaw,
    send: async (doing, request) => {
      try {
        return await sendRaw(request);
      } catch (error) {
        throw classify(error, doing);
      }
    },
    classify,
    close: () => client.destroy(),
  };
};

/** The name of an object in the bucket. */
export const bucketKey = (config: S3ObjectStoreConfig, key: string): string => `${config.keyPrefix}${key}`;

/** `%` is in no object key, so what the store keeps for itself cannot be mistaken for an object. */
export const ownPrefix = '%tmp/';

/** The SDK takes `undefined` for no signal. */
export const aborting = (signal: AbortSignal | undefined): { abortSignal?: AbortSignal } =>
  signal === undefined ? {} : { abortSignal: signal };
