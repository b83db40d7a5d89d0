/** Settings of the database. Where they come from and how they are overridden: docs/configuration.md. */
import { z } from 'zod';
import { secretString } from '../platform/secrets/Port.ts';

const milliseconds = (fallback: number): z.ZodDefault<z.ZodNumber> =>
  z.number().int().positive().max(86_400_000).default(fallback);

export const timeoutsSchema = z
  .strictObject({
    lockTimeoutMs: milliseconds(5000).describe(
      'A statement that waits longer for a lock fails, and its transaction is retried.',
    ),
    statementTimeoutMs: milliseconds(15_000).describe('A statement that runs longer fails.'),
    transactionTimeoutMs: milliseconds(25_000).describe(
      'A transaction that is open longer is ended by the server, so that a paused process cannot go on holding locks.',
    ),
    idleInTransactionTimeoutMs: milliseconds(10_000).describe(
      'A transaction that waits this long for its next statement is ended by the server.',
    ),
    connectTimeoutMs: milliseconds(5000).describe('For opening a connection, authentication included.'),
  })
  .prefault({});
export type Timeouts = z.infer<typeof timeoutsSchema>;

export const poolSchema = z
  .strictObject({
    maxConnections: z
      .number()
      .int()
      .min(4)
      .max(10_000)
      .default(40)
      .describe('Connections that one process opens in all.'),
    maxConnectionsPerCase: z.number().int().min(1).max(1000).default(6).describe('Of these, for one case.'),
    idleMs: milliseconds(10_000).describe('An unused connection is closed after this.'),
    acquireTimeoutMs: milliseconds(10_000).describe(
      'Longest wait for a free connection; then the request is refused as overloaded.',
    ),
    maxLifetimeMs: milliseconds(1_800_000).describe(
      'A connection is replaced after this, so that moved servers and changed passwords are noticed.',
    ),
  })
  .prefault({});
export type PoolSettings = z.infer<typeof poolSchema>;

const databaseName = z
  .string()
  .regex(/^[a-z_][a-z0-9_]{0,39}$/, 'Lower-case letters, digits and underscores, at most 40.');

export const caseDatabasesSchema = z
  .strictObject({
    casesPerDatabase: z
      .number()
      .int()
      .min(1)
      .max(5000)
      .default(500)
      .describe('At this many cases the next database is opened.'),
    create: z.boolean().default(true).describe('Make databases as they are needed (the role needs CREATEDB).'),
    existing: z
      .array(z.strictObject({ server: z.string().default('main'), database: databaseName }))
      .default([])
      .describe('Databases that were made for cases by hand, to be used before any is created.'),
  })
  .prefault({});
export type CaseDatabasesSettings = z.infer<typeof caseDatabasesSchema>;

/** A URL with a password in it, or a reference `secret://name` to one. */
const databaseUrl = secretString({ kind: 'url', protocols: ['postgres:', 'postgresql:'] });

const endpoints = {
  url: databaseUrl.describe(
    'The writer; may be a pooler in transaction mode. Without ?sslmode= a server on another machine must show a valid certificate (verify-full).',
  ),
  readerUrl: databaseUrl.optional().describe('A replica for reads that may lag behind.'),
  directUrl: databaseUrl.optional().describe('The writer without the pooler: for LISTEN and CREATE DATABASE.'),
};

const common = {
  timeouts: timeoutsSchema,
  pool: poolSchema,
  cases: caseDatabasesSchema,
  namedStatements: z
    .boolean()
    .default(false)
    .describe(
      'Let the server keep the plans of statements that come again. Only without a pooler, or with one that tracks names.',
    ),
};

export const databaseConfigSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('embedded').describe('PostgreSQL 18 started by Casebound in the data folder.'),
    port: z.number().int().min(1024).max(65_535).optional().describe('Default: a free one, kept from start to start.'),
    account: z.string().optional().describe('When started by root: the account that PostgreSQL runs as.'),
    maxConnections: z.number().int().min(20).max(1000).default(100).describe('Connections that the server accepts.'),
    settings: z
      .record(z.string().regex(/^[a-z_.]+$/), z.string())
      .default({})
      .describe('Settings of PostgreSQL, e.g. shared_buffers.'),
    ...common,
    namedStatements: common.namedStatements.default(true),
  }),
  z.strictObject({
    kind: z.literal('url').describe('Your PostgreSQL 17 or 18.'),
    ...endpoints,
    caseServers: z
      .array(z.strictObject({ name: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/), ...endpoints }))
      .default([])
      .describe('Further servers that hold cases. `main` is the one of `url`.'),
    ...common,
  }),
]);
export type DatabaseConfig = z.infer<typeof databaseConfigSchema>;
export const databaseConfigDefault = { kind: 'embedded' } as const;
