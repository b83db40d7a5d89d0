/**
 * The one place that reads errors of PostgreSQL and its driver.
 *
 * 1. What leaves here says which rule failed, never which value: a server's message may quote document text, so it is
 *    passed on only for classes whose messages name identifiers alone.
 * 2. A connection that broke is told apart from a statement that failed: only the first makes a connection unusable.
 *
 * SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';

/** A statement that the server refused, for the caller to decide on. */
export class DatabaseError extends Error {
  /** Five characters; `23505` is a violated unique constraint. */
  readonly sqlState: string;
  readonly constraint: string | undefined;
  readonly schema: string | undefined;
  readonly table: string | undefined;

  constructor(error: pg.DatabaseError, sqlState: string) {
    const place = [error.schema, error.table, error.constraint].filter((part) => part !== undefined).join('.');
    const what = namesIdentifiersOnly(sqlState) ? `: ${error.message}` : '';
    super(`the database refused a statement (SQLSTATE ${sqlState}${place === '' ? '' : `, ${place}`})${what}`);
    this.name = 'DatabaseError';
    this.sqlState = sqlState;
    this.constraint = error.constraint;
    this.schema = error.schema;
    this.table = error.table;
  }
}

/** Where a connection was to go. */
interface Destination {
  readonly setting: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
}

/** There was no way to the server. Says where it was looked for; the cause is the driver's error. */
export class ConnectError extends Error {
  private constructor(cause: Error, { setting, host, port, timeoutMs }: Destination) {
    const place = host.startsWith('/') ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const database =
      setting === undefined ? `The embedded database at ${place}` : `The database of ${setting} at ${place}`;
    super(`${database} ${describeConnectFailure(cause, timeoutMs)}`, { cause });
    this.name = 'ConnectError';
  }

  /** What the server itself said, and what is not about connecting, stays as it is. */
  static from(error: unknown, destination: Destination): unknown {
    const isOther = !(error instanceof Error) || error instanceof CaseboundError || sqlStateOf(error) !== undefined;
    return isOther ? error : new ConnectError(error, destination);
  }
}

function describeConnectFailure(cause: Error, timeoutMs: number): string {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  if (code === 'ECONNREFUSED') return 'refused the connection (ECONNREFUSED); check host and port, and that it runs.';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `has a host name that is not known (${code}); correct it.`;
  if (code === 'ETIMEDOUT' || /timeout/.test(cause.message)) {
    return `did not answer within database.timeouts.connectTimeoutMs (${timeoutMs} ms); check the network and its firewalls.`;
  }
  if (/does not support SSL/.test(cause.message)) {
    return 'does not speak TLS; set it up there, or append ?sslmode=disable to the URL where the network is trusted.';
  }
  if (failureKind(cause) === 'broken') {
    return `ended the connection before it was established (${code ?? 'connection lost'}); check that PostgreSQL runs there.`;
  }
  return `could not be entered safely (${code ?? cause.message}); check its certificate, and sslmode in the URL.`;
}

/** Messages of these classes speak of names and privileges; those of the others can quote data. */
function namesIdentifiersOnly(sqlState: string): boolean {
  return ['0A', '25', '28', '2B', '3D', '3F', '42', '53', '54', '55', '57'].includes(sqlState.slice(0, 2));
}

/**
 * - `conflict`: the transaction met another one; run it again from its start.
 * - `broken`: the connection is gone or never was; nothing that was not committed has happened.
 * - `denied`: the server does not let this role in.
 * - `statement`: anything else that the server said.
 * - `other`: not an error of the database.
 */
export type FailureKind = 'conflict' | 'broken' | 'denied' | 'statement' | 'other';

const conflicts = new Set(['40001', '40P01', '55P03']);
const denials = new Set(['28000', '28P01', '42501']);
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
/** What the driver says, in plain errors, when a connection ends under it. */
const brokenMessages =
  /Connection terminated|timeout expired|Client has encountered a connection error|Client was closed|not queryable|server conn crashed|client_login_timeout|query_wait_timeout/;

