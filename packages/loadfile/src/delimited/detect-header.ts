/** Whether the first row of a file names its columns. */
import { createCoreFieldIndex } from '../mapping/core-fields.ts';
import type { Row } from './split-records.ts';

export interface HeaderDetection {
  readonly header: boolean;
  readonly reason: string;
}

/** Values that no column is called: numbers, dates, paths, hashes, addresses, bracketed or long text. */
const isValueLike = (cell: string): boolean =>
  cell.length > 80 ||
  /^[\s\d.,:/+-]+(?:[ap]m)?$/iu.test(cell) ||
  /^[0-9a-f]{32,}$/iu.test(cell) ||
  /[\\@]|\.[a-z]{3,4}$/iu.test(cell) ||
  /^[A-Z]{1,10}[-_ ]?\d{4,}$/u.test(cell);

/**
 * Judges the first row. Known column names decide; otherwise it is a header if its cells are filled, differ from each
 * other and none looks like a value.
 */
export const detectHeader = (rows: readonly Row[]): HeaderDetection => {
  const first = rows[0];
  if (first === undefined) return { header: false, reason: 'There is no row.' };
  const cells = first.cells.map((cell) => cell.trim());
  // An empty last cell is a trailing delimiter rather than a column without a name.
  if (cells.length > 1 && cells.at(-1) === '') cells.pop();
  const filled = cells.filter((cell) => cell !== '');
  const coreFieldOf = createCoreFieldIndex();
  const known = filled.filter((cell) => coreFieldOf(cell) !== undefined).length;
  const valueLike = filled.filter(isValueLike).length;
  if (known > 0 && known >= filled.length / 10 && valueLike <= filled.length / 4) {
    return { header: true, reason: `${known} of ${cells.length} names in the first row are known column names.` };
  }
  const different = new Set(filled.map((cell) => cell.toLowerCase())).size;
  if (filled.length === 0) return { header: false, reason: 'The first row is empty.' };
  if (valueLike > 0) return { header: false, reason: `${valueLike} cells of the first row look like values.` };
  if (filled.length === cells.length && different === filled.length) {
    return {
      header: true,
      reason: 'The cells of the first row are filled, all different, and none looks like a value.',
    };
  }
  return { header: false, reason: 'The first row has empty or repeated cells, as headers do not.' };
};
