/** A token that lives as long as the process, for programs that may read its data folder. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Actor } from '@casebound/contract';

type Authenticate = (token: string) => Promise<Actor | undefined>;

const digest = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();

/** Takes the local token for Casebound itself, any other for what `next` says. Compares in constant time. */
export const acceptLocalToken = (localToken: string, next: Authenticate): Authenticate => {
  const expected = digest(localToken);
  return async (token) =>
    timingSafeEqual(digest(token), expected) ? { kind: 'system', reason: 'command line' } : next(token);
};
