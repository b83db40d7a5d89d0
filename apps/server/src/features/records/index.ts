export { caseRecordDatabase } from './case-record-database.ts';
export { type CaseRecords, type CaseRecordsOptions, caseResource, createCaseRecords } from './case-records.ts';
export { caseSchemaFile } from './case-schema-file.ts';
export { migrateCaseRecords, type MigrateCaseRecordsOptions } from './migrate-case-records.ts';
export { openRecordDatabase, type OpenRecordDatabase, type RecordDatabaseOptions } from './record-database.ts';
export { recordsPlugin, type RecordsPluginOptions } from './records-plugin.ts';
export {
  audit,
  ddlEmit,
  loadModel,
  migrate,
  provision,
  type RecordsSource,
  runRecordsServe,
  type RunningRecords,
  type ServeOptions,
} from './run-records.ts';
