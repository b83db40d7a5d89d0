/**
 * The fingerprint of a set of API schemas: SHA-256 over the minified, key-sorted JSON without documentation members.
 *
 * - Two files that differ only in key order, white space or descriptions have one fingerprint.
 * - A member *named* `description` of a document is no documentation: below `properties` every key counts.
 */
import { createHash } from 'node:crypto';

const documentationMembers = new Set(['description', 'title', '$comment', 'examples']);

/** Whether a parsed JSON value nests deeper than `limit`; iterative, because the value may be hostile. */
export const isDeeperThan = (value: unknown, limit: number): boolean => {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return true;
    level = level.flatMap((node): unknown[] => (typeof node === 'object' && node !== null ? Object.values(node) : []));
  }
  return false;
};

const canonical = (value: unknown, keysAreNames: boolean): string => {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, false)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const parts = Object.entries(value)
    .filter(([key, member]) => member !== undefined && (keysAreNames || !documentationMembers.has(key)))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(
      ([key, member]) =>
        `${JSON.stringify(key)}:${canonical(member, !keysAreNames && (key === 'properties' || key === 'resourceSchemas' || key === 'documentPathsMapping' || key === 'queryFieldMapping' || key === 'abstractResources'))}`,
    );
  return `{${parts.join(',')}}`;
};

/** Canonical text of one API schema file, and its SHA-256 in hex. */
export const fingerprintOf = (schema: unknown): string =>
  createHash('sha256').update(canonical(schema, false)).digest('hex');

/** One fingerprint of several components, whatever their order. */
export const combineFingerprints = (parts: readonly string[]): string =>
  createHash('sha256')
    .update([...parts].sort().join('\n'))
    .digest('hex');
