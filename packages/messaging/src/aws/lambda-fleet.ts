/**
 * The worker fleet on Lambda: a worker is a function with an event source mapping on its queue.
 *
 * - One deployed package holds all handlers; a worker's function differs in name and in the variable that names its handler.
 * - Every step finds what an earlier try has made, so that a lost answer doubles nothing.
 * - A pause disables the mapping and waits until it is disabled. Handlers in flight go on.
 */
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  DeleteEventSourceMappingCommand,
  DeleteFunctionCommand,
  GetEventSourceMappingCommand,
  GetFunctionCommand,
  ListEventSourceMappingsCommand,
  ListFunctionsCommand,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import type { EventSourceMappingConfiguration, FunctionConfiguration, LambdaClient } from '@aws-sdk/client-lambda';
import { CaseboundError } from '@casebound/contract';
import { checkWorkerName } from '../fleet/postgres-fleet.ts';
import type { FleetWorker, HandlerCatalogue, WorkerFleet } from '../fleet/Port.ts';
import type { Clock, Queues } from '../ports.ts';
import { checkConcurrency, checkVisibility } from '../visibility.ts';
import { isMissing, onAws } from './aws-error.ts';
import type { SqsQueues } from './sqs-queues.ts';

export interface LambdaFleetOptions {
  readonly client: LambdaClient;
  readonly queues: Pick<SqsQueues, 'find' | 'locate'> & Pick<Queues, 'depth'>;
  readonly handlers: HandlerCatalogue;
  readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>;
  /** Invocations of all workers at once: the account's limit, or the part of it that is ours. */
  readonly workerTotal: number;
  /** The deployed package and what it runs as. */
  readonly code: {
    readonly bucket: string;
    readonly key: string;
    readonly handler: string;
    readonly roleArn: string;
    readonly memoryMb: number;
  };
  readonly environment?: Readonly<Record<string, string>>;
  /** Longest wait for a mapping to change state. Default 120,000. */
  readonly changeTimeoutMs?: number;
}

const workerVariable = 'CASEBOUND_WORKER';

