/**
 * GET by id and GET list: one round trip each; bodies are finished JSON text from the database.
 *
 * - Authorization stands in the WHERE of the innermost select: a row that may not be seen is not counted, not skipped over by an
 *   offset, and answered as absent by id.
 * - The page's ids are chosen before any body is built, so an offset builds nothing that it skips.
 */
import { CaseboundError } from '@casebound/contract';
import type { Claims } from '../auth/claim-set.ts';
import { rowPredicate } from '../auth/row-predicate.ts';
import { displayName, type Resource } from '../derive/model.ts';
import { isUuid } from '../identity/uuid-v7.ts';
import { type Filter, filterSql } from '../query/filter-sql.ts';
import { issueToken, readToken } from '../query/page-token.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';

export interface ReadOptions {
  readonly claims?: Claims | null;
  readonly tx?: RecordTransaction;
}

export interface StoredDocument {
  readonly documentId: number;
  readonly etag: number;
  /** JSON text with `id`, `_etag` and `_lastModifiedDate`. */
  readonly body: string;
}

export interface ListOptions extends ReadOptions {
  readonly filters?: readonly Filter[];
  readonly offset?: number;
  readonly limit?: number;
  /** From `nextPageToken` of the page before; excludes `offset`. */
  readonly pageToken?: string;
  readonly totalCount?: boolean;
}

export interface Page {
  /** JSON texts, in the order of creation. */
  readonly bodies: readonly string[];
  readonly totalCount: number | null;
  /** Null on the last page. */
  readonly nextPageToken: string | null;
}

const inTransaction = async <T>(
  ctx: StoreContext,
  options: ReadOptions,
  fn: (tx: RecordTransaction, own: boolean) => Promise<T>,
): Promise<T> => (options.tx === undefined ? ctx.database.transaction((tx) => fn(tx, true)) : fn(options.tx, false));

interface BodySql {
  /** `body`, and whether it came from the cache as `hit`. */
  readonly columns: string;
  readonly join: string;
}

const bodySql = (ctx: StoreContext, resource: Resource): BodySql =>
  ctx.memo(`body ${resource.projectEndpoint}/${resource.endpoint}`, () =>
    ctx.cacheMode === 'off'
      ? { columns: `${ctx.reads.body(resource)} AS body`, join: '' }
      : {
          columns: `${ctx.reads.cachedBody(resource)} AS body, k.document_id IS NOT NULL AS hit`,
          join: ` ${ctx.reads.cacheJoin()}`,
        },
  );

const countRead = (
  ctx: StoreContext,
  resource: Resource,
  operation: 'get' | 'list',
  rows: readonly Readonly<Record<string, unknown>>[],
  started: number,
): void => {
  const labels = { resource: resource.endpoint, operation };
  ctx.metrics.observe('records_read_seconds', labels, (performance.now() - started) / 1000);
  if (rows.length > 0) ctx.metrics.count('records_result_rows', labels, rows.length);
  if (ctx.cacheMode === 'off') return;
  const hits = rows.filter((row) => row['hit'] === true).length;
  if (hits > 0) ctx.metrics.count('records_cache_hits', { resource: resource.endpoint }, hits);
  if (hits < rows.length)
    ctx.metrics.count('records_cache_misses', { resource: resource.endpoint }, rows.length - hits);
};

/** The document with an id. Throws `record_not_found`, also for one the caller may not see. */
export const getDocument = async (
  ctx: StoreContext,
  resource: Resource,
  uuid: string,
  options: ReadOptions = {},
): Promise<StoredDocument> => {
  const started = performance.now();
  const predicate = rowPredicate(ctx, resource, 'read', options.claims ?? null, 3);
  const missing = new CaseboundError(
    'record_not_found',
    `There is no ${displayName(resource.name)} with the id ${uuid.slice(0, 40)}.`,
  );
  if (!isUuid(uuid)) throw missing;
  const { columns, join } = bodySql(ctx, resource);
  const [result] = await inTransaction(ctx, options, async (tx, own) => {
    const sent = [
      tx.query(
        `SELECT d.document_id, d.etag, ${columns} ${ctx.reads.from(resource)}${join} WHERE d.document_uuid = $1::uuid AND d.resource_key_id = $2 AND ${predicate.sql}`,
        [uuid, ctx.resourceKey(resource.name), ...predicate.values],
      ),
    ];
    if (own) tx.sendCommit?.();
    return settleAll(sent);
  });
  countRead(ctx, resource, 'get', result?.rows ?? [], started);
  const row = result?.rows[0];
  if (row === undefined) throw missing;
  return { documentId: Number(row['document_id']), etag: Number(row['etag']), body: String(row['body']) };
};

