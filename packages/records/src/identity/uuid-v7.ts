/**
 * UUIDv7 (RFC 9562, 5.7): creation time, then random; made here because PostgreSQL 17 has none.
 *
 * - The time goes on below the millisecond in the 12 bits that are for it (6.2, method 3): a batch of thousands then comes in order,
 *   and its entries fill the pages of the index instead of splitting them.
 */
import { randomBytes, randomUUID } from 'node:crypto';

/** 12 bits of a millisecond, about a quarter of a microsecond: what a double of today's time can tell. */
const fractions = 4_096;

/** Beyond this the fine clock, which counts from the start of the process, has left the clock of the wall (a suspended machine). */
const maxDriftMs = 1_000;

/** Ids for which randomness is drawn at once. */
const drawn = 256;
/** Hexadecimal digits of randomness that an id takes. */
const randomDigits = 16;
const variantDigits = '89ab';

/** Milliseconds since 1970 with a fraction. */
const fineNow = (): number => {
  const [fine, wall] = [performance.timeOrigin + performance.now(), Date.now()];
  return Math.abs(fine - wall) > maxDriftMs ? wall : fine;
};

/** UUIDs for many records: randomness comes in pieces, and the part of a millisecond is written once. */
export class UuidSeries {
  private random = '';
  private at = 0;
  private ms = -1;
  private prefix = '';

  /** The UUID of a moment, by default now. */
  next(nowMs: number = fineNow()): string {
    const whole = Math.floor(nowMs);
    if (whole !== this.ms) {
      this.ms = whole;
      const time = whole.toString(16).padStart(12, '0');
      this.prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`;
    }
    if (this.at === this.random.length) {
      this.random = randomBytes((drawn * randomDigits) / 2).toString('hex');
      this.at = 0;
    }
    const { random, at } = this;
    this.at += randomDigits;
    const fraction = (fractions + Math.floor((nowMs - whole) * fractions)).toString(16).slice(1);
    const variant = variantDigits[random.charCodeAt(at) & 3] ?? '8';
    return `${this.prefix}${fraction}-${variant}${random.slice(at + 1, at + 4)}-${random.slice(at + 4, at + randomDigits)}`;
  }
}

/** One UUID. */
export const uuidV7 = (nowMs: number = fineNow()): string => {
  const whole = Math.floor(nowMs);
  const time = whole.toString(16).padStart(12, '0');
  const fraction = Math.floor((nowMs - whole) * fractions)
    .toString(16)
    .padStart(3, '0');
  // Variant and random bits stand at the same place in version 4, whose randomness Node draws for many at once.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${fraction}-${randomUUID().slice(19)}`;
};

export const isUuid = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
