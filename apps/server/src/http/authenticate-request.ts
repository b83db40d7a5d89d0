/**
 * Who sends a request. A token travels as `Authorization: Bearer <token>`; for the pages that a browser opens also as the
 * password of HTTP Basic, with any user name, because a browser can ask for that by itself.
 */
import { CaseboundError, isPermitted } from '@casebound/contract';
import type { Actor, Permission } from '@casebound/contract';

/** The account whose token it is, or `undefined`. Throws only when that cannot be found out. */
export type Authenticate = (token: string) => Promise<Actor | undefined>;

export interface Credentials {
  readonly token: string | undefined;
  /** For `WWW-Authenticate`, should they not suffice (RFC 9110, RFC 6750, RFC 7617). */
  readonly challenge: string;
}

const MAX_TOKEN = 512;
const token68 = /^[A-Za-z0-9._~+/-]+=*$/;

const passwordOf = (encoded: string): string | undefined => {
  const [, ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  return password.length === 0 ? undefined : password.join(':');
};

/** Reads the header. `browser` allows HTTP Basic. */
export const readCredentials = (header: string | undefined, browser: boolean): Credentials => {
  const schemes = browser
    ? 'Basic realm="casebound", charset="UTF-8", Bearer realm="casebound"'
    : 'Bearer realm="casebound"';
  const [scheme, value, ...rest] = (header ?? '').split(' ').filter((part) => part !== '');
  if (scheme === undefined) return { token: undefined, challenge: schemes };
  const refused = { token: undefined, challenge: `${schemes}, error="invalid_token"` };
  if (value === undefined || rest.length > 0 || value.length > 2 * MAX_TOKEN || !token68.test(value)) return refused;
  const lower = scheme.toLowerCase();
  if (lower !== 'bearer' && !(lower === 'basic' && browser)) return refused;
  const token = lower === 'bearer' ? value : passwordOf(value);
  if (token === undefined || token === '' || token.length > MAX_TOKEN || !token68.test(token)) return refused;
  return { token, challenge: refused.challenge };
};

/** Throws `forbidden`, naming the permission, when the actor may not call the operation. */
export const requirePermission = (actor: Actor, operation: string, permission: Permission): void => {
  if (isPermitted(actor, permission)) return;
  throw new CaseboundError(
    'forbidden',
    `The operation ${operation} needs the permission ${permission}, which this account does not have.`,
  );
};
