/** The query string and headers of a records request, read strictly. */
import { CaseboundError } from '@casebound/contract';
import type { Filter, ListOptions } from '@casebound/records';

const refuse = (name: string, message: string): CaseboundError =>
  new CaseboundError('validation_failed', `The query parameter ${name.slice(0, 100)} ${message}.`, {
    errors: [{ path: `query.${name.slice(0, 100)}`, message }],
  });

const maxParameters = 50;

const whole = (name: string, text: string): number => {
  if (!/^\d{1,12}$/.test(text)) throw refuse(name, 'must be a whole number');
  return Number(text);
};

const truth = (name: string, text: string): boolean => {
  if (text !== 'true' && text !== 'false') throw refuse(name, 'must be true or false');
  return text === 'true';
};

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new CaseboundError('validation_failed', 'The query string is not valid percent-encoded UTF-8.', {
      errors: [{ path: 'query', message: 'must be percent-encoded UTF-8' }],
    });
  }
};

const pairsOf = (url: string): readonly (readonly [name: string, value: string])[] => {
  const at = url.indexOf('?');
  const pairs =
    at < 0
      ? []
      : url
          .slice(at + 1)
          .split('&')
          .filter((pair) => pair !== '');
  if (pairs.length > maxParameters) throw refuse('query', `has more than ${maxParameters} parameters`);
  return pairs.map((pair) => {
    const cut = pair.indexOf('=');
    return [decode(cut < 0 ? pair : pair.slice(0, cut)), decode(cut < 0 ? '' : pair.slice(cut + 1))];
  });
};

/** Paging and filters of a list request. Throws `validation_failed` naming the parameter. */
export const parseListQuery = (url: string): ListOptions => {
  const filters: Filter[] = [];
  const options: { offset?: number; limit?: number; pageToken?: string; totalCount?: boolean } = {};
  const seen = new Set<string>();
  for (const [name, value] of pairsOf(url)) {
    if (name === 'offset' || name === 'limit' || name === 'pageToken' || name === 'totalCount') {
      if (seen.has(name)) throw refuse(name, 'is given twice');
      seen.add(name);
      if (name === 'pageToken') options.pageToken = value;
      else if (name === 'totalCount') options.totalCount = truth(name, value);
      else options[name] = whole(name, value);
    } else filters.push({ field: name, value });
  }
  return { ...options, filters };
};

/** The one parameter of a bulk write. Throws `validation_failed` for any other. */
export const parseBulkQuery = (url: string): { readonly allOrNothing: boolean } => {
  let allOrNothing = false;
  for (const [name, value] of pairsOf(url)) {
    if (name !== 'allOrNothing') throw refuse(name, 'is no parameter of a bulk write');
    allOrNothing = truth(name, value);
  }
  return { allOrNothing };
};

/** Throws `validation_failed` for any parameter: the address takes none. */
export const refuseQuery = (url: string): void => {
  for (const [name] of pairsOf(url)) throw refuse(name, 'is no parameter of a single record');
};
