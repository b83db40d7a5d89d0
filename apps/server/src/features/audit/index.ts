export { type AuditSealer, type AuditSealerOptions, createAuditSealer } from './audit-sealer.ts';
export { type AuditEntry, readHistory } from './read-history.ts';
export { type ChangedRecord, type ChangeOrigin, type Changes, recordChanges } from './record-changes.ts';
export { type AuditFinding, type AuditVerification, verifyAudit } from './verify-audit.ts';
