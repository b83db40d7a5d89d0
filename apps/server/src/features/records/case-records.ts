/**
 * The record store of each case: made with the case, opened once a process, brought to this version's model at the start.
 *
 * - What is remembered of an open store is the same for every caller; who asks stands in the transaction (`withCase`).
 * - `within` lets records change in a transaction with other rows of the case (audit, pointers, outbox): together or not at all.
 *   Its store does not repeat by itself; the transaction's owner does.
 */
import { CaseboundError, type Actor, type CaseId } from '@casebound/contract';
import {
  defaultWatchdog,
  emitDdl,
  type Model,
  openStore,
  type RecordDatabase,
  type Resource,
  type StoreContext,
} from '@casebound/records';
import { caseSchema, type CaseSessions, type OwnerTransaction, type Transaction } from '../../database/index.ts';
import { caseRecordDatabase } from './case-record-database.ts';

export interface CaseRecords {
  readonly model: Model;
  /** Makes the store in the transaction that makes the case. */
  readonly provision: (
    tx: OwnerTransaction,
    place: { readonly caseId: CaseId; readonly schema: string },
  ) => Promise<void>;
  /** The store with transactions of its own. Errors: those of `withCase`, `schema_mismatch`, `store_not_provisioned`. */
  open(caseId: CaseId, actor: Actor, signal?: AbortSignal): Promise<StoreContext>;
  /** The store within a transaction of the case that the caller holds. Errors: as `open`. */
  within(caseId: CaseId, tx: Transaction): Promise<StoreContext>;
  /** Forgets a case that was deleted or migrated. */
  forget(caseId: CaseId): void;
  /** Takes the written documents that were drawn for a check since the last call; the watchdog looks at them. */
  takeSampledCommits(): ReadonlyMap<CaseId, readonly CommittedDocument[]>;
}

export interface CommittedDocument {
  readonly resource: Resource;
  readonly documentId: number;
}

export interface CaseRecordsOptions {
  readonly sessions: CaseSessions;
  readonly model: Model;
  readonly metrics?: StoreContext['metrics'];
  readonly crashPoint?: (name: string) => void;
  /** Share of written documents that is drawn for a check. Default 0.5 %. */
  readonly commitShare?: number;
}

/** A store's statements are compiled as they are used, some hundred kilobytes each. */
const rememberedStores = 1_000;
/** Drawn documents that wait for their check; beyond it none are drawn, so that they cannot grow without bound. */
const maxSampled = 1_000;
const once = { attempts: 1, baseMs: 0, maxMs: 0 };

export const recordsFingerprintSql = `INSERT INTO casebound.case_records (case_id, fingerprint) VALUES ($1, $2)
  ON CONFLICT (case_id) DO UPDATE SET fingerprint = excluded.fingerprint, applied_at = now()`;

/**
 * A transaction that is held already, as the store's database: what the store rolls back is rolled back to where it began, and when to
 * commit is the holder's.
 */
const heldDatabase = (tx: Transaction): RecordDatabase => ({
  transaction: async (fn) =>
    tx.savepoint(async (inner) => fn({ query: async (text, values) => inner.query(text, values) })),
});

export const createCaseRecords = (options: CaseRecordsOptions): CaseRecords => {
  const { sessions, model, metrics, crashPoint } = options;
  const commitShare = options.commitShare ?? defaultWatchdog.commitShare;
  let sampled: (CommittedDocument & { readonly caseId: CaseId })[] = [];
  const stores = new Map<CaseId, StoreContext>();
  const extras = {
    ...(metrics === undefined ? {} : { metrics }),
    ...(crashPoint === undefined ? {} : { crashPoint }),
  };
  const storeOf = async (caseId: CaseId, database: RecordDatabase): Promise<StoreContext> => {
    const known = stores.get(caseId);
    if (known !== undefined) return known;
    const afterCommit: StoreContext['afterCommit'] = (resource, documentIds) => {
      for (const documentId of documentIds)
        if (sampled.length < maxSampled && Math.random() < commitShare) sampled.push({ caseId, resource, documentId });
    };
    const opened = await openStore({ model, database, schema: caseSchema(caseId), afterCommit, ...extras });
    const oldest = stores.size >= rememberedStores ? stores.keys().next().value : undefined;
    if (oldest !== undefined) stores.delete(oldest);
    stores.set(caseId, opened);
    return opened;
  };
  return {
    model,
    async provision(tx, { caseId, schema }) {
      await tx.script(emitDdl(model, schema).join(';\n'));
      await tx.query(recordsFingerprintSql, [caseId, model.fingerprint]);
    },
    async open(caseId, actor, signal) {
      const database = caseRecordDatabase(sessions, caseId, actor, signal === undefined ? {} : { signal });
      return { ...(await storeOf(caseId, database)), database };
    },
    async within(caseId, tx) {
      const database = heldDatabase(tx);
      return { ...(await storeOf(caseId, database)), database, retry: once };
    },
    forget(caseId) {
      stores.delete(caseId);
      sampled = sampled.filter((each) => each.caseId !== caseId);
    },
    takeSampledCommits() {
      return Map.groupBy(sampled.splice(0), (each) => each.caseId);
    },
  };
};

/** A resource of the case model by its endpoint, `exhibits`. */
export const caseResource = (model: Model, endpoint: string): ReturnType<StoreContext['resource']> => {
  const found = model.byEndpoint.get(`case/${endpoint.toLowerCase()}`);
  if (found === undefined) throw new CaseboundError('internal', `The case model has no resource ${endpoint}.`);
  return found;
};
