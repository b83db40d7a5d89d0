/** Load files of legal productions: DAT, CSV, TSV, pipe, caret, Opticon, IPRO and EDRM XML, streamed in both directions. */
export type { DelimitedDialect, DelimitedFormat, DialectChoice } from './delimited/dialect.ts';
export { checkDialect, datDialect, dialectOf, dialects } from './delimited/dialect.ts';
export type { DialectDetection } from './delimited/detect-dialect.ts';
export type { HeaderDetection } from './delimited/detect-header.ts';
export type { Column, DelimitedOptions } from './delimited/open-delimited.ts';
export { DelimitedReader } from './delimited/open-delimited.ts';
export type { Row } from './delimited/split-records.ts';
export { joinMultiValue, splitMultiValue, splitNested } from './delimited/split-values.ts';
export type { DelimitedWriteOptions, ReplacedValue, UnrepresentablePolicy } from './delimited/write-delimited.ts';
export { writeDelimited } from './delimited/write-delimited.ts';
export * from './edrm/edrm-model.ts';
export type { EdrmReadOptions } from './edrm/read-edrm-xml.ts';
export { readEdrmXml } from './edrm/read-edrm-xml.ts';
export { writeEdrmXml } from './edrm/write-edrm-xml.ts';
export type { Families, FamilyProblem, FamilyProblemCode, FamilyRow } from './families/group-families.ts';
export { familiesFromGroupIds, familiesFromParentIds, familiesFromRanges } from './families/group-families.ts';
export type { LfpBoundary, LfpFile, LfpLine, LfpRecord } from './image-lists/lfp.ts';
export { lfpPath, readLfp, writeLfp } from './image-lists/lfp.ts';
export type { ImageListOptions, OpticonDocument, OpticonLine, OpticonPage } from './image-lists/opticon.ts';
export { groupOpticonDocuments, readOpticon, writeOpticon } from './image-lists/opticon.ts';
export type { ByteSource } from './input/byte-input.ts';
export type { LoadFileEncoding } from './input/sniff-encoding.ts';
export type { FormatDetection, LoadFileFormat } from './inspect/detect-format.ts';
export { detectFormat } from './inspect/detect-format.ts';
export type { DelimitedBeginning, DelimitedFindings } from './inspect/inspect-delimited.ts';
export type { InspectOptions, InspectProgress, InspectReport } from './inspect/inspect-load-file.ts';
export { inspectLoadFile } from './inspect/inspect-load-file.ts';
export type { RenderOptions } from './inspect/render-report.ts';
export { renderInspectReport } from './inspect/render-report.ts';
export type { LoadFileLimits } from './limits.ts';
export { defaultLimits } from './limits.ts';
export type { CoreField, CoreFieldKind } from './mapping/core-fields.ts';
export { coreFields, createCoreFieldIndex, isCoreField, normalizeColumnName } from './mapping/core-fields.ts';
export type { ColumnMapping, CustomFieldType } from './mapping/propose-mapping.ts';
export { proposeMapping } from './mapping/propose-mapping.ts';
export type { LoadPath, LoadPathOptions, PathRefusal } from './paths/resolve-load-path.ts';
export { resolveLoadPath } from './paths/resolve-load-path.ts';
export type { LoadFileProblem, ProblemCode, ProblemSink, RowFate, Severity } from './problems.ts';
export { isRejected, ProblemLog, problemTable } from './problems.ts';
export type { ControlNumber, ControlNumberRange, RangeRefusal } from './profile/control-number.ts';
export {
  compareControlNumbers,
  formatControlNumber,
  isInRange,
  parseControlNumber,
  parseRange,
  rangeOf,
} from './profile/control-number.ts';
export type { DateOrder, DateReading, ParsedDate } from './profile/parse-date.ts';
export { parseDate } from './profile/parse-date.ts';
export type { ColumnDateOrder, ColumnProfile, DateProfile } from './profile/profile-column.ts';
export { ColumnProfiler } from './profile/profile-column.ts';
export type { ValueType } from './profile/classify-value.ts';
