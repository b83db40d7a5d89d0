/** Decoding flaws as problems of the file: each kind once a line, however many pieces the line came in. */
import type { ProblemSink } from '../problems.ts';
import { problemAt } from '../problems.ts';
import type { DecodingFlaw } from './decode-text.ts';

/** @returns a function that reports the flaws of a piece of text, which begins on line `firstLine` of the file. */
export const createFlawReporter = (
  report: ProblemSink,
): ((flaws: readonly DecodingFlaw[], firstLine: number) => void) => {
  const lastLine = new Map<string, number>();
  return (flaws, firstLine) => {
    for (const { code, line, message } of flaws) {
      const at = firstLine + line;
      if (lastLine.get(code) === at) continue;
      lastLine.set(code, at);
      report(problemAt(code, at, message));
    }
  };
};
