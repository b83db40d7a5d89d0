export { checkValue, type Checked, type FieldDefinition, readCell } from './check-value.ts';
export { createFields, type Fields, type FieldsDependencies, type FieldUpdate } from './create-fields.ts';
export {
  encodeValues,
  type ExhibitValues,
  type FieldType,
  fieldTypes,
  FieldValue,
  type FieldValues,
  isEmptyValue,
} from './field-values.ts';
export { type StoredValues } from './read-values.ts';
export { exhibitsPerSegment, segmentKey, type WrittenSegment, writeSegment } from './segments.ts';
export { linkSegment, unlinkExhibits } from './store.ts';
