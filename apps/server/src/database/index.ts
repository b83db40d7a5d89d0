export type {
  Database,
  IsolationLevel,
  Listener,
  OwnerDatabase,
  OwnerTransaction,
  PoolStatistics,
  Queryable,
  QueryResult,
  Transaction,
  TransactionOptions,
} from './Database.ts';
export { applyCaseMigrations } from './apply-case-migrations.ts';
export type { CaseDatabase, CaseDatabases } from './case-databases.ts';
export { caseIdOfSchema, caseIdsOfRole, caseRoles, caseSchema } from './case-names.ts';
export {
  createSchemaAndRoles,
  dropPairRole,
  dropSchemaAndRoles,
  listAdministered,
  setWritable,
  shutOut,
  type CasePlace,
  type CaseRoleContext,
} from './case-roles.ts';
export type { CaseSessions, CaseTransaction, TwoCasesTransaction } from './case-sessions.ts';
export { DatabaseError, violatedUniqueConstraint } from './classify-error.ts';
export { databaseConfigDefault, databaseConfigSchema, type DatabaseConfig } from './config.ts';
export { parseConnectionUrl, type ConnectionTarget } from './connection-target.ts';
export { migrationOptions, readMigrations, type Migration, type MigrationFolder } from './migrations.ts';
export { openDatabases, type Databases, type OpenDatabasesOptions, type ServerEndpoints } from './open-databases.ts';
export { quoteIdentifier, quoteQualified } from './quote-identifier.ts';
export { validateTimeouts, type HandlerTimeout } from './validate-timeouts.ts';
export {
  dataFolderPaths,
  embeddedMajorVersion,
  findHolder,
  startEmbedded,
  type EmbeddedOptions,
  type EmbeddedServer,
  type Holder,
} from './embedded/index.ts';
