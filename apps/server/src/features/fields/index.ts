export { checkValue, type Checked, type FieldDefinition, readCell } from './check-value.ts';
export {
  createFields,
  type Fields,
  type FieldsDependencies,
  type FieldUpdate,
  type NewValues,
  type ReplacedValues,
} from './create-fields.ts';
export {
  encodeValues,
  type ExhibitValues,
  type FieldType,
  fieldTypes,
  FieldValue,
  type FieldValues,
  hasValues,
  isEmptyValue,
  valuesOf,
  type WritableValues,
} from './field-values.ts';
export { type StoredValues } from './read-values.ts';
export { exhibitsPerSegment, segmentKey, type WrittenSegment, writeSegment } from './segments.ts';
export { unlinkExhibits } from './value-store.ts';
export { linkSegment } from './store.ts';
export { type OverlayMode, overlayModes, type ValueChanges } from './change-values.ts';
export { type OverlayOutcome, type OverlayRow, type ValueOverlay } from './overlay-values.ts';
export { createExhibitsChanged, type ExhibitsChanged, type Publish } from './exhibits-changed.ts';
export { createCaseFollower } from './follow-changes.ts';
export { createFieldHandlers } from './routes.ts';
export { createFindByField, type FindByField } from './find-exhibits.ts';
