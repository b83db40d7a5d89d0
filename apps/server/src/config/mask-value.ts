/**
 * Values as configuration prints them.
 *
 * - A leaf marked secret never shows more than `[secret]` or the reference it holds.
 * - User and password inside any URL are masked, whatever leaf holds it.
 */
import { maskedSecret, SecretSetting } from '../platform/secrets/Port.ts';

/** `scheme://user:password@` up to the last `@` before the path, as URL parsers read it. */
const credentials = /([A-Za-z][A-Za-z0-9+.-]*:\/\/)[^/?#\s]*@/g;

export const maskCredentials = (text: string): string => text.replaceAll(credentials, `$1${maskedSecret}@`);

/** A printable copy of an effective value: plain JSON, undefined as null. */
export const printableValue = (value: unknown, secret: boolean): unknown => {
  if (value === undefined || value === null) return null;
  if (value instanceof SecretSetting) return value.toString();
  if (Array.isArray(value)) return value.map((item: unknown) => printableValue(item, secret));
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, printableValue(member, false)]));
  }
  if (secret) return maskedSecret;
  if (typeof value === 'string') return maskCredentials(value);
  return typeof value === 'number' || typeof value === 'boolean' ? value : `(${typeof value})`;
};

/** A refused value in an error: short, masked, and only ever of a leaf. */
export const shownValue = (value: unknown, secret: boolean): string => {
  if (secret) return maskedSecret;
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'nothing';
  const masked = maskCredentials(value);
  return JSON.stringify(masked.length > 80 ? `${masked.slice(0, 80)}…` : masked);
};
