/**
 * GET by id and GET list: one round trip each; bodies are finished JSON text from the database.
 *
 * - Authorization stands in the WHERE of the innermost select: a row that may not be seen is not counted, not skipped over by an
 *   offset, and answered as absent by id.
 * - The page's ids are chosen before any body is built, so an offset builds nothing that it skips. They travel within the statement as
 *   one array that the planner cannot see through, and the limit behind a subselect, below a rough one in the text: the long statement
 *   then keeps one plan, made for few documents, where the exact limit would have it planned anew for every page.
 * - With a cache, what is cached is read by a short statement. Only a page of which something is missing there takes a second round
 *   trip, with the whole condition again.
 */
import { CaseboundError } from '@casebound/contract';
import type { Claims } from '../auth/claim-set.ts';
import { rowPredicate } from '../auth/row-predicate.ts';
import { displayName, type Resource } from '../derive/model.ts';
import { isUuid } from '../identity/uuid-v7.ts';
import type { Statement } from '../plan/write-sql.ts';
import { type Filter, filterSql } from '../query/filter-sql.ts';
import { issueToken, readToken } from '../query/page-token.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { builtSql, pageIds, withPage } from './built-documents.ts';
import { mergedAtMost, reachedCountSql, reachedIdsSql } from './reached-page.ts';

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

/** `document_id, etag, body` of a page, `body` being NULL where it is not cached. */
const cachedSql = (ctx: StoreContext): string =>
  ctx.memo(
    'cached',
    () =>
      `SELECT d.document_id, d.etag, k.body FROM ${ctx.writes.qualified('document')} d ${ctx.reads.cacheJoin()} WHERE d.document_id = ANY(${pageIds})`,
  );

/** Documents to read. */
interface Chosen {
  /** `SELECT t.document_id` of what the caller may see and asks for, in order. */
  readonly ids: string;
  readonly values: readonly unknown[];
  /** The same without offset and limit, of documents in the array that `parameter` binds. */
  readonly among: (parameter: string) => string;
}

interface Read {
  /** In the order of the ids. */
  readonly rows: readonly StoredDocument[];
  readonly hits: number;
  /** Id of the last document chosen, and how many were; one can be gone before it is built where the cache lacked it. */
  readonly last: number | null;
  readonly count: number;
  /** Rows of the statements that were sent with it. */
  readonly more: readonly (readonly Readonly<Record<string, unknown>>[])[];
}

const readRow = (row: Readonly<Record<string, unknown>>): StoredDocument => ({
  documentId: Number(row['document_id']),
  etag: Number(row['etag']),
  body: String(row['body']),
});

/** Reads what is chosen, and sends `more` with it. */
const readChosen = async (
  ctx: StoreContext,
  resource: Resource,
  options: ReadOptions,
  chosen: Chosen,
  more: readonly Statement[] = [],
): Promise<Read> => {
  // Begins with SELECT, by which a connection knows that it may travel with BEGIN.
  const page = (ids: string, bodies: string): string =>
    `SELECT r.* FROM (${withPage(ids)} ${bodies}) r ORDER BY r.document_id`;
  const send = async (statements: readonly Statement[]): Promise<Read['more']> =>
    inTransaction(ctx, options, async (tx, own) => {
      const sent = statements.map(async ({ text, values }) => tx.query(text, values));
      if (own) tx.sendCommit?.();
      return (await settleAll(sent)).map((result) => result.rows);
    });
  const usesCache = ctx.cacheMode !== 'off';
  const text = page(chosen.ids, usesCache ? cachedSql(ctx) : builtSql(ctx, resource));
  const [found = [], ...others] = await send([{ text, values: chosen.values }, ...more]);
  const lastFound = found.at(-1);
  const outline = {
    last: lastFound === undefined ? null : Number(lastFound['document_id']),
    count: found.length,
    more: others,
  };
  const missing = found.filter((row) => row['body'] === null).map((row) => Number(row['document_id']));
  const hits = usesCache ? found.length - missing.length : 0;
  if (missing.length === 0) return { ...outline, rows: found.map(readRow), hits };
  const among = page(chosen.among(`$${chosen.values.length + 1}`), builtSql(ctx, resource));
  const [late = []] = await send([{ text: among, values: [...chosen.values, missing] }]);
  const byId = new Map(late.map((row) => [Number(row['document_id']), readRow(row)]));
  const rows = found.flatMap((row) =>
    row['body'] === null ? (byId.get(Number(row['document_id'])) ?? []) : readRow(row),
  );
  return { ...outline, rows, hits };
};

