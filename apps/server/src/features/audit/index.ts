export { type AuditSealer, type AuditSealerOptions, createAuditSealer } from './audit-sealer.ts';
export { type ChangedRecord, type ChangeOrigin, type Changes, recordChanges } from './record-changes.ts';
export { type AuditHandlerParts, createAuditHandlers } from './routes.ts';
