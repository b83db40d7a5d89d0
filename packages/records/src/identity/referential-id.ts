/**
 * Referential ids: UUIDv5 (RFC 9562, 5.5) over project name + resource name + `path=value` joined by `#`.
 *
 * - A value has one text: numbers as plain decimals, descriptors in lower case, dates and times as normalised on write; the
 *   SQL of `identityTextSql` gives the same text from the columns.
 */
import { hash as hashOnce } from 'node:crypto';
import type { ResourceName } from '../derive/model.ts';

const namespace = Buffer.from('edf1edf13df13df13df13df1edf1edf1', 'hex');

/** UUIDv5 of a name in the store's namespace. */
export const uuidV5 = (name: string): string => {
  const hash = hashOnce('sha1', Buffer.concat([namespace, Buffer.from(name, 'utf8')]), 'buffer');
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};

/** A number without exponent: `1e21` -> `1000000000000000000000`, `1e-7` -> `0.0000001`. */
export const plainNumber = (value: number): string => {
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (match === null) return text === '-0' ? '0' : text;
  const [, sign = '', lead = '', rest = '', exponentText = '0'] = match;
  const exponent = Number(exponentText);
  const digits = lead + rest;
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const zeros = exponent - rest.length;
  return zeros >= 0
    ? `${sign}${digits}${'0'.repeat(zeros)}`
    : `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
};

/** The text of a scalar inside an identity. */
export const canonicalText = (value: string | number | boolean, isDescriptor: boolean): string => {
  if (typeof value === 'number') return plainNumber(value);
  return isDescriptor ? String(value).toLowerCase() : String(value);
};

/** The referential id of identity elements `[path, text]`, in identity order. */
export const referentialId = (
  name: ResourceName,
  elements: readonly (readonly [path: string, text: string])[],
): string =>
  uuidV5(`${name.projectName}${name.resourceName}${elements.map(([path, text]) => `${path}=${text}`).join('#')}`);

/** The referential id of a descriptor, by its uri `namespace#codeValue`. */
export const descriptorReferentialId = (name: ResourceName, uri: string): string =>
  referentialId(name, [['$.descriptor', uri.toLowerCase()]]);
