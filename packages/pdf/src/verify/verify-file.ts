/**
 * Reads the objects of the output with another parser than the one that wrote them (@libpdf/core) and looks for what should be gone:
 * removed strings in any string or text stream, earlier revisions, objects that nothing refers to.
 */
import { PDF, PdfArray, PdfDict, type PdfObject, PdfRef, PdfStream, PdfString } from '@libpdf/core';
import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { instantTexts } from '../annotations/instant-json.ts';
import { decodeText } from '../cos/text-string.ts';
import type { RemovedTerm, TermMatcher } from '../redact/removed-text.ts';
import { binaryKeys } from '../redact/scrub-document.ts';
import type { Finding, FindingCode } from './findings.ts';

export interface FileChecks {
  readonly matcher: TermMatcher | undefined;
  /** Whether a term no longer stands in the visible text. Asked only for terms that were found. */
  readonly isGone: (term: RemovedTerm) => boolean;
  /** SHA-256 of the encoded bytes of images that lay under redactions in the original. */
  readonly removedImages: ReadonlySet<string>;
  /** Whether an image with this hash is still drawn, elsewhere. Asked only for images that were found. */
  readonly isDrawn: (hash: string) => boolean;
}

const MAX_STREAM_BYTES = 1024 * 1024 * 1024;

const LF = 10;
const CR = 13;
const SPACE = 32;

const isBreak = (byte: number | undefined): boolean => byte === undefined || byte === LF || byte === CR;

const isWordByte = (byte: number | undefined): boolean =>
  byte !== undefined && /[A-Za-z0-9_]/.test(String.fromCodePoint(byte));

/** Where `word` starts a line. The bytes are searched in place: a large file as a string would be there twice. */
const countLines = (raw: Buffer, word: string): number => {
  let found = 0;
  for (let at = raw.indexOf(word); at >= 0; at = raw.indexOf(word, at + 1)) if (isBreak(raw[at - 1])) found += 1;
  return found;
};

/** The digits that end before `end`, and where they start; undefined where there are none, or too many. */
const digitsBefore = (raw: Buffer, end: number): { readonly value: number; readonly start: number } | undefined => {
  let start = end;
  while (start > 0 && end - start <= 10 && (raw[start - 1] ?? 0) >= 48 && (raw[start - 1] ?? 0) <= 57) start -= 1;
  return start === end || end - start > 10 ? undefined : { value: Number(raw.toString('latin1', start, end)), start };
};

/** The numbers of all objects that are written anywhere, `12 0 obj` at the start of a line. */
const listWritten = (raw: Buffer): readonly number[] => {
  const numbers: number[] = [];
  for (let at = raw.indexOf(' obj'); at >= 0; at = raw.indexOf(' obj', at + 4)) {
    if (isWordByte(raw[at + 4])) continue;
    const generation = digitsBefore(raw, at);
    if (generation === undefined || raw[generation.start - 1] !== SPACE) continue;
    const number = digitsBefore(raw, generation.start - 1);
    if (number !== undefined && isBreak(raw[number.start - 1])) numbers.push(number.value);
  }
  return numbers;
};

/** Object and cross-reference streams: they are referred to by position, not by number. */
const countStructural = (raw: Buffer): number => {
  let found = 0;
  for (const word of ['/ObjStm', '/XRef'])
    for (let at = raw.indexOf(word); at >= 0; at = raw.indexOf(word, at + 1)) {
      if (!isWordByte(raw[at + word.length]) && /\/Type\s*$/.test(raw.toString('latin1', Math.max(0, at - 16), at)))
        found += 1;
    }
  return found;
};

/** Header, end and revisions, from the raw bytes. */
const verifyRevisions = (raw: Buffer, prev: boolean, report: (code: FindingCode, detail: string) => void): void => {
  if (raw.toString('latin1', 0, 5) !== '%PDF-') report('earlier_revision', 'The file has bytes before its header.');
  const ends = countLines(raw, '%%EOF');
  if (ends !== 1) report('earlier_revision', `The file has ${ends} end marks; a file of one revision has one.`);
  if (countLines(raw, 'startxref') !== 1 || prev) report('earlier_revision', 'The file refers to an earlier revision.');
  if (!/%%EOF[\r\n]*$/.test(raw.toString('latin1', Math.max(0, raw.length - 64))))
    report('earlier_revision', 'The file has bytes after its end.');
};

const contentSubtypes: ReadonlySet<string> = new Set(['Form', 'Image']);

const nameOf = (object: PdfObject | null | undefined): string =>
  object !== null && object !== undefined && 'value' in object && typeof object.value === 'string' ? object.value : '';

/** Streams of fonts, images, colour profiles, functions and shadings hold no text of the document. */
const isData = (stream: PdfStream): boolean =>
  ['Width', 'Length1', 'Length2', 'Length3', 'FunctionType', 'ShadingType', 'N'].some((key) => stream.has(key)) ||
  ['XRef', 'ObjStm', 'CMap'].includes(nameOf(stream.get('Type'))) ||
  ['Type1C', 'CIDFontType0C', 'OpenType'].includes(nameOf(stream.get('Subtype')));

