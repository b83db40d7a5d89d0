/** Builds the log. Lines go to standard error: standard output belongs to what a command answers. */
import { destination, pino } from 'pino';
import { createPinoLog } from './adapters/pino-log.ts';
import type { LogConfig } from './config.ts';
import type { Log } from './Port.ts';

/** Takes one JSON line at a time. */
export interface LogStream {
  write(line: string): unknown;
}

const STANDARD_ERROR = 2;

/** A log of JSON lines: `time` (ISO 8601, UTC), `level` (a word), `message`, and the fields. */
export const createLog = (config: LogConfig, stream?: LogStream): Log => {
  const options = {
    level: config.level,
    base: null,
    messageKey: 'message',
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Written before the call returns, so that the line before a crash is not the one that is lost.
  const target = stream === undefined ? destination({ fd: STANDARD_ERROR, sync: true }) : undefined;
  return createPinoLog(pino(options, target ?? { write: (line: string): void => void stream?.write(line) }));
};
