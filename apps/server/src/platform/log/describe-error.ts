/**
 * What a log says of an error: class, code and where it was thrown, of it and its causes. Never a message, since a
 * driver's or a parser's message may hold values (a key that is not unique, the text that is not JSON).
 */

export interface ErrorDescription {
  readonly class: string;
  readonly code?: string;
  /** Frames only: `at function (file:line:column)`. */
  readonly stack?: readonly string[];
  readonly cause?: ErrorDescription;
}

const MAX_CAUSES = 5;
const MAX_FRAMES = 30;
const className = /^[A-Z][A-Za-z0-9]{0,63}$/;
/** `ECONNREFUSED`, `FST_ERR_CTP_BODY_TOO_LARGE`, SQLSTATE `40P01`, `case_not_found`: one word. */
const codeShape = /^[A-Za-z0-9_]{2,64}$/;
/** A line of V8's stack trace. */
const frame = /^ {4}at [^\n]{1,400}$/;

const classOf = (error: Error): string => {
  const name: unknown = error.constructor.name;
  return typeof name === 'string' && className.test(name) ? name : 'Error';
};

const codeOf = (error: Error): string | undefined => {
  const code = 'code' in error ? error.code : 'sqlState' in error ? error.sqlState : undefined;
  return typeof code === 'string' && codeShape.test(code) ? code : undefined;
};

/**
 * The frames of a stack. V8 writes the message above them, and a message of several lines can look like frames itself: so
 * the message is cut off as such, and where it cannot be found there (it was changed later), there is no stack.
 */
const framesOf = (error: Error): readonly string[] | undefined => {
  const { stack, message } = error;
  if (typeof stack !== 'string' || typeof message !== 'string') return undefined;
  const at = message === '' ? 0 : stack.indexOf(message);
  if (at < 0) return undefined;
  const lines = stack.slice(at + message.length).split('\n');
  if (message !== '' && lines[0] !== '') return undefined;
  const frames = lines.slice(1);
  return frames.every((line) => frame.test(line)) ? frames.slice(0, MAX_FRAMES).map((line) => line.trim()) : undefined;
};

const describeLink = (error: unknown, depth: number): ErrorDescription => {
  if (!(error instanceof Error)) return { class: error === null ? 'null' : typeof error };
  const code = codeOf(error);
  const stack = framesOf(error);
  return {
    class: classOf(error),
    ...(code === undefined ? {} : { code }),
    ...(stack === undefined ? {} : { stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeLink(error.cause, depth + 1) }),
  };
};

/** Describes whatever was thrown. A cause that leads back to itself ends after five. */
export const describeError = (error: unknown): ErrorDescription => describeLink(error, 1);
