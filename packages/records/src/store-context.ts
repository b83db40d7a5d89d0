/**
 * What every operation of one open store shares. Built once by `openStore`; holds no state but compiled statements.
 */
import { CaseboundError } from '@casebound/contract';
import type { AuthorizationRules } from './auth/claim-set.ts';
import { type Model, type Resource, resourceId, type ResourceName } from './derive/model.ts';
import { ReadSql } from './plan/read-sql.ts';
import { WriteSql } from './plan/write-sql.ts';
import type { RecordMetrics } from './metrics.ts';
import type { RetryObserver, RetryOptions } from './retry.ts';
import type { RecordDatabase } from './session.ts';
import { compileFlatPlan, type FlatPlan, oneNameEach } from './write/flat-plan.ts';
import type { JsonLimits } from './write/parse-json.ts';
import { type ObjectShape, shapeOf } from './write/shape-document.ts';
import { compileValidator, type ResourceValidator } from './write/validate-document.ts';

export interface CascadeLimits {
  /** Documents whose identity an identity change may reach. */
  readonly maxClosure: number;
  readonly maxDepth: number;
  /** Documents that directly show a changed identity and get a new etag. */
  readonly maxFanOut: number;
  /** Beyond `maxFanOut`: fail, or leave the etags of referrers whose identity stays to a background job. */
  readonly beyondFanOut: 'fail' | 'defer';
}

export interface StoreLimits {
  readonly json: JsonLimits;
  readonly cascade: CascadeLimits;
  readonly defaultPage: number;
  readonly maxPage: number;
  readonly maxOffset: number;
}

/** Where `document_cache` rows come from. */
export type CacheMode = 'off' | 'on-write';

export interface Incident {
  readonly kind: string;
  readonly resource: string;
  readonly documentId: number;
  readonly repaired: boolean;
}

export interface StoreContext {
  readonly model: Model;
  readonly schema: string;
  readonly database: RecordDatabase;
  readonly reads: ReadSql;
  readonly writes: WriteSql;
  readonly limits: StoreLimits;
  readonly retry: RetryOptions;
  readonly retryObserver: RetryObserver;
  readonly metrics: RecordMetrics;
  readonly cacheMode: CacheMode;
  readonly authorization: AuthorizationRules | null;
  /** Key of page tokens; a secret of the store. */
  readonly tokenSecret: string;
  readonly crashPoint: (name: string) => void;
  /** Called with documents that were just committed, for the sampled check. */
  readonly afterCommit: (resource: Resource, documentIds: readonly number[]) => void;
  readonly resource: (name: ResourceName) => Resource;
  readonly resourceKey: (name: ResourceName) => number;
  readonly validator: (resource: Resource) => ResourceValidator;
  readonly shape: (resource: Resource) => ObjectShape;
  readonly flatPlan: (resource: Resource) => FlatPlan;
  readonly memo: <T>(key: string, make: () => T) => T;
}

export const defaultLimits: StoreLimits = {
  json: { maxDepth: 64, maxValues: 200_000 },
  cascade: { maxClosure: 50_000, maxDepth: 32, maxFanOut: 200_000, beyondFanOut: 'fail' },
  defaultPage: 25,
  maxPage: 500,
  maxOffset: 100_000_000,
};

export interface ContextInput extends Pick<
  StoreContext,
  | 'model'
  | 'schema'
  | 'database'
  | 'limits'
  | 'retry'
  | 'metrics'
  | 'cacheMode'
  | 'authorization'
  | 'tokenSecret'
  | 'crashPoint'
  | 'afterCommit'
> {
  readonly resourceKeys: ReadonlyMap<string, number>;
}

/** Builds the context: lazily compiled validators and statements over the given parts. */
export const createContext = (input: ContextInput): StoreContext => {
  const validators = new Map<Resource, ResourceValidator>();
  const shapes = new Map<Resource, ObjectShape>();
  const flatPlans = new Map<Resource, FlatPlan>();
  const oneName = oneNameEach();
  const memos = new Map<string, unknown>();
  const lazily = <K, V>(map: Map<K, V>, key: K, make: (key: K) => V): V => {
    const known = map.get(key);
    if (known !== undefined) return known;
    const made = make(key);
    map.set(key, made);
    return made;
  };
  return {
    ...input,
    reads: new ReadSql(input.model, input.schema),
    writes: new WriteSql(input.schema),
    retryObserver: {
      onRetry: (reason) => {
        input.metrics.count('records_retries', { reason });
      },
      onExhausted: (reason) => {
        input.metrics.count('records_retries_exhausted', { reason });
      },
    },
    resource: (name) => {
      const found = input.model.resources.get(resourceId(name));
      if (found === undefined)
        throw new CaseboundError(
          'resource_not_found',
          `There is no resource ${name.projectName}.${name.resourceName}.`,
        );
      return found;
    },
    resourceKey: (name) => {
      const key = input.resourceKeys.get(resourceId(name));
      if (key === undefined)
        throw new CaseboundError('internal', `The store has no key for ${name.projectName}.${name.resourceName}.`);
      return key;
    },
    validator: (resource) => lazily(validators, resource, compileValidator),
    shape: (resource) => lazily(shapes, resource, shapeOf),
    flatPlan: (resource) => lazily(flatPlans, resource, (each) => compileFlatPlan(each, oneName)),
    memo: <T>(key: string, make: () => T): T => {
      if (!memos.has(key)) memos.set(key, make());
      return memos.get(key) as T;
    },
  };
};
