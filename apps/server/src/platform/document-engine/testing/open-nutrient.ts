/** The adapter on a test server, with pauses that take no time and are written down. */
import { CaseboundError, CaseId } from '@casebound/contract';
import { createCircuitBreaker } from '@casebound/messaging';
import { createClock } from '../../clock/create-clock.ts';
import { SecretValue } from '../../secrets/Port.ts';
import { openNutrientDocumentEngine, type NutrientOptions } from '../adapters/nutrient/nutrient-document-engine.ts';
import { nutrientDocumentEngineConfig } from '../config.ts';
import { EngineDocumentId, type DocumentEngine } from '../Port.ts';
import type { NutrientFault, NutrientServer } from './nutrient-server.ts';

export interface OpenedNutrient {
  readonly engine: DocumentEngine;
  /** Milliseconds of each pause. */
  readonly pauses: number[];
  /** Look-ups of the token, and how many of them were to be anew. */
  readonly lookUps: { all: number; anew: number };
}

export interface OpenNutrient {
  readonly settings?: Record<string, unknown>;
  readonly dependencies?: Partial<NutrientOptions>;
  /** The token that is found, before and after it is looked up anew. */
  readonly tokens?: readonly [string, string];
}

/** A breaker that never opens, for tests of other things. */
export const noBreaker = { run: async <T>(call: () => Promise<T>): Promise<T> => call() };

export const nutrientCase = CaseId.parse(7);

export const nutrientId = (number: number): EngineDocumentId =>
  EngineDocumentId.parse(`document_${nutrientCase}_1_${number}_${number}`);

export const openNutrient = (server: NutrientServer, options: OpenNutrient = {}): OpenedNutrient => {
  const real = createClock();
  const pauses: number[] = [];
  const lookUps = { all: 0, anew: 0 };
  const [first, second] = options.tokens ?? ['secret-token', 'secret-token'];
  const clock = {
    ...real,
    sleep: async (ms: number, signal?: AbortSignal): Promise<void> => {
      signal?.throwIfAborted();
      pauses.push(ms);
    },
  };
  const engine = openNutrientDocumentEngine(
    nutrientDocumentEngineConfig.parse({
      kind: 'nutrient',
      url: server.url,
      apiToken: 'secret://engine/token',
      ...options.settings,
    }),
    {
      clock,
      secrets: {
        get: async () => {
          lookUps.all += 1;
          await real.sleep(5);
          return new SecretValue(lookUps.anew > 0 ? second : first);
        },
        refresh: async () => {
          lookUps.anew += 1;
        },
      },
      breaker: createCircuitBreaker({ name: 'document-engine', clock: real }),
      workers: server.pdf.workers,
      ...options.dependencies,
    },
  );
  return { engine, pauses, lookUps };
};

/** How many requests go wrong, how, and which; by default all count. */
export type FailFirst = readonly [
  times: number,
  fault: NutrientFault,
  match?: (path: string, method: string) => boolean,
];

/** The first `times` requests that match go wrong. */
export const failFirstOf = (server: NutrientServer, ...[times, fault, match = () => true]: FailFirst): void => {
  let left = times;
  server.fault = ({ path, method }) => {
    if (left === 0 || !match(path, method)) return undefined;
    left -= 1;
    return fault;
  };
};

export const errorOf = async (work: Promise<unknown>): Promise<CaseboundError> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof CaseboundError) return error;
    throw error;
  }
  throw new Error('nothing went wrong');
};
