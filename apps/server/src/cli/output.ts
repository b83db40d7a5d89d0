/**
 * Where a command's words go.
 *
 * Invariants:
 * - Results go to stdout, everything else (progress, warnings, logs, errors for people) to stderr.
 * - With `--json`, stdout carries exactly one JSON document: the result, or `{"error": {...}}`.
 */
import { CaseboundError, errorTable, type ErrorCode, type FieldError } from '@casebound/contract';

export interface Streams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

export interface Output {
  readonly json: boolean;
  /** The result: `value` as JSON, or `text` for people. */
  result(value: unknown, text: string): void;
  /** A line about what is going on; not part of the result. */
  note(line: string): void;
  /** Reports an error and returns the exit code that belongs to it. */
  failure(error: unknown): number;
}

const describe = (error: unknown): { code: ErrorCode; detail: string; errors: readonly FieldError[] } =>
  error instanceof CaseboundError
    ? { code: error.code, detail: error.message, errors: error.errors }
    : {
        code: 'internal',
        detail: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
        errors: [],
      };

export const createOutput = (streams: Streams, json: boolean): Output => ({
  json,
  result: (value, text) => {
    streams.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : text === '' ? '' : `${text}\n`);
  },
  note: (line) => {
    streams.stderr.write(`${line}\n`);
  },
  failure: (error) => {
    const { code, detail, errors } = describe(error);
    const { title, remedy, exitCode, family } = errorTable[code];
    if (json) {
      const document = { error: { code, title, detail, remedy, retryable: family === 'recoverable', errors } };
      streams.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    } else {
      streams.stderr.write(`casebound: ${detail}\n`);
      for (const { path, message } of errors) streams.stderr.write(`  ${path}: ${message}\n`);
      streams.stderr.write(`  ${remedy} (${code}, exit code ${exitCode})\n`);
    }
    return exitCode;
  },
});

/** Aligned columns for people; the widths follow the content. */
export const table = (header: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
};
