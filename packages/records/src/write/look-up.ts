/**
 * The first round trip of a write: what the document refers to, whether it exists, and what it says now.
 *
 * - One look-up for all references, whatever their number and nesting; one read of the current form; ids for new documents.
 * - When nothing has the identity that is looked for, what it would say is not waited for: the server works on that read while the
 *   next statements are being made.
 * - No record is locked here. What was read is checked again by the guards of the second round trip.
 * - The schema is: its row is read, which holds up a migration until the transaction ends, and a store that has another one by now is not
 *   written to.
 */
import { CaseboundError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import { quoteLiteral } from '../derive/naming.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { Claims } from '../auth/claim-set.ts';
import { referCheck } from '../auth/referable.ts';
import type { RowPredicate } from '../auth/row-predicate.ts';
import { builtSql, withPage } from '../read/built-documents.ts';
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
  /** Ids of records that exist and that the caller may not refer to. */
  readonly unreferable: ReadonlySet<string>;
  /** A read whose answer nothing depends on and that may still fail; to be settled with what is sent next. */
  readonly unread: Promise<unknown> | null;
}

export interface LookUpRequest {
  readonly resource: Resource;
  /** Each once. */
  readonly referentialIds: readonly string[];
  readonly find: { readonly by: 'referentialId' | 'uuid'; readonly keys: readonly string[] };
  readonly newIds: number;
  readonly allowed: RowPredicate;
  readonly claims: Claims | null;
}

const currentSql = (
  ctx: StoreContext,
  resource: Resource,
  by: 'referentialId' | 'uuid',
  allowed: RowPredicate,
): string =>
  ctx.memo(`current ${by} ${resource.projectEndpoint}/${resource.endpoint} ${allowed.sql}`, () => {
    const q = (name: string): string => ctx.writes.qualified(name);
    const columns = `d.document_id, d.document_uuid, d.etag, d.last_modified_at, (${allowed.sql}) AS allowed`;
    if (by === 'uuid') {
      // It is there nearly always, so the form that costs less to run is taken; below, the one that costs less to set up.
      const ids = `SELECT x.document_id FROM ${q('document')} x WHERE x.document_uuid = ANY($1::uuid[]) AND x.resource_key_id = $2`;
      return `SELECT d.document_uuid AS key, ${columns}, b.body ${ctx.reads.from(resource)} JOIN (${withPage(ids)} ${builtSql(ctx, resource)}) b ON b.document_id = d.document_id WHERE d.document_uuid = ANY($1::uuid[])`;
    }
    return `SELECT i.referential_id AS key, ${columns}, ${ctx.reads.body(resource)} AS body FROM ${q('referential_identity')} i JOIN ${q('document')} d ON d.document_id = i.document_id JOIN ${q(resource.root.name)} t ON t.document_id = d.document_id WHERE i.referential_id = ANY($1::uuid[]) AND i.resource_key_id = $2`;
  });

/**
 * One descent of the key's index for each id, whatever the planner believes of the table's size (as in `WriteSql.recheck`). New ids come
 * in one row: a row each would be most of what the answer for a batch costs. A row without anything says that the schema is another.
 */
const identitiesSql = (ctx: StoreContext, withNewIds: boolean): string =>
  ctx.memo(`identities ${withNewIds}`, () => {
    const table = ctx.writes.qualified('referential_identity');
    const sequence = quoteLiteral(ctx.writes.qualified('document_document_id_seq'));
    const found = `SELECT i.referential_id, i.document_id, i.resource_key_id, NULL AS new_ids FROM unnest((SELECT $1::uuid[])) AS u(r) CROSS JOIN LATERAL (SELECT * FROM ${table} x WHERE x.referential_id = u.r LIMIT 1) AS i`;
    const checked = `${found} UNION ALL SELECT NULL, NULL, NULL, NULL ${ctx.writes.otherSchema(ctx.model.fingerprint)}`;
    return withNewIds
      ? `${checked} UNION ALL SELECT NULL, NULL, NULL, string_agg(nextval(${sequence})::text, ' ') FROM generate_series(1, $2::int)`
      : checked;
  });

