/** Dates of cells, in the order that the plan says. One that could be two dates is refused, never guessed. */
import { parseDate } from '@casebound/loadfile';

const zones: Readonly<Record<string, string>> = { UTC: 'Z', GMT: 'Z', Z: 'Z' };

type ReadDate =
  | { readonly ok: true; readonly iso: string }
  | {
      readonly ok: false;
      readonly code: 'date_invalid' | 'ambiguous_date' | 'time_zone_unknown';
      readonly reason: string;
    };

const invalid: ReadDate = { ok: false, code: 'date_invalid', reason: 'is no date of the calendar' };

const pick = (
  text: string,
  order: 'month-first' | 'day-first' | null,
): ReadDate & { readonly zone?: string | null; readonly hasTime?: boolean } => {
  const parsed = parseDate(text);
  if (parsed === undefined) return invalid;
  const [first, second] = parsed.readings;
  const reading =
    first !== undefined && (second === undefined || second.iso === first.iso)
      ? order !== null &&
        (first.order === 'month-first' || first.order === 'day-first') &&
        first.order !== order &&
        second === undefined
        ? undefined
        : first
      : parsed.readings.find((it) => it.order === order);
  if (reading === undefined) {
    return order === null
      ? { ok: false, code: 'ambiguous_date', reason: 'can be read as two dates' }
      : { ok: false, code: 'date_invalid', reason: `is no date in ${order} order` };
  }
  return { ok: true, iso: reading.iso, zone: parsed.zone, hasTime: parsed.hasTime };
};

const offsetOf = (zone: string | null | undefined, fallback: string): string | undefined => {
  const written = zone ?? fallback;
  const known = zones[written.toUpperCase()];
  if (known !== undefined) return known;
  const match = /^([+-])(\d{2}):?(\d{2})$/.exec(written);
  return match === null ? undefined : `${match[1] ?? ''}${match[2] ?? ''}:${match[3] ?? ''}`;
};

/** An instant in UTC, from a date that may have its time of day in another cell. */
export const readInstant = (
  text: string,
  time: string,
  order: 'month-first' | 'day-first' | null,
  timeZone: string,
): ReadDate => {
  const alone = pick(text, order);
  if (!alone.ok) return alone;
  const read = alone.hasTime !== true && time !== '' ? pick(`${text} ${time}`, order) : alone;
  if (!read.ok) return { ok: false, code: 'date_invalid', reason: 'has a time of day that is none' };
  const offset = offsetOf(read.zone, timeZone);
  if (offset === undefined)
    return {
      ok: false,
      code: 'time_zone_unknown',
      reason: `states a time zone that is not known (${read.zone ?? ''})`,
    };
  // The parsed date is one of the calendar: in UTC, with whole seconds, it is written already as it is kept.
  if (offset === 'Z' && read.iso.length === 19) return { ok: true, iso: `${read.iso}Z` };
  if (offset === 'Z' && read.iso.length === 10) return { ok: true, iso: `${read.iso}T00:00:00Z` };
  const instant = new Date(`${read.iso.length === 10 ? `${read.iso}T00:00:00` : read.iso}${offset}`);
  return Number.isNaN(instant.getTime()) ? invalid : { ok: true, iso: instant.toISOString().replace('.000Z', 'Z') };
};

/** A date as a custom field keeps it: the day, or the instant where a time is stated. */
export const readDate = (text: string, order: 'month-first' | 'day-first' | null, timeZone: string): ReadDate => {
  const read = pick(text.trim(), order);
  if (!read.ok) return read;
  return read.hasTime === true ? readInstant(text.trim(), '', order, timeZone) : { ok: true, iso: read.iso };
};
