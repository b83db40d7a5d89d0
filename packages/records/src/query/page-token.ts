/**
 * Page tokens: where the next page begins, bound to the resource and filters they were issued for.
 *
 * - Signed with a secret of the store: a token that was changed, or made for another query, is refused and tells nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';

const signature = (secret: string, scope: string, after: number): Buffer =>
  createHmac('sha256', secret).update(`${scope}\u0000${after}`).digest().subarray(0, 16);

/** A token for the page after document `after`. */
export const issueToken = (secret: string, scope: string, after: number): string => {
  const position = Buffer.alloc(8);
  position.writeBigUInt64BE(BigInt(after));
  return Buffer.concat([position, signature(secret, scope, after)]).toString('base64url');
};

/** The position in a token. Throws `validation_failed` for any token that was not issued for this scope. */
export const readToken = (secret: string, scope: string, token: string): number => {
  const bytes = token.length < 100 ? Buffer.from(token, 'base64url') : Buffer.alloc(0);
  const after = bytes.length === 24 ? Number(bytes.readBigUInt64BE(0)) : -1;
  if (
    bytes.length === 24 &&
    Number.isSafeInteger(after) &&
    timingSafeEqual(bytes.subarray(8), signature(secret, scope, after))
  )
    return after;
  throw new CaseboundError('validation_failed', 'The page token was not issued for this query.', {
    errors: [{ path: 'query.pageToken', message: 'was not issued for this query; begin without a token' }],
  });
};
