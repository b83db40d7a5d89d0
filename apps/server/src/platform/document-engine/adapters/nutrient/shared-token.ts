/**
 * The API token of the engine, shared by all calls of the process.
 *
 * 1. Callers that come at once share one look-up.
 * 2. A token that says when it ends (a JWT, RFC 7519) is looked up anew before that; any other one after a minute of use.
 * 3. A token that the engine refused is looked up anew once, however many calls it was refused for.
 */
import type { Clock } from '../../../clock/Port.ts';
import type { Secrets, SecretSetting, SecretValue } from '../../../secrets/Port.ts';

const plainLifeMs = 60_000;
/** A JWT is renewed when less than this is left of it, or a tenth of what is left of it now if that is less. */
const marginMs = 60_000;
/** A store that still has the old token is not asked at every call. */
const shortestLifeMs = 1_000;

export interface SharedToken {
  get(): Promise<SecretValue>;
  /** The token to use after `refused` was refused; equal to it when there is no other. */
  renew(refused: SecretValue): Promise<SecretValue>;
}

interface Held {
  readonly value: SecretValue;
  /** On the steady clock. */
  readonly until: number;
}

/** Milliseconds since 1970 at which a JWT ends; undefined for any other text. */
const endOf = (text: string): number | undefined => {
  const [, payload, signature, ...more] = text.split('.');
  if (payload === undefined || signature === undefined || more.length > 0) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || !('exp' in claims)) return undefined;
    return typeof claims.exp === 'number' ? claims.exp * 1_000 : undefined;
  } catch {
    // Dots alone make no JWT.
    return undefined;
  }
};

/** `Authorization` as the engine wants it: `Token token="..."`, and `Bearer ...` for a JWT. */
export const authorization = (token: SecretValue): string => {
  const text = token.reveal();
  return endOf(text) === undefined ? `Token token="${text}"` : `Bearer ${text}`;
};

export const createSharedToken = (
  setting: SecretSetting,
  secrets: Pick<Secrets, 'get' | 'refresh'>,
  clock: Pick<Clock, 'now' | 'monotonicMs'>,
): SharedToken => {
  let held: Held | undefined;
  let looking: Promise<SecretValue> | undefined;

  const keep = (value: SecretValue): SecretValue => {
    const end = endOf(value.reveal());
    const left = end === undefined ? plainLifeMs : end - clock.now().getTime();
    const margin = end === undefined ? 0 : Math.min(marginMs, left / 10);
    held = { value, until: clock.monotonicMs() + Math.max(shortestLifeMs, left - margin) };
    return value;
  };

  const look = (anew: boolean): Promise<SecretValue> => {
    looking ??= (async () => {
      try {
        if (anew) await secrets.refresh();
        return keep(await secrets.get(setting));
      } finally {
        looking = undefined;
      }
    })();
    return looking;
  };

  return {
    async get() {
      if (held !== undefined && clock.monotonicMs() < held.until) return held.value;
      // One that has ended must not come from a cache.
      return look(held !== undefined && endOf(held.value.reveal()) !== undefined);
    },
    async renew(refused) {
      if (held !== undefined && !held.value.equals(refused)) return held.value;
      return look(true);
    },
  };
};
