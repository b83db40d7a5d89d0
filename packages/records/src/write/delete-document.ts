/**
 * DELETE of one document.
 *
 * - The document is locked before its edges are deleted: a writer that is at work on it has committed by then, and the edges that it
 *   made are seen.
 * - The foreign keys of referrers decide; edges are asked only afterwards, for the names of the referring types.
 * - Within a caller's transaction the delete runs in a savepoint, so that the question can still be asked after it failed.
 */
import { CaseboundError } from '@casebound/contract';
import type { Claims } from '../auth/claim-set.ts';
import { forgetHierarchy } from '../auth/maintain-closure.ts';
import { rowPredicate, type RowPredicate } from '../auth/row-predicate.ts';
import { documentColumn } from '../ddl/emit-ddl.ts';
import { ownedTables } from '../ddl/owned-tables.ts';
import { displayName, type Resource, resourceId } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { isUuid } from '../identity/uuid-v7.ts';
import { resourcesByKey } from '../identity/change-identity.ts';
import { sendStatements } from '../plan/send-statements.ts';
import type { Statement } from '../plan/write-sql.ts';
import { FinalFailure, transactionWithRetry } from '../retry.ts';
import { type RecordTransaction, settleAll, sqlFailureOf } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';

export interface DeleteOptions extends Preconditions {
  readonly claims?: Claims | null;
  readonly tx?: RecordTransaction;
}

/** Which tables hold the descriptor `$1`; descriptors have no edges. */
const descriptorUsersSql = (ctx: StoreContext, resource: Resource): string =>
  ctx.memo(`descriptor users ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const tests = [...ctx.model.resources.values()].flatMap((user) =>
      user.tables.flatMap((table) =>
        table.columns
          .filter((column) => column.descriptor !== null && resourceId(column.descriptor) === resourceId(resource.name))
          .map(
            (column) =>
              `SELECT ${quoteLiteral(displayName(user.name))} AS name WHERE EXISTS (SELECT 1 FROM ${ctx.writes.qualified(table.name)} WHERE ${quoteIdentifier(column.name)} = $1)`,
          ),
      ),
    );
    return tests.length === 0 ? `SELECT NULL AS name WHERE $1::bigint IS NULL` : tests.join(' UNION ');
  });

/** Documents of `user` that hold the descriptor `$1`. */
const descriptorOwnersSql = (ctx: StoreContext, user: Resource, descriptor: Resource): string =>
  user.tables
    .flatMap((table) =>
      table.columns
        .filter((column) => column.descriptor !== null && resourceId(column.descriptor) === resourceId(descriptor.name))
        .map(
          (column) =>
            `SELECT x.${quoteIdentifier(documentColumn(table))} FROM ${ctx.writes.qualified(table.name)} x WHERE x.${quoteIdentifier(column.name)} = $1`,
        ),
    )
    .join(' UNION ');

/** Of resources, those of which the caller may read one of the rows that a condition over `t` gives. */
const visibleTypes = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  claims: Claims | null,
  candidates: readonly { readonly resource: Resource; readonly condition: string }[],
  documentId: number,
): Promise<readonly string[]> => {
  const names: string[] = [];
  for (const { resource, condition } of candidates) {
    let predicate: RowPredicate;
    try {
      predicate = rowPredicate(ctx, resource, 'read', claims, 2);
    } catch (error) {
      if (error instanceof CaseboundError && error.code === 'forbidden') continue;
      throw error;
    }
    const { rows } = await tx.query(
      `SELECT 1 FROM ${ctx.writes.qualified(resource.root.name)} t WHERE ${condition} AND ${predicate.sql} LIMIT 1`,
      [documentId, ...predicate.values],
    );
    if (rows.length > 0) names.push(displayName(resource.name));
  }
  return names;
};

/** The types of what refers to a document, as far as the caller may see one record of the type that does. */
const referringTypes = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentId: number,
  claims: Claims | null,
): Promise<readonly string[]> => {
  if (resource.isDescriptor) {
    const { rows } = await tx.query(descriptorUsersSql(ctx, resource), [documentId]);
    const users = new Set(rows.map((row) => String(row['name'])));
    const candidates = [...ctx.model.resources.values()].filter((user) => users.has(displayName(user.name)));
    return visibleTypes(
      ctx,
      tx,
      claims,
      candidates.map((user) => ({
        resource: user,
        condition: `t.document_id IN (${descriptorOwnersSql(ctx, user, resource)})`,
      })),
      documentId,
    );
  }
  const edge = ctx.writes.qualified('reference_edge');
  const { rows } = await tx.query(
    `SELECT DISTINCT p.resource_key_id FROM ${edge} e JOIN ${ctx.writes.qualified('document')} p ON p.document_id = e.parent_document_id WHERE e.child_document_id = $1 AND e.parent_document_id <> $1`,
    [documentId],
  );
  const byKey = resourcesByKey(ctx);
  const found = rows.flatMap((row) => byKey.get(Number(row['resource_key_id'])) ?? []);
  const condition = `t.document_id IN (SELECT e.parent_document_id FROM ${edge} e WHERE e.child_document_id = $1)`;
  return visibleTypes(
    ctx,
    tx,
    claims,
    found.map((user) => ({ resource: user, condition })),
    documentId,
  );
};

const referenced = (resource: Resource, types: readonly string[]): CaseboundError => {
  const names = [...types].sort();
  return new CaseboundError(
    'record_referenced',
    names.length === 0
      ? `The ${displayName(resource.name)} is referred to by other records.`
      : `The ${displayName(resource.name)} is referred to by records of ${names.join(', ')}.`,
    { errors: names.map((name) => ({ path: '$', message: `is referred to by ${name}` })) },
  );
};

/**
 * Deletes the document `$1`; its rows go with it by the trigger. Where its resource has a superclass, references lead to the document itself
 * and are checked before the trigger runs: its own rows, which may refer to it, go in the same statement.
 */
const deleteSql = (ctx: StoreContext, resource: Resource): string =>
  ctx.memo(`delete ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const rows = resource.alias === null ? [] : ownedTables(resource);
    const own = rows.map(
      (table, at) =>
        `own${at} AS (DELETE FROM ${ctx.writes.qualified(table.name)} WHERE ${documentColumn(table)} = $1), `,
    );
    return `WITH ${own.join('')}gone AS (DELETE FROM ${ctx.writes.qualified('document')} WHERE document_id = $1 RETURNING 1) SELECT ${ctx.writes.qualified('records_guard')}((SELECT count(*) FROM gone), 1, 'gone')`;
  });

