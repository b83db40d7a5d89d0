export type {
  Database,
  IsolationLevel,
  Listener,
  PoolStatistics,
  Queryable,
  QueryResult,
  Transaction,
  TransactionOptions,
} from './Database.ts';
export { quoteIdentifier, quoteQualified } from './quote-identifier.ts';
