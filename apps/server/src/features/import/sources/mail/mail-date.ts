/**
 * Dates of mail (RFC 5322, section 3.3, with the obsolete forms of 4.3, and what programs write in their place).
 * A date that cannot be is none: nothing is rolled over.
 */
import type { MailTime } from '../source-model.ts';

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** Minutes east of UTC. Military letters mean nothing (RFC 5322, 4.3). */
const zones: ReadonlyMap<string, number> = new Map([
  ['UT', 0],
  ['UTC', 0],
  ['GMT', 0],
  ['Z', 0],
  ['EST', -300],
  ['EDT', -240],
  ['CST', -360],
  ['CDT', -300],
  ['MST', -420],
  ['MDT', -360],
  ['PST', -480],
  ['PDT', -420],
]);

const pattern =
  /^(?:[a-z]{2,9}[.,]*\s+)?(\d{1,2})[\s-]+([a-z]{3})[a-z.]*[\s-]+(\d{2}|\d{4})[\s,]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:\.\d+)?)?\s*(?:([+-])\s?(\d{2}):?(\d{2})|([a-z]{1,5}))?/iu;
/** `ctime`: Mon Jan  1 00:00:00 2001, with a zone before or after the year or none. */
const ctimePattern =
  /^(?:[a-z]{3},?\s+)?([a-z]{3})\s+(\d{1,2})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s+(?:([a-z]{1,5})\s+)?(\d{4})(?:\s*([+-])(\d{2}):?(\d{2}))?$/iu;
const isoPattern =
  /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(?:(Z)|([+-])(\d{2}):?(\d{2}))?$/iu;

interface Parts {
  readonly year: number;
  /** 0 to 11. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly offsetMinutes: number | null;
}

const offsetOf = (sign: string | undefined, hours = '', minutes = '', zone?: string): number | null => {
  if (sign !== undefined) {
    const total = Number(hours) * 60 + Number(minutes);
    // -0000 says that the local offset is not known.
    if (sign === '-' && total === 0) return null;
    return sign === '-' ? -total : total;
  }
  return zone === undefined ? null : (zones.get(zone.toUpperCase()) ?? null);
};

/** RFC 5322, 4.3: two digits up to 49 are of this century. */
const fullYear = (year: string): number => {
  const value = Number(year);
  if (year.length > 2) return value;
  return value < 50 ? 2000 + value : 1900 + value;
};

const toTime = (parts: Parts): MailTime | null => {
  const { year, month, day, hour, minute, second, offsetMinutes } = parts;
  if (month < 0 || hour > 23 || minute > 59 || second > 60 || Math.abs(offsetMinutes ?? 0) > 14 * 60) return null;
  const date = new Date(Date.UTC(year, month, day, hour, minute, Math.min(second, 59)));
  if (date.getUTCMonth() !== month || date.getUTCDate() !== day || year < 1000) return null;
  return { utc: new Date(date.getTime() - (offsetMinutes ?? 0) * 60_000).toISOString(), offsetMinutes };
};

/** Null for what is no date, or one that cannot be, such as 30 February. */
export const parseMailDate = (text: string): MailTime | null => {
  const value = text
    .slice(0, 200)
    .replaceAll(/\([^()]*\)/gu, ' ')
    .trim();
  const usual = pattern.exec(value);
  if (usual !== null) {
    const [, day, month = '', year = '', hour, minute, second = '0', sign, hours, minutes, zone] = usual;
    return toTime({
      year: fullYear(year),
      month: months.indexOf(month.toLowerCase()),
      day: Number(day),
      hour: Number(hour),
      minute: Number(minute),
      second: Number(second),
      offsetMinutes: offsetOf(sign, hours, minutes, zone),
    });
  }
  const ctime = ctimePattern.exec(value);
  if (ctime !== null) {
    const [, month = '', day, hour, minute, second = '0', zone, year, sign, hours, minutes] = ctime;
    return toTime({
      year: Number(year),
      month: months.indexOf(month.toLowerCase()),
      day: Number(day),
      hour: Number(hour),
      minute: Number(minute),
      second: Number(second),
      offsetMinutes: offsetOf(sign, hours, minutes, zone),
    });
  }
  const iso = isoPattern.exec(value);
  if (iso === null) return null;
  const [, year, month, day, hour, minute, second = '0', utc, sign, hours, minutes] = iso;
  return toTime({
    year: Number(year),
    month: Number(month) - 1,
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
    offsetMinutes: offsetOf(sign, hours, minutes, utc),
  });
};
