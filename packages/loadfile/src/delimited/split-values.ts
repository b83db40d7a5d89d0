/** Cells that hold several values, or levels of a nested one, by the separators of the dialect. */
import { CaseboundError } from '@casebound/contract';
import type { DelimitedDialect } from './dialect.ts';

/** The values of a multi-value cell, trimmed, empty ones left out: `a; b;;c` is `a`, `b`, `c`. */
export const splitMultiValue = (cell: string, dialect: Pick<DelimitedDialect, 'multiValue'>): string[] =>
  cell
    .split(dialect.multiValue)
    .map((value) => value.trim())
    .filter((value) => value !== '');

/** The levels of a nested value, outermost first: `Finance\Audit` is `Finance`, `Audit`. */
export const splitNested = (value: string, dialect: Pick<DelimitedDialect, 'nested'>): string[] =>
  value.split(dialect.nested).filter((level) => level !== '');

/**
 * Joins values into a cell that `splitMultiValue` takes apart again.
 * @throws CaseboundError `load_file_value_unwritable` for a value that contains the separator, is empty, or has space at
 *   its ends: there is no way to write those.
 */
export const joinMultiValue = (values: readonly string[], dialect: Pick<DelimitedDialect, 'multiValue'>): string => {
  for (const value of values) {
    if (value.includes(dialect.multiValue) || value.trim() !== value || value === '') {
      throw new CaseboundError(
        'load_file_value_unwritable',
        `A value of a multi-value cell contains the separator ${JSON.stringify(dialect.multiValue)}, is empty or has space at its ends; choose another separator.`,
      );
    }
  }
  return values.join(dialect.multiValue);
};
