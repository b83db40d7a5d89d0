/** Reads the columns that the queue's own SQL returns. The only place where a row's members get their types. */
export type Row = Readonly<Record<string, unknown>>;

const wrong = (row: Row, name: string): never => {
  throw new TypeError(
    `The column ${name} has a value of type ${typeof row[name]}, which the statement does not return.`,
  );
};

export const text = (row: Row, name: string): string => {
  const value = row[name];
  return typeof value === 'string' ? value : wrong(row, name);
};

/** Integers arrive as numbers or, beyond 32 bits, as text. */
export const integer = (row: Row, name: string): number => {
  const value = row[name];
  if (typeof value === 'number') return value;
  const number = typeof value === 'string' ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : wrong(row, name);
};

export const boolean = (row: Row, name: string): boolean => {
  const value = row[name];
  return typeof value === 'boolean' ? value : wrong(row, name);
};

export const time = (row: Row, name: string): Date => {
  const value = row[name];
  return value instanceof Date ? value : wrong(row, name);
};

export const nullable = <T>(read: (row: Row, name: string) => T, row: Row, name: string): T | null =>
  row[name] === null || row[name] === undefined ? null : read(row, name);
