/**
 * Passwords of case roles. They are derived, so none is stored; the server is given a verifier, so none is sent or logged.
 *
 * SCRAM-SHA-256 verifier: RFC 5802 section 3, in the form of PostgreSQL's pg_authid.rolpassword
 * (https://www.postgresql.org/docs/current/catalog-pg-authid.html).
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** The password of a role: HMAC-SHA-256 of its name under the installation's key, in hexadecimal. */
export function derivePassword(keyHex: string, role: string): string {
  return createHmac('sha256', Buffer.from(keyHex, 'hex')).update(role).digest('hex');
}

/**
 * Iterations make guessing a weak password dear. These have 256 bits, which no number of guesses reaches, and each
 * connection pays for the iterations on both ends: 4096, the usual number, doubles the time to connect.
 */
const iterations = 1;

export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