/** What a write or repair of a store is answered that was migrated since it was opened. */
export const schemaChanged = (schema: string): CaseboundError =>
  new CaseboundError('schema_mismatch', `The store ${schema} was migrated to another schema since it was opened.`);

/** Keys for which what may be there is asked for together with whether it is: for more, a wait costs less than asking for what is not. */
const maxReadAhead = 20;

const metaMembers = new Set(['id', '_etag', '_lastModifiedDate']);

/** The stored form of a document as flat rows; null when it does not flatten under the present schema. */
export const flattenStored = (ctx: StoreContext, resource: Resource, body: string): FlatDocument | null => {
  const document = JSON.parse(body) as { [key: string]: JsonValue };
  const members = Object.fromEntries(Object.entries(document).filter(([name]) => !metaMembers.has(name)));
  const result = flattenDocument(ctx.flatPlan(resource), members);
  return result.ok ? result.flat : null;
};

const rowToExisting = (
  ctx: StoreContext,
  resource: Resource,
  row: Readonly<Record<string, unknown>>,
): ExistingDocument => ({
  documentId: Number(row['document_id']),
  uuid: String(row['document_uuid']),
  etag: Number(row['etag']),
  lastModified: row['last_modified_at'] as Date,
  isAllowed: row['allowed'] === true,
  before: flattenStored(ctx, resource, String(row['body'])),
});

/** Sends the look-up in one go and waits for it. */
export const lookUp = async (ctx: StoreContext, tx: RecordTransaction, request: LookUpRequest): Promise<LookUp> => {
  const { resource, find, allowed, newIds } = request;
  const ids = arrayLiteral(request.referentialIds);
  const check = referCheck(ctx, resource, request.referentialIds, request.claims);
  const identitiesSent = tx.query(identitiesSql(ctx, newIds > 0), newIds > 0 ? [ids, newIds] : [ids]);
  const readCurrent = async (keys: readonly string[]): ReturnType<RecordTransaction['query']> =>
    tx.query(currentSql(ctx, resource, find.by, allowed), [
      arrayLiteral(keys),
      ctx.resourceKey(resource.name),
      ...allowed.values,
    ]);
  const isMany = find.by === 'referentialId' && find.keys.length > maxReadAhead;
  const currentSent = isMany || find.keys.length === 0 ? null : readCurrent(find.keys);
  currentSent?.catch(() => undefined);
  const checkSent = settleAll((check?.statements ?? []).map(async (each) => tx.query(each.text, each.values)));
  checkSent.catch(() => undefined);
  const { rows } = await identitiesSent.catch(async (error: unknown) => {
    await currentSent?.catch(() => undefined);
    throw error;
  });
  const identities = new Map<string, Resolved>();
  let fresh: number[] = [];
  for (const row of rows) {
    const { referential_id: id, document_id: documentId, resource_key_id: resourceKeyId } = row;
    if (typeof id !== 'string' && row['new_ids'] === null) throw schemaChanged(ctx.schema);
    if (typeof id !== 'string') fresh = String(row['new_ids']).split(' ').map(Number);
    else identities.set(id, { documentId: Number(documentId), resourceKeyId: Number(resourceKeyId) });
  }
  const unreferable = new Set<string>();
  if (check !== null) {
    const referable = new Set((await checkSent).flatMap((part) => part.rows.map((row) => row['referential_id'])));
    for (const [id, { resourceKeyId }] of identities)
      if (!check.freeKeys.has(resourceKeyId) && !referable.has(id)) unreferable.add(id);
  }
  const there =
    find.by === 'uuid' ? find.keys : identities.size === 0 ? [] : find.keys.filter((key) => identities.has(key));
  const isAbsent = there.length === 0;
  const current = isAbsent ? [] : (await (currentSent ?? readCurrent(there))).rows;
  return {
    identities,
    existing: new Map(current.map((row) => [String(row['key']), rowToExisting(ctx, resource, row)])),
    newIds: fresh,
    unreferable,
    unread: isAbsent ? currentSent : null,
  };
};
