/**
 * Names of tables and columns.
 *
 * - Every identifier is snake_case, made of [a-z0-9_] only, and at most 63 bytes; a longer one keeps its first 52 bytes and ends
 *   in `_` and 10 hex digits of the SHA-256 of the full name, so it is stable and (practically) unique.
 * - `quoteIdentifier` and `quoteLiteral` are the only two places where a name becomes SQL text.
 */
import { createHash } from 'node:crypto';

/** PostgreSQL's limit, NAMEDATALEN - 1. */
const maxIdentifierBytes = 63;
const hashDigits = 10;

/** `countyFIPSCode` -> `county_fips_code`; whatever is no letter or digit becomes one underscore. */
export const snakeCase = (name: string): string => {
  const snake = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '');
  if (snake !== '') return /^\d/.test(snake) ? `n_${snake}` : snake;
  return `n_${createHash('sha256').update(name).digest('hex').slice(0, hashDigits)}`;
};

/** Cuts an identifier (ASCII) to 63 bytes as the file's head says. */
export const limitIdentifier = (name: string): string => {
  if (name.length <= maxIdentifierBytes) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, hashDigits);
  return `${name.slice(0, maxIdentifierBytes - hashDigits - 1)}_${hash}`;
};

/** A quoted SQL identifier. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A quoted SQL string literal; safe because backslashes are plain under standard_conforming_strings (the default since 9.1). */
export const quoteLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`;
