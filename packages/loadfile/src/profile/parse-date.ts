/**
 * Dates as load files write them, without guessing.
 *
 * - A text is a date only if it is one in the calendar: 31 February is none.
 * - `03/04/2020` is two dates until the column says which; both readings are given.
 * - Years of two digits are 1950 to 2049, the window of the usual review tools.
 * - A time zone is reported as written and applied by nobody here.
 */

/** Which of day and month a numeric date puts first; `named` has the month as a word, `year-first` is ISO 8601 and kin. */
export type DateOrder = 'month-first' | 'day-first' | 'year-first' | 'named';

export interface DateReading {
  readonly order: DateOrder;
  /** ISO 8601 without zone: `2020-03-04`, or `2020-03-04T15:48:00`. */
  readonly iso: string;
}

export interface ParsedDate {
  /** The shape in Unicode date letters, day and month of an open order shown as `n`: `n/n/yyyy h:mm a`. */
  readonly shape: string;
  /** One reading, or two where day and month can change places. */
  readonly readings: readonly DateReading[];
  readonly hasTime: boolean;
  /** As written (`Z`, `+02:00`, `UTC`, `EST`), or null. */
  readonly zone: string | null;
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const longMonths = 'january february march april may june july august september october november december'.split(' ');

const monthOf = (word: string): number => {
  const lower = word.toLowerCase();
  const long = longMonths.indexOf(lower);
  if (long >= 0) return long + 1;
  return months.indexOf(lower === 'sept' ? 'sep' : lower) + 1;
};

/** The first three letters as a number, without regard to case; spares nearly all text the patterns for named months. */
const startOf = (text: string): number =>
  ((text.charCodeAt(0) | 32) << 16) | ((text.charCodeAt(1) | 32) << 8) | (text.charCodeAt(2) | 32);
const weekdayStarts: ReadonlySet<number> = new Set('mon tue wed thu fri sat sun'.split(' ').map(startOf));
const monthStarts: ReadonlySet<number> = new Set(months.map(startOf));

const daysIn = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31;

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

const isoDate = (year: number, month: number, day: number): string | undefined =>
  year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
    ? `${pad(year, 4)}-${pad(month)}-${pad(day)}`
    : undefined;

const fullYear = (digits: string): number => {
  const year = Number(digits);
  if (digits.length > 2) return year;
  return year >= 50 ? 1900 + year : 2000 + year;
};

const numeric = /^(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?=$|[\sT,])/u;
const yearFirst = /^(\d{4})([/.-])(\d{1,2})\2(\d{1,2})(?=$|[\sT,])/u;
const compact = /^(\d{4})(\d{2})(\d{2})(?=$|[\sT])/u;
const dayMonth =
  /^(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s+)?(\d{1,2})(?:st|nd|rd|th)?([ -])([a-z]{3,9})\.?,?\2(\d{4}|\d{2})(?=$|[\s,T])/iu;
const monthDay =
  /^(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s+)?([a-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?=$|[\s,T])/iu;
const time =
  /^(?:\s*T\s*|,?\s+(?:at\s+)?|)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([ap])\.?m\.?)?(?:\s*\(?(Z|(?:UTC|GMT)?\s*[+-]\d{2}:?\d{2}|[A-Z]{2,5})\)?)?$/iu;
const timeOnly = /^\d{1,2}:\d{2}/u;

interface DatePart {
  readonly shape: string;
  readonly readings: readonly DateReading[];
  readonly length: number;
}

const one = (shape: string, order: DateOrder, iso: string | undefined, length: number): DatePart | undefined =>
  iso === undefined ? undefined : { shape, readings: [{ order, iso }], length };

const parseDatePart = (text: string): DatePart | undefined => {
  const first = text.charCodeAt(0);
  if (first >= 0x30 && first <= 0x39) {
    let match = numeric.exec(text);
    if (match !== null) return numericDate(match);
    match = yearFirst.exec(text);
    if (match !== null) {
      const [whole, year = '', separator = '', month = '', day = ''] = match;
      const iso = isoDate(Number(year), Number(month), Number(day));
      return one(`yyyy${separator}MM${separator}dd`, 'year-first', iso, whole.length);
    }
    match = compact.exec(text);
    if (match !== null) {
      const [whole, year = '', month = '', day = ''] = match;
      return one('yyyyMMdd', 'year-first', isoDate(Number(year), Number(month), Number(day)), whole.length);
    }
  }
  const start = first <= 0x39 ? 0 : startOf(text);
  const startsWithWeekday = weekdayStarts.has(start);
  const named = first <= 0x39 || startsWithWeekday ? dayMonth.exec(text) : null;
  if (named !== null) {
    const [whole, day = '', separator = '', month = '', year = ''] = named;
    const iso = isoDate(fullYear(year), monthOf(month), Number(day));
    return one(`d${separator}MMM${separator}${year.length > 2 ? 'yyyy' : 'yy'}`, 'named', iso, whole.length);
  }
  const words = startsWithWeekday || monthStarts.has(start) ? monthDay.exec(text) : null;
  if (words === null) return undefined;
  const [whole, month = '', day = '', year = ''] = words;
  return one('MMM d, yyyy', 'named', isoDate(Number(year), monthOf(month), Number(day)), whole.length);
};

const numericDate = (match: RegExpExecArray): DatePart | undefined => {
  const [whole, a = '', separator = '', b = '', yearText = ''] = match;
  const year = fullYear(yearText);
  const monthFirst = isoDate(year, Number(a), Number(b));
  const dayFirst = isoDate(year, Number(b), Number(a));
  const readings: DateReading[] = [];
  if (monthFirst !== undefined) readings.push({ order: 'month-first', iso: monthFirst });
  if (dayFirst !== undefined) readings.push({ order: 'day-first', iso: dayFirst });
  if (readings.length === 0) return undefined;
  const shape = `n${separator}n${separator}${yearText.length > 2 ? 'yyyy' : 'yy'}`;
  return { shape, readings, length: whole.length };
};

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

const twoDigits = (text: string, at: number): number => {
  const [tens, ones] = [text.charCodeAt(at), text.charCodeAt(at + 1)];
  return isDigit(tens) && isDigit(ones) ? (tens - 0x30) * 10 + (ones - 0x30) : Number.NaN;
};

/** `2020-03-04` and `2020-03-04 15:48:00`, which most files write, without the patterns; undefined for all else. */
const plainDate = (text: string): ParsedDate | undefined => {
  const { length } = text;
  if ((length !== 10 && length !== 19) || text.charCodeAt(4) !== 0x2d || text.charCodeAt(7) !== 0x2d) return undefined;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month))) return undefined;
  if (length === 10)
    return {
      shape: 'yyyy-MM-dd',
      readings: [{ order: 'year-first', iso: text }],
      hasTime: false,
      zone: null,
    };
  const isClock =
    (text[10] === ' ' || text[10] === 'T') &&
    text[13] === ':' &&
    text[16] === ':' &&
    twoDigits(text, 11) <= 23 &&
    twoDigits(text, 14) <= 59 &&
    twoDigits(text, 17) <= 59;
  if (!isClock) return undefined;
  const iso = text[10] === 'T' ? text : `${text.slice(0, 10)}T${text.slice(11)}`;
  return { shape: 'yyyy-MM-dd H:mm:ss', readings: [{ order: 'year-first', iso }], hasTime: true, zone: null };
};

