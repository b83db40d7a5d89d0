/**
 * Referential ids: UUIDv5 (RFC 9562, 5.5) over project name + resource name + `path=value` joined by `#`.
 *
 * - A value has one text: numbers as plain decimals, descriptors in lower case, dates and times as normalised on write; the
 *   SQL of `identityTextSql` gives the same text from the columns.
 */
import { hash as hashOnce } from 'node:crypto';
import type { ResourceName } from '../derive/model.ts';

const storeNamespace = Buffer.from('edf1edf13df13df13df13df1edf1edf1', 'hex');
const variantDigits = '89ab';

/** UUIDv5 of a name, in the store's namespace unless another is given. */
export const uuidV5 = (name: string, namespace: Uint8Array = storeNamespace): string => {
  // A UTF-16 code unit takes three bytes of UTF-8 at most.
  const bytes = Buffer.allocUnsafe(namespace.length + name.length * 3);
  bytes.set(namespace);
  const end = namespace.length + bytes.write(name, namespace.length);
  const hex = hashOnce('sha1', bytes.subarray(0, end), 'hex');
  const variant = variantDigits[Number.parseInt(hex.slice(16, 17), 16) & 3] ?? '8';
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
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

/** The referential id of an identity as it is hashed: `path=text` of its elements, in identity order, joined by `#`. */
export const referentialIdOf = (name: ResourceName, identity: string): string =>
  uuidV5(`${name.projectName}${name.resourceName}${identity}`);

/** The referential id of identity elements `[path, text]`, in identity order. */
export const referentialId = (
  name: ResourceName,
  elements: readonly (readonly [path: string, text: string])[],
): string => referentialIdOf(name, elements.map(([path, text]) => `${path}=${text}`).join('#'));

/** The referential id of a descriptor, by its uri `namespace#codeValue`. */
export const descriptorReferentialId = (name: ResourceName, uri: string): string =>
  referentialId(name, [['$.descriptor', uri.toLowerCase()]]);
