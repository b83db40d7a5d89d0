/**
 * `document_cache`: the JSON of documents as of an etag.
 *
 * - A row counts only while its etag is the document's, so it may be stale and can never be wrong: every change of what a
 *   document shows bumps its etag in the same transaction.
 */
import type { Resource } from '../derive/model.ts';
import type { Statement } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';

/** Builds and stores the JSON of documents that lack it or have an old one. */
export const fillCacheStatement = (
  ctx: StoreContext,
  resource: Resource,
  documentIds: readonly number[],
): Statement => ({
  text: ctx.memo(`fill ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const cache = ctx.writes.qualified('document_cache');
    return `INSERT INTO ${cache} AS k (document_id, etag, body) SELECT d.document_id, d.etag, ${ctx.reads.body(resource)} ${ctx.reads.from(resource)} WHERE d.document_id = ANY($1::bigint[]) ON CONFLICT (document_id) DO UPDATE SET etag = excluded.etag, body = excluded.body WHERE k.etag <> excluded.etag`;
  }),
  values: [documentIds],
  tally: { kind: 'rebuilds', asked: documentIds.length },
});
