/** From a JSON Schema leaf to its column type, and the SQL type's text. */
import type { JsonSchema } from '../schema/api-schema.ts';
import type { ScalarType } from './model.ts';

const plainType = (schema: JsonSchema): string | null => {
  const type = schema['type'];
  if (typeof type === 'string') return type;
  if (Array.isArray(type)) {
    const kinds: unknown[] = type.filter((kind) => kind !== 'null');
    return kinds.length === 1 && typeof kinds[0] === 'string' ? kinds[0] : null;
  }
  return null;
};

export type NodeKind = 'object' | 'array' | 'scalar' | 'json';

/** What a JSON Schema node becomes: inline members, a table, a typed column, or JSON kept as it is. */
export const nodeKind = (schema: JsonSchema): NodeKind => {
  const type = plainType(schema);
  if (type === 'object') return typeof schema['properties'] === 'object' ? 'object' : 'json';
  if (type === 'array') return 'array';
  return type === null ? 'json' : 'scalar';
};

/** Column type of a leaf; null for a JSON type there is none for. Decimal bounds come from `decimalPropertyValidationInfos`. */
export const scalarType = (
  schema: JsonSchema,
  decimal:
    | { readonly totalDigits?: number | null | undefined; readonly decimalPlaces?: number | null | undefined }
    | undefined,
): ScalarType | null => {
  switch (plainType(schema)) {
    case 'integer':
      return { kind: 'bigint' };
    case 'number':
      return { kind: 'numeric', precision: decimal?.totalDigits ?? null, scale: decimal?.decimalPlaces ?? null };
    case 'boolean':
      return { kind: 'boolean' };
    case 'string':
      if (schema['format'] === 'date') return { kind: 'date' };
      if (schema['format'] === 'time') return { kind: 'time' };
      if (schema['format'] === 'date-time') return { kind: 'timestamp' };
      return { kind: 'text' };
    case null:
    case 'object':
      return { kind: 'json' };
    default:
      return null;
  }
};

/** The SQL type of a column. */
export const sqlType = (type: ScalarType): string => {
  switch (type.kind) {
    case 'text':
      return 'text';
    case 'bigint':
      return 'bigint';
    case 'numeric':
      if (type.precision === null) return 'numeric';
      return type.scale === null ? `numeric(${type.precision})` : `numeric(${type.precision},${type.scale})`;
    case 'boolean':
      return 'boolean';
    case 'date':
      return 'date';
    case 'time':
      return 'time';
    case 'timestamp':
      return 'timestamptz';
    case 'json':
      return 'jsonb';
  }
};
