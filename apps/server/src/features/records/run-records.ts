/** What `casebound records ...` does with a bare store, except serving it (`serve-records.ts`). */
import {
  auditDocuments,
  auditStore,
  type AuditSummary,
  type Damage,
  emitDdl,
  listStores,
  locateDocuments,
  migrateStore,
  migrateStores,
  type MigrateStoresSummary,
  openStore,
  provisionStore,
} from '@casebound/records';
import { loadModel, quoteStoreName, type RecordsSource, withDatabase } from './record-source.ts';

/** The DDL of a store as one SQL script. */
export const ddlEmit = async (
  source: Pick<RecordsSource, 'schemaFiles' | 'store'>,
  edgePartitions = 1,
): Promise<string> => {
  const model = await loadModel(source.schemaFiles);
  const name = quoteStoreName(source.store);
  const statements = [`CREATE SCHEMA IF NOT EXISTS ${name}`, ...emitDdl(model, source.store, { edgePartitions })];
  return `BEGIN;\n${statements.join(';\n')};\nCOMMIT;\n`;
};

export interface MigrateAllRequest {
  readonly accept: readonly string[];
  readonly dryRun: boolean;
  /** Stores at once. */
  readonly concurrency: number;
  /** Only stores whose name begins with this. */
  readonly prefix: string;
  readonly signal: AbortSignal;
  readonly onStore: (store: string, result: readonly string[] | Error) => void;
}

/** Brings every store of the database to the schema of the files. Run again, it goes on where it was interrupted. */
export const migrateAll = async (
  source: Omit<RecordsSource, 'store'>,
  request: MigrateAllRequest,
): Promise<MigrateStoresSummary> =>
  withDatabase({ ...source, store: 'records' }, async ({ database }, model) => {
    const { accept, dryRun, concurrency, signal, onStore } = request;
    const names = (await listStores(database)).filter((name) => name.startsWith(request.prefix));
    const stores = names.map((schema) => ({ schema, database: database.patient, autocommit: database }));
    return migrateStores(stores, model, { accept, dryRun, concurrency, signal, onStore });
  });

/** Makes the store. Returns whether it was there already. */
export const provision = async (source: RecordsSource): Promise<'created' | 'present'> =>
  withDatabase(source, async ({ database }, model) => provisionStore(database.patient, model, source.store));

/** Brings the store to the schema of the files; returns the changes in words. */
export const migrate = async (
  source: RecordsSource,
  options: { readonly accept: readonly string[]; readonly dryRun: boolean },
): Promise<readonly string[]> =>
  withDatabase(source, async ({ database }, model) =>
    migrateStore(database.patient, database, model, source.store, options),
  );

export interface AuditRequest {
  readonly repair: boolean;
  /** UUIDs or ids; empty for the whole store. */
  readonly documents: readonly string[];
  readonly cascade: boolean;
  readonly restart: boolean;
  readonly onDamage: (damage: Damage) => void;
}

/** Audits the store, or some documents of it. */
export const audit = async (source: RecordsSource, request: AuditRequest): Promise<AuditSummary> =>
  withDatabase(source, async ({ database }, model) => {
    const store = await openStore({ model, database: database.patient, schema: source.store });
    if (request.documents.length === 0)
      return auditStore(store, { repair: request.repair, resume: !request.restart, onDamage: request.onDamage });
    const located = await locateDocuments(store, request.documents, request.cascade);
    const damages = await auditDocuments(store, located, request.repair);
    for (const damage of damages) request.onDamage(damage);
    const byKind: Record<string, number> = {};
    for (const damage of damages) byKind[damage.kind] = (byKind[damage.kind] ?? 0) + 1;
    const repaired = request.repair ? damages.filter((damage) => damage.repairable).length : 0;
    return { checked: located.length, damages: damages.length, repaired, byKind };
  });
