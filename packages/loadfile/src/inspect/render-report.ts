/** The report of an inspection as text for people; lines of at most the width that is given, plain ASCII frames. */
import type { ColumnMapping } from '../mapping/propose-mapping.ts';
import type { ColumnProfile } from '../profile/profile-column.ts';
import type { InspectReport } from './inspect-load-file.ts';

/** Control characters and line breaks by name, so that a file cannot write to the reader's terminal. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\uFFFD]/gu, (character) =>
    character === '\n' ? '⏎' : `<${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}>`,
  );

const cut = (text: string, width: number): string => {
  const characters = Array.from(printable(text));
  return characters.length <= width ? characters.join('') : `${characters.slice(0, width - 1).join('')}…`;
};

const formatNames: Readonly<Record<string, string>> = {
  dat: 'Concordance DAT',
  csv: 'CSV',
  tsv: 'TSV',
  pipe: 'pipe-delimited text',
  caret: 'caret-delimited text',
  opticon: 'Opticon image list',
  lfp: 'IPRO image list',
  'edrm-xml': 'EDRM XML',
};

const codePoint = (character: string | null): string =>
  character === null ? 'none' : `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

const typeOf = (column: ColumnProfile): string => {
  const { date, type, multiValue } = column;
  const parts: string[] = [type];
  if (date !== null) parts.push(date.formats[0]?.format ?? '', date.order);
  if (multiValue !== null) parts.push(`up to ${multiValue.most} values`);
  return parts.filter((part) => part !== '').join(', ');
};

const targetOf = (mapping: ColumnMapping | undefined): string => {
  if (mapping === undefined) return '';
  return mapping.target === 'core' ? mapping.field : `custom (${mapping.type})`;
};

/** Lays out rows of cells in columns of the width they need, at most `widths`. */
const layOut = (rows: readonly (readonly string[])[], widths: readonly number[]): string[] => {
  const actual = widths.map((limit, index) =>
    Math.min(limit, Math.max(0, ...rows.map((row) => Array.from(row[index] ?? '').length))),
  );
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const text = cut(cell, actual[index] ?? 0);
        return index === row.length - 1
          ? text
          : text + ' '.repeat(Math.max(0, (actual[index] ?? 0) - Array.from(text).length));
      })
      .join('  ')
      .trimEnd(),
  );
};

export interface RenderOptions {
  /** Columns listed; the rest are counted. 200 if absent. */
  readonly maxColumns?: number;
  /** Problems listed; the rest are counted. 20 if absent. */
  readonly maxProblems?: number;
}

/** Renders a report; ends with a line break. */
export const renderInspectReport = (report: InspectReport, options: RenderOptions = {}): string => {
  const { maxColumns = 200, maxProblems = 20 } = options;
  const { delimited, format, encoding } = report;
  const lines: string[] = [];
  const name = formatNames[delimited?.dialect.format ?? format.format] ?? format.format;
  lines.push(`Format     ${name} (${Math.round((delimited?.confidence ?? format.confidence) * 100)} % certain)`);
  lines.push(`Encoding   ${encoding.name}${encoding.bom ? ' with byte-order mark' : ''} (${encoding.reason})`);
  if (delimited !== null) {
    const { column, qualifier, newline, lineEnding } = delimited.dialect;
    const ending = { '\r\n': 'CRLF', '\n': 'LF', '\r': 'CR' }[lineEnding];
    lines.push(
      `Dialect    column ${codePoint(column)}, qualifier ${codePoint(qualifier)}, newline in cells ${codePoint(newline)}, lines end with ${ending}`,
    );
    for (const reason of delimited.reasons) lines.push(`           ${reason}`);
    lines.push(`Header     ${delimited.hasHeader ? 'yes' : 'no'} (${delimited.headerReason})`);
  }
  const rejected = report.rejected > 0 ? `, ${report.rejected} of them rejected` : '';
  lines.push(`Rows       ${report.rows}${rejected}; ${report.bytes} bytes`);
  for (const { kind, count } of report.kinds) lines.push(`           ${count} ${kind}${count === 1 ? '' : 's'}`);
  if (delimited !== null) {
    const shown = delimited.columns.slice(0, maxColumns);
    lines.push('', `Columns (${delimited.columns.length})`);
    const rows = shown.map((column) => [
      String(column.index + 1).padStart(4),
      column.name,
      typeOf(column),
      `${Math.round(column.fillRate * 100)} %`,
      targetOf(delimited.mapping[column.index]),
      column.samples.slice(0, 2).join(' | '),
    ]);
    lines.push(...layOut([['   #', 'name', 'type', 'filled', 'maps to', 'samples'], ...rows], [5, 30, 40, 6, 22, 60]));
    if (delimited.columns.length > shown.length)
      lines.push(`     … and ${delimited.columns.length - shown.length} more`);
    const warnings = delimited.mapping.filter((mapping) => mapping.warning !== null);
    for (const { column, warning } of warnings.slice(0, maxProblems))
      lines.push(`     ! ${cut(column, 40)}: ${cut(warning ?? '', 160)}`);
  }
  const total = report.problemCounts.reduce((sum, { count }) => sum + count, 0);
  lines.push('', total === 0 ? 'No problems' : `Problems (${total})`);
  for (const { code, count } of report.problemCounts) lines.push(`  ${String(count).padStart(8)}  ${code}`);
  const problems = report.problems.slice(0, maxProblems);
  for (const { severity, line, code, message, value } of problems) {
    const place = line === 0 ? 'file' : `line ${line}`;
    const shown = value === undefined ? '' : ` [${cut(value, 60)}]`;
    lines.push(`  ${severity} at ${place}: ${code}: ${cut(message, 200)}${shown}`);
  }
  if (total > problems.length) lines.push(`  … and ${total - problems.length} more`);
  return `${lines.join('\n')}\n`;
};
