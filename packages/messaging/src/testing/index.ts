export { expectIdempotent, snapshotTables } from './expect-idempotent.ts';
export type { IdempotencyOptions, IdempotencyWorld } from './expect-idempotent.ts';
