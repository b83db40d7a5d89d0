/**
 * What a secret must look like, declared by whoever uses it and checked before first use and after every rotation.
 *
 * - What is wrong is said in terms of the shape alone: no part of the value, not even its length, appears in a message.
 */
import { randomBytes } from 'node:crypto';
import { SecretValue } from './secret-value.ts';

export type SecretShape =
  | { readonly kind: 'text'; readonly minLength?: number; readonly maxLength?: number; readonly generate?: boolean }
  /** An absolute URL. `protocols` as `URL.protocol` writes them: `postgres:`. */
  | { readonly kind: 'url'; readonly protocols: readonly string[] }
  /** Exactly `bytes` bytes as hexadecimal digits. */
  | { readonly kind: 'hex'; readonly bytes: number; readonly generate?: boolean }
  /** At least `minBytes` bytes as base64 or base64url (RFC 4648), padding optional. */
  | { readonly kind: 'base64'; readonly minBytes: number; readonly generate?: boolean }
  /** One or more PEM blocks (RFC 7468), the first of which has one of these labels: `PRIVATE KEY`. */
  | { readonly kind: 'pem'; readonly labels: readonly string[] };

const orList = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1) ?? ''}`;

/** The shape in words that complete "must be ...". */
export const describeShape = (shape: SecretShape): string => {
  switch (shape.kind) {
    case 'text': {
      const least = Math.max(1, shape.minLength ?? 1);
      const from = least === 1 ? 'a text that is not empty' : `a text of at least ${least} characters`;
      return shape.maxLength === undefined ? from : `${from} and at most ${shape.maxLength}`;
    }
    case 'url':
      return `a URL that starts with ${orList(shape.protocols.map((protocol) => `${protocol}//`))}`;
    case 'hex':
      return `${shape.bytes} bytes written as ${shape.bytes * 2} hexadecimal digits`;
    case 'base64':
      return `at least ${shape.minBytes} bytes in base64`;
    case 'pem':
      return `a PEM block ${orList(shape.labels.map((label) => `"BEGIN ${label}"`))}`;
  }
};

const isBase64 = (text: string): boolean =>
  /^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}$/.test(text) && text.replace(/=+$/, '').length % 4 !== 1;

const hasUrlShape = (text: string, protocols: readonly string[]): boolean => {
  if (!URL.canParse(text) || text.trim() !== text) return false;
  const { protocol } = new URL(text);
  return protocols.includes(protocol) && text.slice(protocol.length, protocol.length + 2) === '//';
};

const hasPemShape = (text: string, labels: readonly string[]): boolean => {
  const block = /^-----BEGIN ([A-Z0-9 ]+)-----\r?\n[A-Za-z0-9+/=\s:,-]+?\r?\n-----END \1-----/.exec(text.trim());
  return block?.[1] !== undefined && labels.includes(block[1]);
};

/** Whether `value` has the shape. */
export const hasShape = (value: SecretValue, shape: SecretShape): boolean => {
  const text = value.reveal();
  switch (shape.kind) {
    case 'text':
      return (
        text.trim() !== '' &&
        text.length >= (shape.minLength ?? 1) &&
        text.length <= (shape.maxLength ?? Number.POSITIVE_INFINITY)
      );
    case 'url':
      return hasUrlShape(text, shape.protocols);
    case 'hex':
      return text.length === shape.bytes * 2 && /^[0-9a-fA-F]+$/.test(text);
    case 'base64':
      return isBase64(text) && Buffer.from(text, 'base64').length >= shape.minBytes;
    case 'pem':
      return hasPemShape(text, shape.labels);
  }
};

/** A new random secret of a shape that asks for one with `generate`, else undefined: a made-up URL or key opens nothing. */
export const generateSecret = (shape: SecretShape): SecretValue | undefined => {
  switch (shape.kind) {
    case 'text': {
      if (shape.generate !== true) return undefined;
      const length = Math.min(Math.max(43, shape.minLength ?? 0), shape.maxLength ?? Number.POSITIVE_INFINITY);
      return new SecretValue(randomBytes(length).toString('base64url').slice(0, length));
    }
    case 'hex':
      return shape.generate === true ? new SecretValue(randomBytes(shape.bytes).toString('hex')) : undefined;
    case 'base64':
      return shape.generate === true ? new SecretValue(randomBytes(shape.minBytes).toString('base64')) : undefined;
    case 'url':
    case 'pem':
      return undefined;
  }
};
