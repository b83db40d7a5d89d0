/**
 * The header `Range` (RFC 9110, 14.1): one range of bytes. What is not understood, or asks for several ranges, is ignored, as the standard
 * allows: the whole file is sent.
 */
import { CaseboundError } from '@casebound/contract';

/** Bytes `start` up to, not including, `end`; undefined for the whole. Errors: `range_not_satisfiable`. */
export const parseRange = (
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | undefined => {
  const [, first = '', last = ''] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  if (start < end) return { start, end };
  throw new CaseboundError('range_not_satisfiable', `The file has ${size} bytes; there are none at \`${header}\`.`);
};
