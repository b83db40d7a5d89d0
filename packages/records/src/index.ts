/** The public face of the record store. */
export { requireCustomViews } from './auth/check-rules.ts';
export { type AuthorizationRules, type Claims, parseAuthorization } from './auth/claim-set.ts';
export { emitDdl } from './ddl/emit-ddl.ts';
export { arrayLiteral } from './plan/array-literal.ts';
export { provisionStore } from './ddl/provision.ts';
export { deriveModel } from './derive/derive-model.ts';
export { type ModelManifest, modelManifest } from './derive/manifest.ts';
export { displayName, type Model, type Resource, resourceId, type ResourceName } from './derive/model.ts';
export {
  applyDeferredBumps,
  countWaitingBumps,
  type DeferredBumpJob,
  startDeferredBumps,
} from './identity/deferred-bumps.ts';
export { referentialId, descriptorReferentialId, uuidV5 } from './identity/referential-id.ts';
export {
  type CounterName,
  type HistogramName,
  recordCounters,
  recordHistograms,
  type RecordMetrics,
} from './metrics.ts';
export { openStore, type OpenStoreOptions } from './open-store.ts';
export type { Filter } from './query/filter-sql.ts';
export {
  getDocument,
  listDocuments,
  type ListOptions,
  type Page,
  type ReadOptions,
  type StoredDocument,
} from './read/read-documents.ts';
export { readMany } from './read/read-many.ts';
export { loadSchema, type LoadedSchema } from './schema/load-schema.ts';
export { type RecordDatabase, type RecordTransaction, settleAll, sqlFailureOf } from './session.ts';
export { type CacheMode, defaultLimits, type Incident, type StoreContext, type StoreLimits } from './store-context.ts';
export { deleteDocument, type DeleteOptions } from './write/delete-document.ts';
export { checkJsonValue, defaultJsonLimits, type JsonValue, parseJson } from './write/parse-json.ts';
export { matchesWeakly } from './write/preconditions.ts';
export { putDocument, upsertDocument, type WriteOptions, type WriteResult } from './write/write-document.ts';
export {
  auditDocuments,
  type AuditOptions,
  auditStore,
  type AuditSummary,
  locateDocuments,
} from './audit/audit-store.ts';
export type { Damage, DamageKind } from './audit/audit-documents.ts';
export {
  createWatchdog,
  defaultWatchdog,
  requireHealthy,
  type Watchdog,
  type WatchdogOptions,
} from './audit/watchdog.ts';
export { bulkWrite, type BulkOptions, type BulkRow, type BulkSummary } from './bulk/bulk-write.ts';
export type { RowOutcome } from './bulk/plan-batch.ts';
export { finishOnline, migrateStore, type AutocommitSession } from './migrate/migrate-store.ts';
export { listStores, migrateStores, type MigrateStoresSummary, type StoreToMigrate } from './migrate/migrate-stores.ts';
export { expectedEdgesSql } from './audit/expected-edges.ts';
export { compileCopyPlan, type CopyPlan } from './copy/compile-plan.ts';
export {
  type ColumnHook,
  type ConflictPolicy,
  type CopyPolicy,
  type DependentRule,
  lookUpValue,
  prefixValue,
  remapBits,
  type ResourceMode,
  type ResourcePolicy,
  type RowHook,
  type RowScope,
  sourceDocumentId,
} from './copy/policy.ts';
export {
  type CopyAcross,
  type CopyProgress,
  type CopyState,
  copyState,
  openCopy,
  type OpenCopyOptions,
  type RecordCopy,
  selectRecords,
  selectRecordsBy,
  setValueMap,
  type StreamingDatabase,
  type StreamingTransaction,
} from './copy/open-copy.ts';
export { type CopySummary, mapRecords, type ResourceCounts } from './copy/map-records.ts';
export { copyRecords } from './copy/run-copy.ts';
export { type CopyComparison, type CopyDifference, compareCopied } from './copy/compare-copied.ts';
export { forgetCopy, type KeptRecord, removeCopied, type RemovalSummary } from './copy/remove-copied.ts';
