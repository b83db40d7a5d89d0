/** Array literals for `unnest($1::type[])`: one bound value per column, whatever the number of rows. */

const special = /["\\]/;

const escape = (text: string): string =>
  special.test(text) ? `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : `"${text}"`;

/** PostgreSQL's text form of an array; NULL for null. Strings are always quoted, so `null` as a text stays a text. */
export const arrayLiteral = (cells: readonly (string | number | boolean | null)[]): string => {
  let text = '';
  for (const cell of cells) {
    if (text !== '') text += ',';
    text += cell === null ? 'NULL' : typeof cell === 'string' ? escape(cell) : String(cell);
  }
  return `{${text}}`;
};
