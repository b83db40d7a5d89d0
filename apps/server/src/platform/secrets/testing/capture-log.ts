/** The real log, writing to memory. */
import { createLog } from '../../log/create-log.ts';
import type { Log } from '../../log/Port.ts';

export interface CapturedLog {
  readonly log: Log;
  /** All lines so far. */
  lines(): string;
}

export const captureLog = (): CapturedLog => {
  const lines: string[] = [];
  return { log: createLog({ level: 'debug' }, { write: (line) => lines.push(line) }), lines: () => lines.join('') };
};
