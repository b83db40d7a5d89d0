/** Writes PDF objects as bytes (ISO 32000-2, 7.3). */
import type { CosDict, CosObject } from './objects.ts';

/** A number with at most six decimals and no exponent; not a number writes as 0. */
export const formatNumber = (value: number): string => {
  if (!Number.isFinite(value)) return '0';
  if (Number.isInteger(value)) return String(Math.abs(value) < 1e15 ? value : Math.sign(value) * 1e15);
  const text = value.toFixed(6).replace(/\.?0+$/, '');
  return text === '-0' || text === '' ? '0' : text;
};

export const formatName = (text: string): string => {
  let out = '/';
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at) & 255;
    const plain = code > 32 && code < 127 && !'()<>[]{}/%#'.includes(String.fromCharCode(code));
    out += plain ? String.fromCharCode(code) : `#${code.toString(16).padStart(2, '0')}`;
  }
  return out;
};

export const formatString = (bytes: Uint8Array): string => {
  let text = '(';
  for (const code of bytes) {
    if (code < 32 || code > 126) return `<${Buffer.from(bytes).toString('hex')}>`;
    text += code === 40 || code === 41 || code === 92 ? `\\${String.fromCharCode(code)}` : String.fromCharCode(code);
  }
  return `${text})`;
};

const formatDict = (dict: CosDict): string => {
  let text = '<<';
  for (const [key, value] of dict.entries) text += `${formatName(key)} ${formatObject(value)}`;
  return `${text}>>`;
};

/** Latin-1 text of an object that is not a stream. */
export const formatObject = (object: CosObject): string => {
  if (object === null) return 'null';
  if (typeof object === 'boolean') return String(object);
  if (typeof object === 'number') return formatNumber(object);
  switch (object.kind) {
    case 'name':
      return formatName(object.name);
    case 'string':
      return formatString(object.bytes);
    case 'ref':
      return `${object.number} 0 R`;
    case 'array':
      return `[${object.items.map(formatObject).join(' ')}]`;
    case 'dict':
      return formatDict(object);
    case 'stream':
      return formatDict(object.dict);
  }
};

/** The bytes of an indirect object, from `n 0 obj` to `endobj`. */
export const formatIndirect = (number: number, object: CosObject): Uint8Array => {
  if (typeof object === 'object' && object !== null && object.kind === 'stream') {
    const entries = new Map(object.dict.entries);
    entries.set('Length', object.raw.length);
    return Buffer.concat([
      Buffer.from(`${number} 0 obj\n${formatDict({ kind: 'dict', entries })}\nstream\n`, 'latin1'),
      object.raw,
      Buffer.from('\nendstream\nendobj\n', 'latin1'),
    ]);
  }
  return Buffer.from(`${number} 0 obj\n${formatObject(object)}\nendobj\n`, 'latin1');
};
