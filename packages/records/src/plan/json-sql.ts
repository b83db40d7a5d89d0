/**
 * SQL expressions that render a column as JSON text or as identity text.
 *
 * - JSON text is built by concatenation: a NULL makes its `"name":value` NULL and `concat_ws` drops it, so absent members need no
 *   second pass over the document.
 * - Formats do not depend on session settings (DateStyle, TimeZone, extra_float_digits).
 */
import type { ScalarType } from '../derive/model.ts';
import { quoteLiteral } from '../derive/naming.ts';

const timestampText = (sql: string): string =>
  `to_char(${sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || rtrim(to_char(${sql} AT TIME ZONE 'UTC', '.US'), '.0') || 'Z'`;

/** JSON text of a scalar expression; NULL for NULL. */
export const jsonValueSql = (sql: string, type: ScalarType): string => {
  switch (type.kind) {
    case 'text':
    case 'date':
      return `to_json(${sql})::text`;
    case 'bigint':
    case 'numeric':
    case 'boolean':
    case 'json':
      return `${sql}::text`;
    case 'time':
      return `'"' || ${sql}::text || '"'`;
    case 'timestamp':
      // The form that `to_json` gives a moment without zone does not depend on settings; it is a third of the price of `to_char`.
      return `rtrim(to_json(${sql} AT TIME ZONE 'UTC')::text, '"') || 'Z"'`;
  }
};

/** The text of a value inside an identity; must be what `canonicalText` gives for the same value. */
export const identityTextSql = (sql: string, type: ScalarType): string => {
  switch (type.kind) {
    case 'text':
      return sql;
    case 'bigint':
    case 'boolean':
    case 'time':
    case 'json':
      return `${sql}::text`;
    case 'numeric':
      return `trim_scale(${sql})::text`;
    case 'date':
      return `to_char(${sql}, 'YYYY-MM-DD')`;
    case 'timestamp':
      return timestampText(sql);
  }
};

/** `"name":value` as SQL text. */
export const jsonMemberSql = (name: string, value: string): string =>
  `${quoteLiteral(`${JSON.stringify(name)}:`)} || ${value}`;

/** A function takes 100 arguments at most. */
const argumentsPerCall = 80;

/** Comma-joined parts without the NULL ones; '' when all are NULL. */
export const joinPartsSql = (parts: readonly string[]): string => {
  if (parts.length <= argumentsPerCall) return `concat_ws(',', ${parts.join(', ')})`;
  const groups: string[] = [];
  for (let at = 0; at < parts.length; at += argumentsPerCall) {
    groups.push(`nullif(concat_ws(',', ${parts.slice(at, at + argumentsPerCall).join(', ')}), '')`);
  }
  return joinPartsSql(groups);
};
