/** Logs as JSON lines by pino. Every field passes the allow-list, every error becomes class, code and frames. */
import type { Logger } from 'pino';
import { describeError } from '../describe-error.ts';
import { allowFields } from '../field-shapes.ts';
import type { Log, LogFields } from '../Port.ts';

export const createPinoLog = (logger: Logger): Log => ({
  debug(message, fields = {}) {
    if (logger.isLevelEnabled('debug')) logger.debug(allowFields(fields), message);
  },
  info(message, fields = {}) {
    if (logger.isLevelEnabled('info')) logger.info(allowFields(fields), message);
  },
  warn(message, fields = {}) {
    if (logger.isLevelEnabled('warn')) logger.warn(allowFields(fields), message);
  },
  error(message: string, fields: LogFields = {}, error?: unknown) {
    if (!logger.isLevelEnabled('error')) return;
    const described = error === undefined ? {} : { error: describeError(error) };
    logger.error({ ...allowFields(fields), ...described }, message);
  },
  with(fields) {
    return createPinoLog(logger.child(allowFields(fields)));
  },
});
