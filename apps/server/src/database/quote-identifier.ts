/**
 * The one function that turns a name into SQL. Every identifier that is not a literal in our own source goes through it.
 */
import { CaseboundError } from '@casebound/contract';

/** PostgreSQL cuts longer names silently (NAMEDATALEN - 1), and two names could become one. */
const maximumBytes = 63;

/** `na"me` -> `"na""me"`. Errors: `internal` for an empty name, one with NUL, or one of more than 63 bytes in UTF-8. */
export function quoteIdentifier(name: string): string {
  if (name.length === 0 || name.includes('\0') || !name.isWellFormed() || Buffer.byteLength(name) > maximumBytes) {
    throw new CaseboundError('internal', `${JSON.stringify(name)} cannot be a database identifier.`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** `quoteQualified('case_7', 'exhibit')` -> `"case_7"."exhibit"`. */
export function quoteQualified(...names: readonly string[]): string {
  return names.map(quoteIdentifier).join('.');
}
