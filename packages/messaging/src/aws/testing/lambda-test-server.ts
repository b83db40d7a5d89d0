/**
 * A server that speaks the part of Lambda's REST protocol that the fleet uses, and runs what it is given: an event source
 * mapping polls its queue on the SQS test server and invokes the function's handler with batches, deleting what is not listed
 * in `batchItemFailures`.
 *
 * Paths, states and error names: AWS Lambda API reference, 2015-03-31. State changes take a moment, as they do there.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DeleteMessageBatchCommand, GetQueueUrlCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import type { LambdaContext, SqsBatchEvent, SqsBatchResponse } from '../lambda-handler.ts';

export type DeployedCode = (
  environment: Readonly<Record<string, string>>,
) => (event: SqsBatchEvent, context: LambdaContext) => Promise<SqsBatchResponse>;

const CreateFunction = z.object({
  FunctionName: z.string().regex(/^[a-zA-Z0-9-_]{1,64}$/),
  Runtime: z.string(),
  Role: z.string().startsWith('arn:'),
  Handler: z.string(),
  Timeout: z.number().int().min(1).max(900),
  MemorySize: z.number().int().min(128).max(10_240),
  Code: z.object({ S3Bucket: z.string(), S3Key: z.string() }),
  Environment: z.object({ Variables: z.record(z.string(), z.string()) }),
});
const CreateMapping = z.object({
  FunctionName: z.string(),
  EventSourceArn: z.string(),
  Enabled: z.boolean(),
  BatchSize: z.number().int().min(1).max(10_000),
  MaximumBatchingWindowInSeconds: z.number().int().min(0).max(300),
  ScalingConfig: z.object({ MaximumConcurrency: z.number().int().min(2).max(1000) }),
  FunctionResponseTypes: z.array(z.literal('ReportBatchItemFailures')),
});

interface Mapping extends z.infer<typeof CreateMapping> {
  readonly UUID: string;
  State: 'Creating' | 'Enabled' | 'Disabling' | 'Disabled' | 'Enabling' | 'Deleting';
}

export interface LambdaTestServer {
  readonly endpoint: string;
  readonly functions: ReadonlyMap<string, z.infer<typeof CreateFunction>>;
  readonly mappings: ReadonlyMap<string, Mapping>;
  stop(): Promise<void>;
}

const changeMs = 60;
const prefix = '/2015-03-31';

export const startLambdaTestServer = async (sqs: SQSClient, code: DeployedCode): Promise<LambdaTestServer> => {
  const functions = new Map<string, z.infer<typeof CreateFunction>>();
  const mappings = new Map<string, Mapping>();
  const pollers = new Set<Promise<void>>();
  const stopped = new AbortController();

  const poll = async (mapping: Mapping): Promise<void> => {
    const { QueueUrl } = await sqs.send(
      new GetQueueUrlCommand({ QueueName: mapping.EventSourceArn.split(':').at(-1) ?? '' }),
    );
    const configuration = functions.get(mapping.FunctionName);
    if (configuration === undefined) return;
    const handler = code(configuration.Environment.Variables);
    while (!stopped.signal.aborted && mapping.State === 'Enabled') {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: Math.min(10, mapping.BatchSize),
          WaitTimeSeconds: 0,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['All'],
        }),
      );
      if (Messages.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 30));
        continue;
      }
      const endsAt = performance.now() + configuration.Timeout * 1000;
      const response = await handler(
        {
          Records: Messages.map((message) => ({
            messageId: message.MessageId ?? '',
            receiptHandle: message.ReceiptHandle ?? '',
            body: message.Body ?? '',
            attributes: Object.fromEntries(
              Object.entries(message.Attributes ?? {}).map(([name, value]) => [name, value]),
            ),
            messageAttributes: Object.fromEntries(
              Object.entries(message.MessageAttributes ?? {}).map(([name, { StringValue = '' }]) => [
                name,
                { stringValue: StringValue },
              ]),
            ),
            eventSourceARN: mapping.EventSourceArn,
          })),
        },
        { getRemainingTimeInMillis: () => endsAt - performance.now() },
      );
      const failed = new Set(response.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      const Entries = Messages.filter(({ MessageId }) => !failed.has(MessageId ?? '')).map(
        ({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }),
      );
      if (Entries.length > 0) await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
    }
  };

  const enable = (mapping: Mapping): void => {
    setTimeout(() => {
      mapping.State = 'Enabled';
      const poller = poll(mapping).catch(() => undefined);
      pollers.add(poller);
    }, changeMs);
  };

  const missing = { status: 404, type: 'ResourceNotFoundException', body: { Type: 'User', Message: 'Not found.' } };
  const describe = (mapping: Mapping) => ({
    UUID: mapping.UUID,
    State: mapping.State,
    EventSourceArn: mapping.EventSourceArn,
    BatchSize: mapping.BatchSize,
  });
  const configurationOf = (name: string) => ({
    ...functions.get(name),
    FunctionArn: `arn:aws:lambda:us-east-1:000000000000:function:${name}`,
    State: 'Active',
  });

  const answer = (
    method: string,
    path: string,
    query: URLSearchParams,
    body: unknown,
  ): { status: number; type?: string; body: unknown } => {
    const [kind, id] = path.slice(prefix.length + 1).split('/');
    if (kind === 'functions' && method === 'POST') {
      const made = CreateFunction.parse(body);
      if (functions.has(made.FunctionName))
        return { status: 409, type: 'ResourceConflictException', body: { Message: 'Function already exist.' } };
      functions.set(made.FunctionName, made);
      return { status: 201, body: configurationOf(made.FunctionName) };
    }
    if (kind === 'functions' && method === 'GET' && (id ?? '') === '')
      return { status: 200, body: { Functions: [...functions.keys()].map(configurationOf) } };
    if (kind === 'functions') {
      if (id === undefined || !functions.has(id)) return missing;
      if (method === 'GET') return { status: 200, body: { Configuration: configurationOf(id) } };
      functions.delete(id);
      return { status: 204, body: undefined };
    }
    if (method === 'POST') {
      const made = CreateMapping.parse(body);
      if (!functions.has(made.FunctionName)) return missing;
      const mapping: Mapping = { ...made, UUID: randomUUID(), State: 'Creating' };
      mappings.set(mapping.UUID, mapping);
      enable(mapping);
      return { status: 202, body: describe(mapping) };
    }
    if ((id ?? '') === '') {
      const name = query.get('FunctionName');
      return {
        status: 200,
        body: {
          EventSourceMappings: [...mappings.values()].filter((mapping) => mapping.FunctionName === name).map(describe),
        },
      };
    }
    const mapping = mappings.get(id ?? '');
    if (mapping === undefined) return missing;
    if (method === 'PUT') {
      const { Enabled } = z.object({ Enabled: z.boolean() }).parse(body);
      mapping.State = Enabled ? 'Enabling' : 'Disabling';
      if (Enabled) enable(mapping);
      else setTimeout(() => (mapping.State = 'Disabled'), changeMs);
    } else if (method === 'DELETE') {
      mapping.State = 'Deleting';
      setTimeout(() => mappings.delete(mapping.UUID), changeMs);
    }
    return { status: method === 'GET' ? 200 : 202, body: describe(mapping) };
  };

  const read = async (request: IncomingMessage): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('utf8');
  };
  const server = createServer((request, response) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const text = await read(request);
      let result: { status: number; type?: string; body: unknown };
      try {
        result = answer(
          request.method ?? 'GET',
          url.pathname,
          url.searchParams,
          text === '' ? undefined : JSON.parse(text),
        );
      } catch (error) {
        result = { status: 400, type: 'InvalidParameterValueException', body: { Message: String(error) } };
      }
      response.writeHead(result.status, {
        'content-type': 'application/json',
        ...(result.type === undefined ? {} : { 'x-amzn-errortype': result.type }),
      });
      response.end(result.body === undefined ? '' : JSON.stringify(result.body));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    functions,
    mappings,
    async stop() {
      stopped.abort();
      await Promise.all(pollers);
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
