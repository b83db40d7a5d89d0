/**
 * Reads a configuration file, YAML 1.2 or JSON, into located values.
 *
 * - Every failure names file, line and column in one sentence and quotes nothing of the file: it may hold secrets.
 * - The input is bounded: 128 KiB, 32 levels, no aliases (so nothing expands), no tags, no second document.
 * - A key stands once in a mapping; `__proto__`, `constructor` and `prototype` stand nowhere.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { extname } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { ConfigSyntaxError } from './config-syntax.ts';
import { readJson } from './read-json.ts';
import { readYaml } from './read-yaml.ts';
import type { Located } from './located-value.ts';

/** Bytes. The complete configuration with every key spelled out has about a tenth of it. */
const maxConfigFileBytes = 128 * 1024;

const invalid = (detail: string, cause?: unknown): CaseboundError =>
  new CaseboundError('config_invalid', detail, { cause, errors: [{ path: '$', message: detail }] });

const systemCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';

const openFailure = (file: string, error: unknown): CaseboundError => {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return invalid(`The configuration file ${file} does not exist; create it or correct the path.`, error);
    case 'EACCES':
    case 'EPERM':
      return invalid(`The configuration file ${file} may not be read by this user; change its permissions.`, error);
    case 'ELOOP':
      return invalid(`The configuration file ${file} is a symbolic link that leads in a circle.`, error);
    default:
      return invalid(`The configuration file ${file} could not be read (${systemCode(error)}).`, error);
  }
};

const readBounded = async (handle: FileHandle, file: string): Promise<Buffer> => {
  const stat = await handle.stat();
  if (stat.isDirectory()) throw invalid(`${file} is a folder; name the configuration file in it.`);
  if (!stat.isFile()) throw invalid(`The configuration file ${file} is not a regular file.`);
  const buffer = Buffer.alloc(maxConfigFileBytes + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
  throw invalid(
    `The configuration file ${file} is larger than ${maxConfigFileBytes / 1024} KiB; it is not configuration.`,
  );
};

const decode = (bytes: Buffer, file: string): string => {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw invalid(`The configuration file ${file} is in UTF-16; save it as UTF-8.`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid(`The configuration file ${file} is not UTF-8 text; save it as UTF-8.`);
  }
  const control = /[^\P{Cc}\t\n\r\u0085]/u.exec(text);
  if (control !== null)
    throw atOffset(file, text, new ConfigSyntaxError(control.index, 'there is a control character'));
  return text;
};

/** Line and column from 1; a column counts UTF-16 units. */
const positionAt = (text: string, offset: number): { readonly line: number; readonly column: number } => {
  const before = text.slice(0, offset);
  const lines = before.split(/\r\n|\r|\n/);
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
};

const atOffset = (file: string, text: string, error: ConfigSyntaxError): CaseboundError => {
  const { line, column } = positionAt(text, error.offset);
  return invalid(`${file}, line ${line}, column ${column}: ${error.message}.`);
};

/**
 * Reads `file` (absolute). Undefined when it holds nothing but blanks and comments. Throws `config_invalid` with one
 * sentence that says what to correct.
 */
export const readConfigFile = async (file: string): Promise<Located | undefined> => {
  let bytes: Buffer;
  try {
    // Non-blocking, so that a named pipe without a writer is an error and not a hang.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      bytes = await readBounded(handle, file);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw error instanceof CaseboundError ? error : openFailure(file, error);
  }
  const text = decode(bytes, file);
  const lineAt = lineFinder(text);
  const originAt = (offset: number) => ({ kind: 'file', file, line: lineAt(offset) }) as const;
  try {
    const located = extname(file).toLowerCase() === '.json' ? readJson(text, originAt) : readYaml(text, originAt);
    if (located === undefined || (located.type === 'scalar' && located.value === null)) return undefined;
    if (located.type !== 'mapping') {
      throw new ConfigSyntaxError(0, 'expected a mapping of areas such as "http:" at the top');
    }
    return located;
  } catch (error) {
    if (error instanceof ConfigSyntaxError) throw atOffset(file, text, error);
    throw error;
  }
};

const lineFinder = (text: string): ((offset: number) => number) => {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\r|\n/g)) starts.push(match.index + match[0].length);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
};
