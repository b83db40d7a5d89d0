/** The query of an address: `application/x-www-form-urlencoded` as browsers write it, but strict. */
import { CaseboundError } from '@casebound/contract';

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new CaseboundError('malformed_request', 'The query is not validly percent-encoded UTF-8.');
  }
};

/** Members by name: text, or an array of text for a name that is there more than once. Throws `malformed_request`. */
export const parseQuery = (url: string): Record<string, string | string[]> => {
  const start = url.indexOf('?');
  const values = new Map<string, string[]>();
  for (const pair of start < 0 ? [] : url.slice(start + 1).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decode(pair.slice(equals + 1));
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  // `fromEntries` defines properties, so that `__proto__` is a name like any other (and refused by the schema).
  return Object.fromEntries([...values].map(([name, all]) => [name, all.length === 1 ? (all[0] ?? '') : all]));
};
