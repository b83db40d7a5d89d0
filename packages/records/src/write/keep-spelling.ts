/**
 * Descriptors keep the letter case in which they are registered, which is none of their identity.
 *
 * - What shows a descriptor has no edge to it and would not be told: its etag would stand for two bodies, and its cached JSON would be of
 *   another case.
 */
import type { FlatDocument } from './flatten-document.ts';

/** Columns that spell the identity. */
export const spellingColumns: ReadonlySet<string> = new Set(['namespace', 'code_value']);

/** What is to be written over `before`: of a descriptor, with its identity as it is spelled there. */
export const keepSpelling = (before: FlatDocument | null, flat: FlatDocument): FlatDocument => {
  const { root, isDescriptor } = flat.resource;
  if (!isDescriptor) return flat;
  const [stored] = before?.rows.get(root) ?? [];
  const [row] = flat.rows.get(root) ?? [];
  if (stored === undefined || row === undefined) return flat;
  const cells = root.columns.map(({ name }, at) => (spellingColumns.has(name) ? stored : row).cells[at] ?? null);
  return { ...flat, rows: new Map([[root, [{ ...row, cells }]]]) };
};
