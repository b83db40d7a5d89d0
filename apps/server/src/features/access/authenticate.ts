/**
 * From a token to its account.
 *
 * 1. A token counts only if its hash is that of an enabled account; hashes are compared in constant time.
 * 2. What was found is taken as valid for `tokenCacheMs`, so that a request costs no statement; requests that come at once
 *    with a token that is not known yet share one look-up.
 * 3. `invalidate` takes effect on look-ups that are under way, too: they are not kept.
 * 4. The cache is bounded. Only valid tokens enter it, so that strangers cannot fill it.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Actor } from '@casebound/contract';
import type { Database } from '../../database/index.ts';
import type { Clock } from '../../platform/clock/Port.ts';
import type { AccessConfig } from './config.ts';
import { findByTokenHash } from './store.ts';
import { hashToken, isToken } from './token.ts';

export interface Authenticator {
  /** The account of the token, or `undefined`. Throws `database_unreachable` and the like. */
  authenticate(token: string): Promise<Actor | undefined>;
  /** Forgets every token, after one was made void. */
  invalidate(): void;
}

interface Dependencies {
  readonly database: Database;
  readonly clock: Clock;
  readonly config: AccessConfig;
}

const MAX_CACHED = 10_000;

interface Known {
  readonly actor: Actor;
  readonly untilMs: number;
}

export const createAuthenticator = ({ database, clock, config }: Dependencies): Authenticator => {
  const known = new Map<string, Known>();
  const lookUps = new Map<string, Promise<Actor | undefined>>();
  let generation = 0;

  const remember = (key: string, actor: Actor): void => {
    if (config.tokenCacheMs === 0) return;
    const [oldest] = known.keys();
    if (known.size >= MAX_CACHED && oldest !== undefined) known.delete(oldest);
    known.set(key, { actor, untilMs: clock.monotonicMs() + config.tokenCacheMs });
  };

  const lookUp = async (key: string, hash: Buffer): Promise<Actor | undefined> => {
    const startedIn = generation;
    const found = await database.transaction({ readOnly: true }, async (tx) => findByTokenHash(tx, hash));
    if (found === undefined || !timingSafeEqual(found.tokenHash, hash)) return undefined;
    const { accountId, name, permissions } = found.account;
    const actor: Actor = { kind: 'account', accountId, name, permissions };
    if (startedIn === generation) remember(key, actor);
    return actor;
  };

  return {
    async authenticate(token) {
      if (!isToken(token)) return undefined;
      const hash = hashToken(token);
      const key = hash.toString('hex');
      const cached = known.get(key);
      if (cached !== undefined && clock.monotonicMs() < cached.untilMs) return cached.actor;
      known.delete(key);
      const underWay = lookUps.get(key);
      if (underWay !== undefined) return underWay;
      const started = lookUp(key, hash).finally(() => {
        if (lookUps.get(key) === started) lookUps.delete(key);
      });
      lookUps.set(key, started);
      return started;
    },
    invalidate() {
      generation += 1;
      known.clear();
      lookUps.clear();
    },
  };
};
