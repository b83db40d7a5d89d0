/**
 * The first round trip of a write: what the document refers to, whether it exists, and what it says now.
 *
 * - One look-up for all references, whatever their number and nesting; one read of the current form; ids for new documents.
 * - Nothing is locked here. What was read is checked again by the guards of the second round trip.
 */
import type { Resource } from '../derive/model.ts';
import { quoteLiteral } from '../derive/naming.ts';
import type { RecordTransaction } from '../session.ts';
import { settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RowPredicate } from '../auth/row-predicate.ts';
import { type FlatDocument, flattenDocument } from './flatten-document.ts';
import type { JsonValue } from './parse-json.ts';

export interface ExistingDocument {
  readonly documentId: number;
  readonly uuid: string;
  readonly etag: number;
  readonly lastModified: Date;
  readonly isAllowed: boolean;
  /** Null when what is stored does not fit the schema any more: then everything is written anew. */
  readonly before: FlatDocument | null;
}

export interface Resolved {
  readonly documentId: number;
  readonly resourceKeyId: number;
}

export interface LookUp {
  readonly identities: ReadonlyMap<string, Resolved>;
  /** By referential id, or by uuid when looked up by uuid. */
  readonly existing: ReadonlyMap<string, ExistingDocument>;
  readonly newIds: readonly number[];
}

export interface LookUpRequest {
  readonly resource: Resource;
  readonly referentialIds: Iterable<string>;
  readonly find: { readonly by: 'referentialId' | 'uuid'; readonly keys: readonly string[] };
  readonly newIds: number;
  readonly allowed: RowPredicate;
}

const currentSql = (ctx: StoreContext, resource: Resource, by: 'referentialId' | 'uuid'): string =>
  ctx.memo(`current ${by} ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const q = (name: string): string => ctx.writes.qualified(name);
    const columns = `d.document_id, d.document_uuid, d.etag, d.last_modified_at, ${ctx.reads.body(resource)} AS body`;
    return by === 'uuid'
      ? `SELECT d.document_uuid AS key, ${columns}, (/*allowed*/) AS allowed ${ctx.reads.from(resource)} WHERE d.document_uuid = ANY($1::uuid[]) AND d.resource_key_id = $2`
      : `SELECT i.referential_id AS key, ${columns}, (/*allowed*/) AS allowed FROM ${q('referential_identity')} i JOIN ${q('document')} d ON d.document_id = i.document_id JOIN ${q(resource.root.name)} t ON t.document_id = d.document_id WHERE i.referential_id = ANY($1::uuid[]) AND i.resource_key_id = $2`;
  });

const metaMembers = new Set(['id', '_etag', '_lastModifiedDate']);

/** The stored form of a document as flat rows; null when it does not flatten under the present schema. */
export const flattenStored = (resource: Resource, body: string): FlatDocument | null => {
  const document = JSON.parse(body) as { [key: string]: JsonValue };
  const members = Object.fromEntries(Object.entries(document).filter(([name]) => !metaMembers.has(name)));
  const result = flattenDocument(resource, members);
  return result.ok ? result.flat : null;
};

const rowToExisting = (resource: Resource, row: Readonly<Record<string, unknown>>): ExistingDocument => ({
  documentId: Number(row['document_id']),
  uuid: String(row['document_uuid']),
  etag: Number(row['etag']),
  lastModified: row['last_modified_at'] as Date,
  isAllowed: row['allowed'] === true,
  before: flattenStored(resource, String(row['body'])),
});

/** Sends the look-up in one go and waits for it. */
export const lookUp = async (ctx: StoreContext, tx: RecordTransaction, request: LookUpRequest): Promise<LookUp> => {
  const { resource, find, allowed } = request;
  const q = (name: string): string => ctx.writes.qualified(name);
  const ids = [...new Set(request.referentialIds)];
  const sequence = quoteLiteral(q('document_document_id_seq'));
  const identitySql = `SELECT referential_id, document_id, resource_key_id FROM ${q('referential_identity')} WHERE referential_id = ANY($1::uuid[])`;
  const idsSql = ` UNION ALL SELECT NULL, nextval(${sequence}), NULL FROM generate_series(1, $2::int)`;
  const [identityRows, currentRows] = await settleAll([
    request.newIds > 0
      ? tx.query(`${identitySql}${idsSql}`, [arrayLiteral(ids), request.newIds])
      : tx.query(identitySql, [arrayLiteral(ids)]),
    tx.query(currentSql(ctx, resource, find.by).replace('/*allowed*/', allowed.sql), [
      arrayLiteral(find.keys),
      ctx.resourceKey(resource.name),
      ...allowed.values,
    ]),
  ]);
  const rows = identityRows?.rows ?? [];
  return {
    identities: new Map(
      rows
        .filter((row) => row['referential_id'] !== null)
        .map((row) => [
          String(row['referential_id']),
          { documentId: Number(row['document_id']), resourceKeyId: Number(row['resource_key_id']) },
        ]),
    ),
    existing: new Map((currentRows?.rows ?? []).map((row) => [String(row['key']), rowToExisting(resource, row)])),
    newIds: rows.filter((row) => row['referential_id'] === null).map((row) => Number(row['document_id'])),
  };
};