const countRead = (
  ctx: StoreContext,
  resource: Resource,
  operation: 'get' | 'list',
  { rows, hits }: Read,
  started: number,
): void => {
  const labels = { resource: resource.endpoint, operation };
  ctx.metrics.observe('records_read_seconds', labels, (performance.now() - started) / 1000);
  if (rows.length > 0) ctx.metrics.count('records_result_rows', labels, rows.length);
  if (ctx.cacheMode === 'off') return;
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
  const from = `SELECT t.document_id ${ctx.reads.from(resource)} WHERE d.document_uuid = $1::uuid AND d.resource_key_id = $2 AND ${predicate.sql}`;
  const chosen: Chosen = {
    ids: from,
    values: [uuid, ctx.resourceKey(resource.name), ...predicate.values],
    among: (parameter) => `${from} AND t.document_id = ANY(${parameter}::bigint[])`,
  };
  const read = await readChosen(ctx, resource, options, chosen);
  countRead(ctx, resource, 'get', read, started);
  const [row] = read.rows;
  if (row === undefined) throw missing;
  return row;
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

/** The rows that a page looks at, roughly: what the planner must know, in few texts. */
const roughLimit = (rows: number): number => {
  let limit = 500;
  while (limit < rows) limit *= 10;
  return limit;
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
  const predicate = rowPredicate(ctx, resource, 'read', options.claims ?? null, values.length + 1, 'many');
  values.push(...predicate.values);
  const ownType = resource.isDescriptor ? ` AND t.resource_key_id = ${ctx.resourceKey(resource.name)}` : '';
  const where = `${condition} AND ${predicate.sql}${ownType}`;
  const root = ctx.writes.qualified(resource.root.name);
  const pageValues = [...values, limit, after ?? offset];
  const [limitAt, startAt] = [`$${values.length + 1}::bigint`, `$${pageValues.length}::bigint`];
  const from = `SELECT t.document_id FROM ${root} t WHERE ${where}`;
  const begin = after === null ? 'TRUE' : `t.document_id > ${startAt}`;
  const wanted = after === null ? offset + limit : limit;
  const reach = filters.length === 0 ? predicate.reach : null;
  const atMost = mergedAtMost(wanted);
  const within = `${from} AND ${begin} ORDER BY t.document_id LIMIT ${roughLimit(wanted)}`;
  const chosen: Chosen = {
    ids:
      reach !== null && atMost !== null
        ? reachedIdsSql({ reach, root, begin, limit: limitAt, offset: after === null ? startAt : '0', atMost })
        : `SELECT x.document_id FROM (${within}) x ORDER BY x.document_id LIMIT (SELECT ${limitAt})${after === null ? ` OFFSET (SELECT ${startAt})` : ''}`,
    values: pageValues,
    among: (parameter) =>
      `${from} AND t.document_id = ANY(${parameter}::bigint[]) AND ${limitAt} >= 0 AND ${startAt} >= 0`,
  };
  const count =
    reach === null ? `SELECT count(*) AS total FROM ${root} t WHERE ${where}` : reachedCountSql({ reach, root });
  const counting = options.totalCount === true ? [{ text: count, values }] : [];
  const read = await readChosen(ctx, resource, options, chosen, counting);
  countRead(ctx, resource, 'list', read, started);
  return {
    bodies: read.rows.map((row) => row.body),
    totalCount: counting.length === 0 ? null : Number(read.more[0]?.[0]?.['total']),
    nextPageToken: read.last === null || read.count < limit ? null : issueToken(ctx.tokenSecret, scope, read.last),
  };
};
