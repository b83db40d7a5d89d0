/**
 * The SQL that builds chosen documents.
 *
 * - What is chosen travels within the statement as one array, so that the planner, which cannot see through it, makes one plan for few
 *   documents and keeps it.
 */
import type { Resource } from '../derive/model.ts';
import { PageSql } from '../plan/page-sql.ts';
import type { StoreContext } from '../store-context.ts';

/** The array of the ids that `withPage` chose. */
export const pageIds = '(SELECT ids FROM page)::bigint[]';

/** `WITH page AS ...` for a SELECT of `document_id`. */
export const withPage = (ids: string): string =>
  `WITH page AS MATERIALIZED (SELECT array_agg(p.document_id) AS ids FROM (${ids}) p)`;

/** `document_id, etag, body` of a page. */
export const builtSql = (ctx: StoreContext, resource: Resource): string =>
  ctx.memo(`built ${resource.projectEndpoint}/${resource.endpoint}`, () =>
    new PageSql(ctx.reads, (table) => ctx.writes.qualified(table), pageIds).documents(resource),
  );
