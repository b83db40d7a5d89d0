/**
 * Lines of a text file, for the formats that have one record a line and no qualifiers.
 *
 * - A line ends with LF or CRLF; in a file without LF, with CR. It is delivered without its break.
 * - A line longer than the limit is reported and skipped; memory stays bounded.
 */
import type { LoadFileLimits } from '../limits.ts';
import type { ProblemSink } from '../problems.ts';
import { problemAt } from '../problems.ts';
import { createFlawReporter } from './report-flaws.ts';
import type { TextInput } from './text-input.ts';

export interface TextLine {
  /** 1-based. */
  readonly line: number;
  readonly text: string;
}

/** Reads the lines of `input`. Blank lines and padding are reported and left out. */
export async function* readLines(
  input: TextInput,
  limits: LoadFileLimits,
  report: ProblemSink,
): AsyncGenerator<readonly TextLine[]> {
  const sample = await input.sample();
  if (sample.guess.binary) {
    report(problemAt('binary_file', 0, 'The file is not text; a load file is expected.'));
    await input.close();
    return;
  }
  if (!sample.guess.fixed && sample.encoding.startsWith('utf-16')) {
    report(problemAt('encoding_assumed', 0, `The file has ${sample.guess.reason}; it is read as ${sample.encoding}.`));
  }
  const { lineBreak } = sample;
  let held = '';
  let line = 1;
  let tooLong = false;
  let delivered = false;
  const lines: TextLine[] = [];
  const reportFlaws = createFlawReporter(report);
  const add = (text: string, terminated: boolean): void => {
    const content = lineBreak === '\n' && text.endsWith('\r') ? text.slice(0, -1) : text;
    const bare = withoutPadding(content);
    if (bare !== content) report(problemAt('padding', line, 'Padding at the start of this line is ignored.'));
    if (tooLong || content.length > limits.maxRecordChars) {
      report(problemAt('record_too_long', line, `The line is longer than ${limits.maxRecordChars} characters.`));
    } else if (bare.trim() !== '') {
      lines.push({ line, text: bare });
      delivered = true;
      if (!terminated) {
        report(
          problemAt('unterminated_last_line', line, 'The last line has no line break; the file may not be complete.'),
        );
      }
    } else if (bare === content) {
      report(problemAt('blank_line', line, 'The line is empty and is skipped.'));
    }
    tooLong = false;
    line++;
  };
  for await (const { text, flaws, final } of input.pieces()) {
    reportFlaws(flaws, line);
    let start = 0;
    for (let at = text.indexOf(lineBreak); at >= 0; at = text.indexOf(lineBreak, start)) {
      add(held + text.slice(start, at), true);
      held = '';
      start = at + 1;
    }
    held += text.slice(start);
    // One more than the limit: a carriage return at the end does not count.
    if (held.length > limits.maxRecordChars + 1) {
      held = '';
      tooLong = true;
    }
    if (final && (held !== '' || tooLong)) add(held, false);
    if (lines.length > 0) yield lines.splice(0);
  }
  if (!delivered) report(problemAt('empty_file', 0, 'The file holds no record.'));
}

/** Drops NUL, Ctrl-Z and byte-order marks, as joined and preallocated files have them. */
const withoutPadding = (text: string): string => {
  let start = 0;
  while (text.startsWith('\0', start) || text.startsWith('\u001A', start) || text.startsWith('\uFEFF', start)) start++;
  return start === 0 ? text : text.slice(start);
};
