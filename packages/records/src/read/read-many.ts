/** Documents by the store's own ids, for work in sets within the process: one statement, no authorization. */
import type { Resource } from '../derive/model.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import type { StoredDocument } from './read-documents.ts';

/** Those of the documents that are there, by id. `body` is JSON text with `id`, `_etag` and `_lastModifiedDate`. */
export const readMany = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
): Promise<Map<number, StoredDocument>> => {
  const { rows } = await tx.query(
    `SELECT d.document_id, d.etag, ${ctx.reads.body(resource)} AS body ${ctx.reads.from(resource)}
     WHERE d.document_id = ANY($1::bigint[]) AND d.resource_key_id = $2`,
    [documentIds, ctx.resourceKey(resource.name)],
  );
  return new Map(
    rows.map((row) => [
      Number(row['document_id']),
      { documentId: Number(row['document_id']), etag: Number(row['etag']), body: String(row['body']) },
    ]),
  );
};