export const createLambdaFleet = (options: LambdaFleetOptions): WorkerFleet => {
  const { client, queues, handlers, clock, workerTotal, code, environment = {}, changeTimeoutMs = 120_000 } = options;

  const findFunction = async (name: string): Promise<FunctionConfiguration | undefined> => {
    try {
      return (await client.send(new GetFunctionCommand({ FunctionName: name }))).Configuration;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  };

  const findMapping = async (name: string): Promise<EventSourceMappingConfiguration | undefined> => {
    const { EventSourceMappings = [] } = await client.send(new ListEventSourceMappingsCommand({ FunctionName: name }));
    return EventSourceMappings.find(({ State }) => State !== 'Deleting');
  };

  /** Waits until the mapping is in the state; `undefined` waits until it is gone. */
  const waitFor = async (uuid: string, state: string | undefined): Promise<void> => {
    const deadline = clock.monotonicMs() + changeTimeoutMs;
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 2000)) {
      try {
        const { State } = await client.send(new GetEventSourceMappingCommand({ UUID: uuid }));
        if (State === state) return;
      } catch (error) {
        if (isMissing(error) && state === undefined) return;
        throw error;
      }
      if (clock.monotonicMs() >= deadline) {
        throw new CaseboundError(
          'queue_transport_unavailable',
          `The event source mapping ${uuid} did not become ${state ?? 'deleted'} within ${changeTimeoutMs} ms.`,
        );
      }
      await clock.sleep(waitMs);
    }
  };

  const setEnabled = async (name: string, enabled: boolean): Promise<void> =>
    onAws(name, async () => {
      const mapping = await findMapping(name);
      if (mapping?.UUID === undefined)
        throw new CaseboundError('queue_not_found', `There is no worker ${name}, or it has no queue.`);
      const wanted = enabled ? 'Enabled' : 'Disabled';
      if (mapping.State !== wanted)
        await client.send(new UpdateEventSourceMappingCommand({ UUID: mapping.UUID, Enabled: enabled }));
      await waitFor(mapping.UUID, wanted);
    });

  const describe = (configuration: FunctionConfiguration): FleetWorker | undefined => {
    const packed = configuration.Environment?.Variables?.[workerVariable];
    // Written by `create` alone.
    return packed === undefined ? undefined : (JSON.parse(packed) as FleetWorker);
  };

  return {
    async create(worker) {
      checkWorkerName(worker.name);
      const handler = Object.hasOwn(handlers, worker.handler) ? handlers[worker.handler] : undefined;
      if (handler === undefined)
        throw new CaseboundError(
          'queue_settings_invalid',
          `Worker ${worker.name}: there is no handler ${worker.handler}.`,
        );
      if (worker.concurrency < 2)
        throw new CaseboundError(
          'queue_settings_invalid',
          `Worker ${worker.name}: its concurrency of ${worker.concurrency} is less than 2, the least that an event source mapping takes.`,
        );
      const queue = await queues.find(worker.queue);
      if (queue === undefined)
        throw new CaseboundError('queue_not_found', `Worker ${worker.name}: there is no queue ${worker.queue}.`);
      checkVisibility(queue, {
        name: worker.name,
        handlerTimeoutMs: handler.handlerTimeoutMs,
        batchWindowMs: worker.batchWindowMs,
      });
      checkConcurrency({
        workerTotal,
        handlers: [
          {
            handler: worker.handler,
            reserved: handler.reserved,
            queues: [{ name: worker.queue, maximum: worker.concurrency }],
          },
        ],
      });
      const { arn } = await queues.locate(worker.queue);
      return onAws(worker.name, async () => {
        const existing = await findFunction(worker.name);
        if (existing !== undefined && JSON.stringify(describe(existing)) !== JSON.stringify(worker)) {
          throw new CaseboundError('queue_settings_invalid', `The worker ${worker.name} exists with other settings.`);
        }
        const { FunctionArn = '' } =
          existing ??
          (await client.send(
            new CreateFunctionCommand({
              FunctionName: worker.name,
              Runtime: 'nodejs24.x',
              Role: code.roleArn,
              Handler: code.handler,
              MemorySize: code.memoryMb,
              Timeout: Math.ceil(handler.handlerTimeoutMs / 1000),
              Code: { S3Bucket: code.bucket, S3Key: code.key },
              Environment: { Variables: { ...environment, [workerVariable]: JSON.stringify(worker) } },
            }),
          ));
        const mapping =
          (await findMapping(worker.name)) ??
          (await client.send(
            new CreateEventSourceMappingCommand({
              FunctionName: worker.name,
              EventSourceArn: arn,
              Enabled: true,
              BatchSize: worker.batchSize,
              MaximumBatchingWindowInSeconds: Math.round(worker.batchWindowMs / 1000),
              ScalingConfig: { MaximumConcurrency: worker.concurrency },
              FunctionResponseTypes: ['ReportBatchItemFailures'],
            }),
          ));
        if (mapping.UUID !== undefined && mapping.State !== 'Disabled') await waitFor(mapping.UUID, 'Enabled');
        return FunctionArn;
      });
    },
    pause: async (name) => setEnabled(name, false),
    resume: async (name) => setEnabled(name, true),
    async inFlight(name) {
      const configuration = await onAws(name, async () => findFunction(name));
      const worker = configuration === undefined ? undefined : describe(configuration);
      return worker === undefined ? 0 : ((await queues.depth([worker.queue])).get(worker.queue)?.inFlight ?? 0);
    },
    async list() {
      const workers: FleetWorker[] = [];
      let marker: string | undefined;
      do {
        const { Functions = [], NextMarker } = await onAws('all workers', async () =>
          client.send(new ListFunctionsCommand(marker === undefined ? {} : { Marker: marker })),
        );
        for (const configuration of Functions) {
          const worker = describe(configuration);
          if (worker !== undefined) workers.push(worker);
        }
        marker = NextMarker;
      } while (marker !== undefined && marker !== '');
      return workers;
    },
    delete: async (name) =>
      onAws(name, async () => {
        const mapping = (await findFunction(name)) === undefined ? undefined : await findMapping(name);
        if (mapping?.UUID !== undefined) {
          await client.send(new DeleteEventSourceMappingCommand({ UUID: mapping.UUID }));
          await waitFor(mapping.UUID, undefined);
        }
        try {
          await client.send(new DeleteFunctionCommand({ FunctionName: name }));
        } catch (error) {
          if (!isMissing(error)) throw error;
        }
      }),
  };
};

/** The worker that this function was created for; read from its environment. @throws CaseboundError `queue_settings_invalid` */
export const workerOfEnvironment = (environment: Readonly<Record<string, string | undefined>>): FleetWorker => {
  const packed = environment[workerVariable];
  if (packed === undefined)
    throw new CaseboundError(
      'queue_settings_invalid',
      `The environment has no ${workerVariable}: the function was not created by the fleet.`,
    );
  // Written by `create` above.
  return JSON.parse(packed) as FleetWorker;
};
