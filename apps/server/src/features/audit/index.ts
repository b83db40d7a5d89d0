export { type ChangedRecord, type ChangeOrigin, type Changes, recordChanges } from './record-changes.ts';
