/**
 * Keys of objects.
 *
 * - A key is one or more segments joined by `/`. Segments are made of ASCII letters, digits and `. _ - = @ + ,` alone, so a key
 *   means the same in a URL, a log, a request signature and any file system, whatever its normalisation or letter case rules.
 * - A key is made by the program. File names, subjects and other text of documents are never part of one: keys appear in
 *   errors and logs.
 * - No segment is empty, `.` or `..`; no key is absolute. A key that parses can be joined to a folder without leaving it.
 */
import { CaseboundError, type CaseId } from '@casebound/contract';
import { z } from 'zod';

/** Longest key in bytes: the limit of S3. Keys are ASCII, so bytes are characters. */
export const maxKeyBytes = 1024;
/** Longest segment in bytes: with the file system adapter's marks for letter case it still fits the 255 of every common file system. */
export const maxSegmentBytes = 200;

const plainSegment = /^[A-Za-z0-9._=@+,-]+$/;
/** A key of which nothing is wrong but its length: segments of which none is `.` or `..`. Tells most keys in one pass. */
const soundKey = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9._=@+,-]{1,200}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._=@+,-]{1,200})*$/;

/** What is wrong with a key, as the end of a sentence; undefined when it is fine. */
const faultOf = (key: string): string | undefined => {
  if (key.length <= maxKeyBytes && soundKey.test(key)) return undefined;
  if (key === '') return 'is empty';
  if (key.length > maxKeyBytes) return `is longer than ${maxKeyBytes} bytes`;
  if (key.startsWith('/')) return 'starts with a slash; keys are relative';
  for (const segment of key.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment "${segment}"`;
    if (segment.length > maxSegmentBytes) return `has a segment longer than ${maxSegmentBytes} bytes`;
    if (!plainSegment.test(segment)) return 'has a character other than ASCII letters, digits and . _ - = @ + ,';
  }
  return undefined;
};

/** The address of an object: `case_7/processed-files/3/txt/41/attachments/1/content.txt`. */
export const ObjectKey = z
  .string()
  .superRefine((key, context) => {
    const fault = faultOf(key);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: `Object key ${fault}` });
  })
  .brand<'ObjectKey'>();
export type ObjectKey = z.infer<typeof ObjectKey>;

/** The beginning of keys, ending with a slash: `case_7/`. Never empty, so that no call can mean the whole store. */
export const ObjectPrefix = z
  .string()
  .superRefine((prefix, context) => {
    const fault = prefix.endsWith('/') ? faultOf(prefix.slice(0, -1)) : 'does not end with a slash';
    if (fault !== undefined) context.addIssue({ code: 'custom', message: `Object prefix ${fault}` });
  })
  .brand<'ObjectPrefix'>();
export type ObjectPrefix = z.infer<typeof ObjectPrefix>;

/** What an error may show of a refused key: its beginning, with every character that is not plain replaced. */
const shown = (text: string): string => {
  const plain = text.slice(0, 80).replaceAll(/[^A-Za-z0-9._=@+,/-]/g, '?');
  return text.length > 80 ? `${plain}...` : plain;
};

/** @throws CaseboundError `object_key_invalid` that says which rule the key breaks. */
export const objectKey = (key: string): ObjectKey => {
  const fault = faultOf(key);
  // What the schema checks, without its cost: keys are made by the million.
  if (fault === undefined) return key as ObjectKey;
  throw new CaseboundError('object_key_invalid', `The object key "${shown(key)}" ${fault}.`);
};

/** @throws CaseboundError `object_key_invalid` that says which rule the prefix breaks. */
export const objectPrefix = (prefix: string): ObjectPrefix => {
  const parsed = ObjectPrefix.safeParse(prefix);
  if (parsed.success) return parsed.data;
  const fault = prefix.endsWith('/') ? faultOf(prefix.slice(0, -1)) : 'does not end with a slash';
  throw new CaseboundError('object_key_invalid', `The object prefix "${shown(prefix)}" ${fault ?? 'is not valid'}.`);
};

/** Where all objects of a case live: `case_{id}/`. */
export const casePrefix = (caseId: CaseId): ObjectPrefix => objectPrefix(`case_${caseId}/`);

/** Order of keys, the same in every adapter: by bytes. Keys are ASCII, so code units compare like bytes. */
export const compareKeys = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
