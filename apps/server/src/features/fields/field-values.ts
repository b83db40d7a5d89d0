/**
 * The values of an exhibit's custom fields, as they lie in the object store and as they travel.
 *
 * - A line is `{"exhibit_id", "custom_fields": {title: value}, "metadata": {"imported_at", "batch_id"}}` in UTF-8 without line breaks.
 * - What has no value has no member: an empty text, an empty list and null are not stored.
 */
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';

/** Kinds of custom fields, named as `CustomField.inputType` names them. */
export const fieldTypes = ['text', 'long_text', 'date', 'number', 'yes_no', 'single_choice', 'multi_choice'] as const;
export type FieldType = (typeof fieldTypes)[number];

/** Text, long text, date (`YYYY-MM-DD` or ISO instant) and a single choice are text; several choices are a list. */
export const FieldValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);
export type FieldValue = z.infer<typeof FieldValue>;
export type FieldValues = Readonly<Record<string, FieldValue>>;

const StoredLine = z.object({
  exhibit_id: z.number().int().positive(),
  custom_fields: z.record(z.string(), FieldValue),
  metadata: z.object({ imported_at: z.string(), batch_id: z.number().int() }),
});

/** Values of one exhibit with where they came from. */
export interface ExhibitValues {
  readonly exhibitId: number;
  readonly values: FieldValues;
  readonly metadata: { readonly importedAt: string; readonly batchId: number };
}

/** As they are written: values may be the text of their JSON object already, which is empty for no values. */
export interface WritableValues extends Omit<ExhibitValues, 'values'> {
  readonly values: FieldValues | string;
}

/** Values as an object. */
export const valuesOf = (values: FieldValues | string): FieldValues =>
  typeof values !== 'string' ? values : values === '' ? {} : (JSON.parse(values) as FieldValues);

export const hasValues = (values: FieldValues | string): boolean =>
  typeof values === 'string' ? values !== '' : Object.keys(values).length > 0;

export const isEmptyValue = (value: FieldValue | null): boolean =>
  value === null || value === '' || (Array.isArray(value) && value.length === 0);

/** The line of an exhibit, without the line feed. */
export const encodeValues = ({ exhibitId, values, metadata }: WritableValues): string => {
  const origin = { imported_at: metadata.importedAt, batch_id: metadata.batchId };
  return typeof values === 'string'
    ? `{"exhibit_id":${exhibitId},"custom_fields":${values || '{}'},"metadata":${JSON.stringify(origin)}}`
    : JSON.stringify({ exhibit_id: exhibitId, custom_fields: values, metadata: origin });
};

/** Reads a line that must be of the given exhibit. Throws `object_corrupt`. */
export const decodeValues = (line: string, exhibitId: number): ExhibitValues => {
  const parsed = StoredLine.safeParse(parseJsonOrUndefined(line));
  if (!parsed.success || parsed.data.exhibit_id !== exhibitId) {
    throw new CaseboundError(
      'object_corrupt',
      `The stored values of the exhibit ${exhibitId} are not what its pointer says; run \`casebound fields reconcile\`.`,
    );
  }
  const { custom_fields: values, metadata } = parsed.data;
  return { exhibitId, values, metadata: { importedAt: metadata.imported_at, batchId: metadata.batch_id } };
};

const parseJsonOrUndefined = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