const wholeNumber = (name: string, value: number | undefined, fallback: number, max: number): number => {
  const number = value ?? fallback;
  if (Number.isInteger(number) && number >= 0 && number <= max) return number;
  throw new CaseboundError(
    'validation_failed',
    `The query parameter ${name} must be a whole number from 0 to ${max}.`,
    {
      errors: [{ path: `query.${name}`, message: `must be a whole number from 0 to ${max}` }],
    },
  );
};

/** A page of documents, oldest first. Throws `validation_failed` for what is wrong with the query. */
export const listDocuments = async (
  ctx: StoreContext,
  resource: Resource,
  options: ListOptions = {},
): Promise<Page> => {
  const started = performance.now();
  const filters = options.filters ?? [];
  const limit = wholeNumber('limit', options.limit, ctx.limits.defaultPage, ctx.limits.maxPage);
  const offset = wholeNumber('offset', options.offset, 0, ctx.limits.maxOffset);
  const scope = JSON.stringify([
    displayName(resource.name),
    ...filters.map((filter) => JSON.stringify([filter.field, filter.value])).sort(),
  ]);
  if (options.pageToken !== undefined && options.offset !== undefined) {
    throw new CaseboundError('validation_failed', 'A page is asked for by pageToken or by offset, not by both.', {
      errors: [{ path: 'query.offset', message: 'must not stand beside pageToken' }],
    });
  }
  const after = options.pageToken === undefined ? null : readToken(ctx.tokenSecret, scope, options.pageToken);

  const values: unknown[] = [];
  const condition = filterSql(ctx, resource, filters, values);
  const predicate = rowPredicate(ctx, resource, 'read', options.claims ?? null, values.length + 1);
  values.push(...predicate.values);
  const ownType = resource.isDescriptor ? ` AND t.resource_key_id = ${ctx.resourceKey(resource.name)}` : '';
  const where = `${condition} AND ${predicate.sql}${ownType}`;
  const root = ctx.writes.qualified(resource.root.name);
  const pageValues = [...values, limit, after ?? offset];
  const from = after === null ? '' : ` AND t.document_id > $${pageValues.length}`;
  const skip = after === null ? ` OFFSET $${pageValues.length}` : '';
  const page = `SELECT t.document_id FROM ${root} t WHERE ${where}${from} ORDER BY t.document_id LIMIT $${values.length + 1}${skip}`;
  const { columns, join } = bodySql(ctx, resource);
  const sql = `SELECT d.document_id, ${columns} FROM (${page}) p JOIN ${root} t ON t.document_id = p.document_id JOIN ${ctx.writes.qualified('document')} d ON d.document_id = p.document_id${join} ORDER BY p.document_id`;

  const [rows, count] = await inTransaction(ctx, options, async (tx, own) => {
    const sent = [tx.query(sql, pageValues)];
    if (options.totalCount === true)
      sent.push(tx.query(`SELECT count(*) AS total FROM ${root} t WHERE ${where}`, values));
    if (own) tx.sendCommit?.();
    return settleAll(sent);
  });
  const found = rows?.rows ?? [];
  countRead(ctx, resource, 'list', found, started);
  const last = found.length === limit ? found.at(-1) : undefined;
  return {
    bodies: found.map((row) => String(row['body'])),
    totalCount: count === undefined ? null : Number(count.rows[0]?.['total']),
    nextPageToken: last === undefined ? null : issueToken(ctx.tokenSecret, scope, Number(last['document_id'])),
  };
};