/** Deflated streams, nearly all of them, are left to zlib: the parser's own inflation takes four times as long. */
const unpack = (stream: PdfStream): Uint8Array => {
  if (nameOf(stream.get('Filter')) !== 'FlateDecode' || stream.has('DecodeParms')) return stream.getDecodedData();
  try {
    return inflateSync(stream.data, { maxOutputLength: MAX_STREAM_BYTES });
  } catch {
    return stream.getDecodedData();
  }
};

/** Alternate texts of marked content in a content stream. */
const alternates = (content: string): readonly string[] => {
  const found: string[] = [];
  for (const match of content.matchAll(/\/(?:ActualText|Alt|E)\s*(?:\(((?:\\.|[^\\()])*)\)|<([0-9A-Fa-f\s]*)>)/gs)) {
    const bytes =
      match[2] === undefined
        ? Buffer.from(
            (match[1] ?? '')
              .replaceAll(/\\([0-7]{1,3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
              .replaceAll(/\\(.)/gs, '$1'),
            'latin1',
          )
        : Buffer.from(match[2].replaceAll(/\s/g, ''), 'hex');
    found.push(decodeText(bytes));
  }
  return found;
};

/** Checks the whole file. */
export const verifyFile = async (bytes: Uint8Array, checks: FileChecks): Promise<readonly Finding[]> => {
  const findings: Finding[] = [];
  const report = (code: FindingCode, detail: string): void => {
    findings.push({ code, redactionId: undefined, pageIndex: undefined, detail });
  };
  let pdf: PDF;
  try {
    pdf = await PDF.load(bytes);
  } catch {
    report('unreadable', 'The objects of the file cannot be read by the second parser.');
    return findings;
  }
  const { context } = pdf;
  const { trailer } = context.info;
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  verifyRevisions(raw, trailer.has('Prev'), report);

  const seen = new Set<number>();
  const leaks = new Map<string, number>();
  const check = (text: string, where: string): void => {
    const gone = checks.matcher?.find(text).filter((term) => term.kind === 'run' || checks.isGone(term)) ?? [];
    if (gone.length > 0) leaks.set(where, (leaks.get(where) ?? 0) + gone.length);
  };
  let images = 0;
  let unreadable = 0;
  const queue: { readonly object: PdfObject; readonly key: string }[] = [{ object: trailer, key: 'trailer' }];
  const visitStream = (stream: PdfStream, key: string): void => {
    if (checks.removedImages.size > 0 && stream.has('Width')) {
      const hash = createHash('sha256').update(stream.data).digest('hex');
      if (checks.removedImages.has(hash) && !checks.isDrawn(hash)) images += 1;
    }
    if (checks.matcher === undefined || isData(stream)) return;
    let data: Uint8Array;
    try {
      data = unpack(stream);
    } catch {
      unreadable += 1;
      return;
    }
    const text = Buffer.from(data).toString('latin1');
    const isContent =
      contentSubtypes.has(nameOf(stream.get('Subtype'))) ||
      key === 'Contents' ||
      key === 'CharProcs' ||
      stream.has('PatternType');
    if (isContent || /\b(BT|re|cm|Do)\b/.test(text.slice(0, 4096))) {
      for (const alternate of alternates(text)) check(alternate, 'alternate text of content');
      return;
    }
    if (text.includes('begincmap')) return;
    check(text, 'a data stream');
    check(Buffer.from(data).toString('utf8'), 'a data stream');
    check(decodeText(data), 'a data stream');
  };
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { object, key } = next;
    if (object instanceof PdfRef) {
      if (seen.has(object.objectNumber)) continue;
      seen.add(object.objectNumber);
      const target = context.resolve(object);
      if (target !== null) queue.push({ object: target, key });
    } else if (object instanceof PdfString) {
      if (binaryKeys.has(key) || key === 'ID') continue;
      const text = decodeText(object.bytes);
      for (const one of key === 'CBInstant' ? instantTexts(text) : [text]) check(one, `\`${key}\``);
    } else if (object instanceof PdfArray) {
      if (nameOf(object.at(0)) === 'Indexed') continue;
      for (const item of object) queue.push({ object: item, key });
    } else if (object instanceof PdfDict) {
      for (const [entry, value] of object) {
        if (key === 'trailer' && entry.value === 'ID') continue;
        queue.push({ object: value, key: key === 'CharProcs' ? key : entry.value });
      }
      if (object instanceof PdfStream) visitStream(object, key);
    }
  }
  for (const [where, times] of leaks)
    report(
      'removed_text_in_document',
      `${times === 1 ? 'A removed string stands' : `${times} removed strings stand`} in ${where}.`,
    );
  if (images > 0)
    report(
      'removed_image_in_document',
      `${images === 1 ? 'An image' : `${images} images`} from under a redaction ${images === 1 ? 'is' : 'are'} still in the file.`,
    );
  if (unreadable > 0) report('unreadable', `${unreadable} streams of the file cannot be decoded by the second parser.`);

  const written = listWritten(raw);
  const orphans = written.filter((number) => !seen.has(number)).length;
  const twice = written.length - new Set(written).size;
  const structural = countStructural(raw);
  if (orphans > structural || twice > 0)
    report(
      'unreachable_objects',
      `The file holds ${Math.max(orphans - structural, 0) + twice} objects that nothing refers to.`,
    );
  return findings;
};