export function failureKind(error: unknown): FailureKind {
  if (error instanceof ConnectError) return 'broken';
  const sqlState = sqlStateOf(error);
  if (sqlState !== undefined) {
    if (conflicts.has(sqlState) || isCatalogConflict(error)) return 'conflict';
    if (isSignInRefused(error)) return 'denied';
    // 25P03 and 25P04: the server ended an idle or overlong transaction, and the connection with it. 53300: too many.
    if (/^(08|57P0|25P0[34]|53300)/.test(sqlState)) return 'broken';
    return denials.has(sqlState) ? 'denied' : 'statement';
  }
  if (!(error instanceof Error)) return 'other';
  if ('code' in error && typeof error.code === 'string' && networkCodes.has(error.code)) return 'broken';
  return brokenMessages.test(error.message) ? 'broken' : 'other';
}

/** Two statements that change one row of a catalogue: PostgreSQL has no SQLSTATE of its own for the loser. */
function isCatalogConflict(error: unknown): boolean {
  return error instanceof Error && /^tuple concurrently (updated|deleted)$/.test(error.message);
}

/** The role is not known, its password is another, or it may not sign in. A pooler says so as a protocol violation (08P01). */
export function isSignInRefused(error: unknown): boolean {
  const sqlState = sqlStateOf(error);
  if (sqlState === '28P01' || sqlState === '28000') return true;
  return (
    sqlState === '08P01' && error instanceof Error && /authentication|no such user|auth failed/i.test(error.message)
  );
}

/** A driver's error as one that quotes no data; any other as it is. */
export function withoutValues(error: unknown): unknown {
  const sqlState = sqlStateOf(error);
  return error instanceof pg.DatabaseError && sqlState !== undefined ? new DatabaseError(error, sqlState) : error;
}

/** The SQLSTATE of a driver's or our own database error. */
export function sqlStateOf(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.sqlState;
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** The constraint of a unique violation (SQLSTATE 23505), else undefined. */
export function violatedUniqueConstraint(error: unknown): string | undefined {
  return error instanceof DatabaseError && error.sqlState === '23505' ? error.constraint : undefined;
}

/** What the caller of a transaction gets to see. Errors that are not the database's pass through. */
export function classifyError(error: unknown): unknown {
  const sqlState = sqlStateOf(error);
  switch (failureKind(error)) {
    case 'conflict':
      return new CaseboundError(
        'conflict_retries_exhausted',
        `The transaction met others that hold the same rows (SQLSTATE ${sqlState ?? '?'}); try again.`,
        { retryAfterSeconds: 1 },
      );
    case 'broken':
      return describeBroken(error, sqlState);
    case 'denied':
    case 'statement':
      return describeRefused(error, sqlState);
    case 'other':
      return error;
  }
}

function describeBroken(error: unknown, sqlState: string | undefined): CaseboundError {
  if (error instanceof ConnectError) return new CaseboundError('database_unreachable', error.message, { cause: error });
  if (sqlState === '25P03' || sqlState === '25P04') {
    const setting = sqlState === '25P03' ? 'idleInTransactionTimeoutMs' : 'transactionTimeoutMs';
    return new CaseboundError(
      'database_unreachable',
      `The transaction was open for longer than database.timeouts.${setting} allows, so the database ended it; nothing of it was kept.`,
    );
  }
  if (sqlState === '53300') {
    return new CaseboundError(
      'overloaded',
      'The database accepts no further connections; lower database.pool.maxConnections or raise the max_connections of the server.',
      { retryAfterSeconds: 5 },
    );
  }
  const code = sqlState ?? (error instanceof Error && 'code' in error ? String(error.code) : 'connection lost');
  return new CaseboundError(
    'database_unreachable',
    `The connection to the database broke (${code}); nothing of the transaction was kept. Check that the server runs.`,
  );
}

function describeRefused(error: unknown, sqlState: string | undefined): unknown {
  if (sqlState === '57014') {
    return new CaseboundError(
      'operation_timeout',
      'A statement ran longer than database.timeouts.statementTimeoutMs allows, or was cancelled; nothing of its transaction was kept.',
    );
  }
  if (sqlState === '53100') {
    return new CaseboundError('overloaded', 'The disk of the database is full; free some space, then try again.');
  }
  if (isSignInRefused(error)) {
    return new CaseboundError(
      'database_denied',
      'The database does not accept user and password; correct database.url or the secret it refers to.',
      { cause: error },
    );
  }
  return withoutValues(error);
}