/** Reads a date or a date with time; undefined for anything else, a date that cannot be included. */
export const parseDate = (value: string): ParsedDate | undefined => {
  const text = value.trim();
  if (text.length < 6 || text.length > 64) return undefined;
  const plain = plainDate(text);
  if (plain !== undefined) return plain;
  const part = parseDatePart(text);
  if (part === undefined) return undefined;
  const rest = text.slice(part.length);
  if (rest === '') return { shape: part.shape, readings: part.readings, hasTime: false, zone: null };
  const clock = parseClock(rest);
  if (clock === undefined) return undefined;
  return {
    shape: `${part.shape} ${clock.shape}`,
    readings: part.readings.map(({ order, iso }) => ({ order, iso: `${iso}T${clock.iso}` })),
    hasTime: true,
    zone: clock.zone,
  };
};

const parseClock = (
  rest: string,
): { readonly shape: string; readonly iso: string; readonly zone: string | null } | undefined => {
  const match = time.exec(rest);
  if (match === null) return undefined;
  const [, hourText = '', minute = '', second, fraction, half, zone] = match;
  let hour = Number(hourText);
  if (half !== undefined) {
    if (hour < 1 || hour > 12) return undefined;
    hour = (hour % 12) + (half.toLowerCase() === 'p' ? 12 : 0);
  }
  if (hour > 23 || Number(minute) > 59 || Number(second ?? 0) > 59) return undefined;
  const decimals = fraction === undefined ? '' : `.${fraction}`;
  const shape = `${half === undefined ? 'H' : 'h'}:mm${second === undefined ? '' : ':ss'}${fraction === undefined ? '' : '.S'}${half === undefined ? '' : ' a'}${zone === undefined ? '' : ' z'}`;
  return { shape, iso: `${pad(hour)}:${minute}:${second ?? '00'}${decimals}`, zone: zone ?? null };
};

/** True for a time of day alone: `3:48 PM`, `15:48:00`. */
export const isTime = (value: string): boolean => {
  const text = value.trim();
  return text.length <= 32 && timeOnly.test(text) && parseClock(text) !== undefined;
};