const sendDelete = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentId: number,
  own: boolean,
): Promise<void> => {
  const statements: readonly Statement[] = [
    ...forgetHierarchy(ctx, resource, [documentId]),
    {
      text: `DELETE FROM ${ctx.writes.qualified('reference_edge')} WHERE parent_document_id = $1`,
      values: [documentId],
      tally: { kind: 'edges-deleted', asked: 0 },
    },
    {
      text: deleteSql(ctx, resource),
      values: [documentId],
    },
  ];
  const sent = sendStatements(ctx, tx, resource, statements);
  if (own) tx.sendCommit?.();
  await settleAll(sent);
};

const runDelete = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  uuid: string,
  options: DeleteOptions,
  own: boolean,
): Promise<void> => {
  const predicate = rowPredicate(ctx, resource, 'delete', options.claims ?? null, 3);
  const find = async (): Promise<Readonly<Record<string, unknown>> | undefined> => {
    const { rows } = await tx.query(
      `SELECT d.document_id, d.etag ${ctx.reads.from(resource)} WHERE d.document_uuid = $1::uuid AND d.resource_key_id = $2 AND ${predicate.sql} FOR UPDATE OF d`,
      [uuid, ctx.resourceKey(resource.name), ...predicate.values],
    );
    return rows[0];
  };
  const found = await find();
  // What the caller may delete is told by the root row, which the writer that was waited for may have changed.
  const row = found === undefined || predicate.sql === 'TRUE' ? found : await find();
  if (row === undefined)
    throw new CaseboundError(
      'record_not_found',
      `There is no ${displayName(resource.name)} with the id ${uuid.slice(0, 40)}.`,
    );
  checkPreconditions(options, Number(row['etag']));
  const documentId = Number(row['document_id']);
  if (!own) await tx.query('SAVEPOINT records_delete');
  try {
    await sendDelete(ctx, tx, resource, documentId, own);
    if (!own) await tx.query('RELEASE SAVEPOINT records_delete');
  } catch (error) {
    if (sqlFailureOf(error)?.sqlState !== '23503') throw error;
    if (own) throw new ReferencedSignal(documentId, error);
    await tx.query('ROLLBACK TO SAVEPOINT records_delete');
    throw referenced(resource, await referringTypes(ctx, tx, resource, documentId, options.claims ?? null));
  }
};

/**
 * Carries the id out of the failed transaction, with the failure that tells the database's port what it was; never leaves this file. The
 * foreign key has waited for whoever was at a referrer, so there is one.
 */
class ReferencedSignal extends FinalFailure {
  readonly documentId: number;
  constructor(documentId: number, cause: unknown) {
    super('referenced', { cause });
    this.documentId = documentId;
  }
}

/**
 * Deletes the document with an id.
 * @throws `record_not_found`, `record_referenced` naming the referring types, `precondition_failed`, `conflict_retries_exhausted`
 */
export const deleteDocument = async (
  ctx: StoreContext,
  resource: Resource,
  uuid: string,
  options: DeleteOptions = {},
): Promise<void> => {
  if (!isUuid(uuid))
    throw new CaseboundError(
      'record_not_found',
      `There is no ${displayName(resource.name)} with the id ${uuid.slice(0, 40)}.`,
    );
  if (options.tx !== undefined) {
    await runDelete(ctx, options.tx, resource, uuid, options, false);
    return;
  }
  try {
    await transactionWithRetry(ctx.database, ctx.retry, ctx.retryObserver, (tx) =>
      runDelete(ctx, tx, resource, uuid, options, true),
    );
    ctx.metrics.count('records_deletes', { resource: resource.endpoint });
  } catch (error) {
    if (!(error instanceof ReferencedSignal)) throw error;
    const types = await ctx.database.transaction((tx) =>
      referringTypes(ctx, tx, resource, error.documentId, options.claims ?? null),
    );
    throw referenced(resource, types);
  }
};
