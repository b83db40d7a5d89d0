/** Where a PostgreSQL is and as whom to enter it. */
import net from 'node:net';
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';

export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** The setting that named it, for errors. Absent: Casebound runs it itself. */
  readonly setting?: string;
  /** `verify` checks the certificate, `no-verify` only encrypts. Default `off`. */
  readonly tls?: 'off' | 'no-verify' | 'verify';
}

const tlsOfMode: Readonly<Record<string, ConnectionTarget['tls']>> = {
  disable: 'off',
  'no-verify': 'no-verify',
  require: 'verify',
  'verify-ca': 'verify',
  'verify-full': 'verify',
};

/**
 * Reads `postgres://user:password@host:port/database?sslmode=verify-full`. `key` names the setting in errors; the URL itself
 * is never repeated, for it holds a password. Without `sslmode` a server elsewhere must prove who it is (`verify-full`), and
 * one on this machine is spoken to in clear. Errors: `config_invalid`.
 */
export function parseConnectionUrl(text: string, key: string): ConnectionTarget {
  const invalid = (what: string): CaseboundError =>
    new CaseboundError('config_invalid', `${key} ${what}; write postgres://user:password@host:port/database.`);
  const url = URL.parse(text);
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) throw invalid('is not a PostgreSQL URL');
  const database = decodeURIComponent(url.pathname.slice(1));
  if (url.hostname === '' || url.username === '' || database === '') throw invalid('lacks host, user or database');
  for (const name of url.searchParams.keys()) {
    if (name !== 'sslmode')
      throw invalid(`has the parameter ${JSON.stringify(name)}, which is not known (only sslmode is)`);
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const mode = url.searchParams.get('sslmode') ?? (staysOnThisMachine(host) ? 'disable' : 'verify-full');
  const tls = tlsOfMode[mode];
  if (tls === undefined) {
    throw invalid(`has sslmode=${mode}, which is not one of ${Object.keys(tlsOfMode).join(', ')}`);
  }
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    setting: key,
    tls,
  };
}

function staysOnThisMachine(host: string): boolean {
  if (host === 'localhost' || /^(\/|%2f)/i.test(host)) return true; // A path is that of a Unix socket.
  return (net.isIPv4(host) && host.startsWith('127.')) || (net.isIPv6(host) && host === '::1');
}

/** `date` (OID 1082) stays text: as a JavaScript Date it would be moved by the time zone of the process. */
const dateOid = 1082;

/** What the driver needs to know, and what errors say of it. */
export interface ClientConfig extends pg.ClientConfig {
  readonly setting?: string;
}

/** The driver's form of a target. */
export function clientConfig(target: ConnectionTarget, applicationName: string): ClientConfig {
  const { tls = 'off', ...rest } = target;
  const types = new pg.TypeOverrides();
  types.setTypeParser(dateOid, (value) => value);
  return {
    ...rest,
    // The driver tells the name only; the certificate of an address is compared with `host`.
    ssl: tls === 'off' ? false : { rejectUnauthorized: tls === 'verify', host: rest.host },
    application_name: applicationName,
    types,
  };
}
