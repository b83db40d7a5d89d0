/**
 * Headers of a message or part as they stand, and structured values in them (RFC 5322, RFC 2045, RFC 2231), read with the
 * tolerance that real mail needs.
 */
import { isUtf8 } from 'node:buffer';
import { decodeWords } from 'postal-mime';
import { decodeCharset, isKnownCharset } from '../charset.ts';
import type { ParserFlaw } from '../parser-tasks.ts';

export interface HeaderField {
  /** Lower case. */
  readonly name: string;
  /** Unfolded, not decoded. */
  readonly value: string;
}

/** `value; name=parameter`, as Content-Type has it. */
export interface StructuredValue {
  /** Lower case. */
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

export class HeaderBlock {
  readonly fields: readonly HeaderField[];

  constructor(fields: readonly HeaderField[]) {
    this.fields = fields;
  }

  /** The first field of the name, undecoded. */
  get(name: string): string | undefined {
    return this.fields.find((field) => field.name === name)?.value;
  }

  getAll(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map(({ value }) => value);
  }

  /** The first field of the name, encoded words decoded. */
  text(name: string): string | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : decodeHeaderText(value);
  }

  structured(name: string): StructuredValue | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : parseStructuredValue(value);
  }
}

const encodedWord = /=\?([^?*\s]+)(?:\*[^?]*)?\?[bq]\?[^?]*\?=/giu;

/** Decodes encoded words (RFC 2047); line breaks and U+0000 that hide in them become spaces. */
export const decodeHeaderText = (value: string): string =>
  Array.from(decodeWords(value), (char) => (char < ' ' ? ' ' : char))
    .join('')
    .trim()
    .toWellFormed();

/** Charsets of encoded words that nothing here can decode. */
export const unknownCharsets = (fields: readonly HeaderField[]): string[] => {
  const labels = new Set<string>();
  for (const { value } of fields) {
    for (const [, label = ''] of value.matchAll(encodedWord)) {
      if (!isKnownCharset(label)) labels.add(label.toLowerCase().slice(0, 40));
    }
  }
  return [...labels];
};

/** A line of a header as text: ASCII in good mail; UTF-8 (RFC 6532) or an old code page in other mail. */
export const decodeHeaderLine = (line: Buffer): string =>
  isUtf8(line) ? line.toString('utf8') : decodeCharset(line, 'windows-1252').text;

const fieldLine = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:(.*)$/su;

/**
 * Lines of a header block as fields. Lines that are none are told and left out.
 * @param lines without line breaks.
 */
export const parseHeaderLines = (
  lines: readonly string[],
): { readonly fields: HeaderField[]; readonly flaws: ParserFlaw[] } => {
  const unfolded: { name: string; parts: string[] }[] = [];
  let strays = 0;
  for (const line of lines) {
    const last = unfolded.at(-1);
    if (/^[ \t]/u.test(line)) {
      if (last === undefined) strays++;
      else last.parts.push(line.replace(/^[ \t]+/u, ' '));
      continue;
    }
    const field = fieldLine.exec(line);
    if (field === null) strays++;
    else unfolded.push({ name: (field[1] ?? '').toLowerCase(), parts: [field[2] ?? ''] });
  }
  const flaws: ParserFlaw[] =
    strays === 0 ? [] : [{ code: 'mime_broken', reason: `${strays} lines of a header are no header fields.` }];
  return { fields: unfolded.map(({ name, parts }) => ({ name, value: parts.join('').trim() })), flaws };
};

const maxParameters = 200;

const splitParameters = (rest: string): [string, string][] => {
  const pattern = /;\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))/gsu;
  const found: [string, string][] = [];
  for (const [, name = '', quoted, bare = ''] of rest.matchAll(pattern)) {
    if (found.length >= maxParameters) break;
    found.push([name.toLowerCase(), quoted === undefined ? bare.trim() : quoted.replaceAll(/\\(.)/gsu, '$1')]);
  }
  return found;
};

const percentDecoded = (text: string, charset: string): string => {
  const bytes = Buffer.from(
    text.replaceAll(/%([0-9a-f]{2})/giu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  return decodeCharset(bytes, charset === '' ? 'utf-8' : charset).text;
};

interface Segment {
  readonly index: number;
  readonly extended: boolean;
  readonly text: string;
}

/** Joins the pieces of `name*0*=charset''...; name*1=...` (RFC 2231). */
const joinSegments = (segments: readonly Segment[]): string => {
  const ordered = segments.toSorted((left, right) => left.index - right.index);
  let charset = 'utf-8';
  return ordered
    .map(({ extended, text }, position) => {
      if (!extended) return text;
      const marked = position === 0 ? /^([^']*)'[^']*'(.*)$/su.exec(text) : null;
      if (marked === null) return percentDecoded(text, charset);
      charset = marked[1] ?? '';
      return percentDecoded(marked[2] ?? '', charset);
    })
    .join('');
};

/** Reads `value; name=parameter`: quoted or bare, continued and encoded parameters, encoded words where they do not belong. */
export const parseStructuredValue = (text: string): StructuredValue => {
  const semicolon = text.indexOf(';');
  const value = (semicolon < 0 ? text : text.slice(0, semicolon)).trim().toLowerCase();
  const parameters = new Map<string, string>();
  const pieces = new Map<string, Segment[]>();
  for (const [name, raw] of semicolon < 0 ? [] : splitParameters(text.slice(semicolon))) {
    const continued = /^([^*]+)(?:\*(\d{1,4}))?(\*)?$/u.exec(name);
    const base = continued?.[1] ?? name;
    if (continued === null || (continued[2] === undefined && continued[3] === undefined)) {
      if (!parameters.has(base)) parameters.set(base, decodeHeaderText(raw));
      continue;
    }
    const segment = { index: Number(continued[2] ?? 0), extended: continued[3] !== undefined, text: raw };
    pieces.set(base, [...(pieces.get(base) ?? []), segment]);
  }
  for (const [base, segments] of pieces) parameters.set(base, decodeHeaderText(joinSegments(segments)));
  return { value, parameters };
};
