export { openRecordDatabase, type OpenRecordDatabase, type RecordDatabaseOptions } from './record-database.ts';
export { recordsPlugin, type RecordsPluginOptions } from './records-plugin.ts';
export {
  audit,
  ddlEmit,
  migrate,
  provision,
  type RecordsSource,
  runRecordsServe,
  type RunningRecords,
  type ServeOptions,
} from './run-records.ts';
