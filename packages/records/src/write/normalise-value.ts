/**
 * One written form for every value that can be written in several, and the bounds of the columns.
 *
 * - Two texts for one instant or one time become the same text, so identities and comparisons do not depend on who wrote them.
 * - A result of kind `error` says why the value cannot be stored; nothing that passes here is refused by PostgreSQL.
 */
import type { ScalarType } from '../derive/model.ts';
import { plainNumber } from '../identity/referential-id.ts';
import type { JsonValue } from './parse-json.ts';

export type Normalised =
  | { readonly ok: true; readonly value: string | number | boolean }
  | { readonly ok: false; readonly message: string };

const no = (message: string): Normalised => ({ ok: false, message });
const yes = (value: string | number | boolean): Normalised => ({ ok: true, value });

const dateForm = /^(\d{4})-(\d\d)-(\d\d)$/;
const timeForm = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?$/;
const stampForm = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:([Zz])|([+-])(\d\d):?(\d\d))$/;

const daysOf = (year: number, month: number): number => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
};

const isDay = (year: number, month: number, day: number): boolean =>
  year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysOf(year, month);

const isDate = (text: string): boolean => {
  const match = dateForm.exec(text);
  return match !== null && isDay(Number(match[1]), Number(match[2]), Number(match[3]));
};

const timeOf = (text: string): string | null => {
  const match = timeForm.exec(text);
  if (match === null) return null;
  const [, hour = '', minute = '', second = '00', fraction = ''] = match;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null;
  const kept = fraction.replace(/0+$/, '');
  return `${hour}:${minute}:${second}${kept === '' ? '' : `.${kept}`}`;
};

/** `YYYY-MM-DDTHH:MM:SSZ`, the form that is kept: nearly all instants come in it. */
const keptStamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const isKeptStamp = (text: string): boolean =>
  text.length === 20 &&
  keptStamp.test(text) &&
  isDay(Number(text.slice(0, 4)), Number(text.slice(5, 7)), Number(text.slice(8, 10))) &&
  Number(text.slice(11, 13)) <= 23 &&
  text.charCodeAt(14) < 0x36 &&
  text.charCodeAt(17) < 0x36;

const stampOf = (text: string): string | null => {
  if (isKeptStamp(text)) return text;
  const match = stampForm.exec(text);
  const [, day = '', clock = '', zulu, sign, hours = '0', minutes = '0'] = match ?? [];
  const time = timeOf(clock);
  if (match === null || time === null || !isDate(day)) return null;
  if (Number(hours) > 15 || Number(minutes) > 59) return null;
  const [whole = '', fraction] = time.split('.');
  const offset = zulu === undefined ? (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1) : 0;
  const moment = new Date(Date.parse(`${day}T${whole}Z`) - offset * 60_000);
  const year = moment.getUTCFullYear();
  if (year < 1 || year > 9999) return null;
  return `${moment.toISOString().slice(0, 19)}${fraction === undefined ? '' : `.${fraction}`}Z`;
};

const numericOf = (value: number, precision: number | null, scale: number | null): Normalised => {
  const [whole = '', fraction = ''] = plainNumber(Math.abs(value)).split('.');
  if (scale !== null && fraction.length > scale) return no(`must have at most ${scale} decimal places`);
  const wholeDigits = whole === '0' ? 0 : whole.length;
  if (precision !== null && wholeDigits > precision - (scale ?? 0))
    return no(`must have at most ${precision - (scale ?? 0)} digits before the point`);
  if (precision !== null && wholeDigits + fraction.length > precision)
    return no(`must have at most ${precision} digits`);
  return yes(value);
};

/** JSON text with sorted keys: the order of members does not count, as in `jsonb`. */
export const sortedJson = (value: JsonValue): string => {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${sortedJson(value[name] ?? null)}`).join(',')}}`;
};

/** Checks a value that its JSON schema allows against its column, and brings it to its one form. `null` never gets here. */
export const normaliseScalar = (value: JsonValue, type: ScalarType): Normalised => {
  switch (type.kind) {
    case 'text':
      return typeof value === 'string' ? yes(value) : no('must be a string');
    case 'boolean':
      return typeof value === 'boolean' ? yes(value) : no('must be true or false');
    case 'bigint':
      return typeof value === 'number' && Number.isSafeInteger(value)
        ? yes(value)
        : no('must be a whole number within ±9007199254740991');
    case 'numeric':
      return typeof value === 'number' ? numericOf(value, type.precision, type.scale) : no('must be a number');
    case 'date':
      return typeof value === 'string' && isDate(value) ? yes(value) : no('must be a date of the form YYYY-MM-DD');
    case 'time': {
      const time = typeof value === 'string' ? timeOf(value) : null;
      return time === null ? no('must be a time of the form HH:MM:SS') : yes(time);
    }
    case 'timestamp': {
      const stamp = typeof value === 'string' ? stampOf(value) : null;
      return stamp === null ? no('must be a date and time with an offset, YYYY-MM-DDTHH:MM:SSZ') : yes(stamp);
    }
    case 'json':
      return yes(sortedJson(value));
  }
};
