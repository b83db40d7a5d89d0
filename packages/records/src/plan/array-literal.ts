/** Array literals for `unnest($1::type[])`: one bound value per column, whatever the number of rows. */

const escape = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

/** PostgreSQL's text form of an array; NULL for null. Strings are always quoted, so `null` as a text stays a text. */
export const arrayLiteral = (cells: readonly (string | number | boolean | null)[]): string => {
  const parts = cells.map((cell) => {
    if (cell === null) return 'NULL';
    return typeof cell === 'string' ? escape(cell) : String(cell);
  });
  return `{${parts.join(',')}}`;
};
