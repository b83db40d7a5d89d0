/** Where a PostgreSQL is and as whom to enter it. */
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
 * is never repeated, for it holds a password. Errors: `config_invalid`.
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
  const mode = url.searchParams.get('sslmode') ?? 'disable';
  const tls = tlsOfMode[mode];
  if (tls === undefined) {
    throw invalid(`has sslmode=${mode}, which is not one of ${Object.keys(tlsOfMode).join(', ')}`);
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 5432 : Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    setting: key,
    tls,
  };
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
    ssl: tls === 'off' ? false : { rejectUnauthorized: tls === 'verify' },
    application_name: applicationName,
    types,
  };
}
