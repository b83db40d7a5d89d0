/**
 * POST and PUT of one document.
 *
 * - Two round trips: look up; then everything else with COMMIT behind it. A write that changes nothing sends nothing in the second.
 * - A change of identity is the exception: it locks its closure level by level (`identity/change-identity.ts`).
 */
import { CaseboundError } from '@casebound/contract';
import { rowPredicate } from '../auth/row-predicate.ts';
import type { Claims, RecordAction } from '../auth/claim-set.ts';
import { maintainHierarchy } from '../auth/maintain-closure.ts';
import { displayName, type Resource } from '../derive/model.ts';
import { changeIdentity } from '../identity/change-identity.ts';
import { isUuid, uuidV7 } from '../identity/uuid-v7.ts';
import { sendStatements } from '../plan/send-statements.ts';
import type { Statement } from '../plan/write-sql.ts';
import { fillCacheStatement } from '../read/document-cache.ts';
import { transactionWithRetry } from '../retry.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { diffDocuments } from './diff-rows.ts';
import type { FlatDocument } from './flatten-document.ts';
import { keepSpelling } from './keep-spelling.ts';
import { type ExistingDocument, type LookUp, lookUp } from './look-up.ts';
import { mapWriteFailure } from './map-failure.ts';
import type { JsonValue } from './parse-json.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';
import { prepareDocument } from './prepare-document.ts';
import { unresolvedError, unresolvedErrors } from './resolve-references.ts';
import type { WriteItem } from './write-items.ts';
import { buildStatements } from './write-statements.ts';

export interface WriteOptions extends Preconditions {
  readonly claims?: Claims | null;
  /** Writes within this transaction instead of one of its own; the caller then repeats on conflicts. */
  readonly tx?: RecordTransaction;
}

export interface WriteResult {
  readonly outcome: 'created' | 'updated' | 'unchanged';
  readonly documentId: number;
  /** The `id` of the record. */
  readonly uuid: string;
  readonly etag: number;
}

/** Every referential id that a write must look up, each once. */
export const idsToLookUp = (flat: FlatDocument): string[] => [
  ...new Set([
    flat.referentialId,
    ...(flat.aliasId === null ? [] : [flat.aliasId]),
    ...flat.references.map((reference) => reference.referentialId),
  ]),
];

export const resolutionOf = (found: LookUp): Map<string, number> =>
  new Map([...found.identities].map(([id, entry]) => [id, entry.documentId]));

/** The check that what was written lies within what the caller may write; null where everything is allowed. */
export const requireAllowed = (
  ctx: StoreContext,
  resource: Resource,
  action: RecordAction,
  claims: Claims | null,
  documentIds: readonly number[],
): Statement | null => {
  const predicate = rowPredicate(ctx, resource, action, claims, 2);
  if (predicate.sql === 'TRUE') return null;
  return {
    text: `SELECT ${ctx.writes.qualified('records_require')}(NOT EXISTS (SELECT 1 FROM ${ctx.writes.qualified(resource.root.name)} t WHERE t.document_id = ANY($1::bigint[]) AND (${predicate.sql}) IS NOT TRUE), 'row')`,
    values: [documentIds, ...predicate.values],
  };
};

const aliasOwner = (found: LookUp, flat: FlatDocument): number | null =>
  flat.aliasId === null ? null : (found.identities.get(flat.aliasId)?.documentId ?? null);

export const notAllowed = (resource: Resource): CaseboundError =>
  new CaseboundError('forbidden', `The claim set does not allow to write this ${displayName(resource.name)}.`);

/** The identity is taken; by a record that the caller may not see, this is all that it is told. */
export const duplicateIdentity = (
  resource: Resource,
  flat: Pick<FlatDocument, 'referentialId' | 'aliasId'>,
  unreferable: ReadonlySet<string>,
): CaseboundError =>
  unreferable.has(flat.referentialId) || (flat.aliasId !== null && unreferable.has(flat.aliasId))
    ? notAllowed(resource)
    : new CaseboundError(
        'duplicate_identity',
        `Another record has the identity of this ${displayName(resource.name)}.`,
      );

interface Decided {
  readonly result: WriteResult;
  readonly statements: readonly Statement[];
}

const statementsFor = (
  ctx: StoreContext,
  resource: Resource,
  item: WriteItem,
  found: LookUp,
  options: WriteOptions,
): Statement[] => {
  const action = item.existing === null ? 'create' : 'update';
  const required = requireAllowed(ctx, resource, action, options.claims ?? null, [item.documentId]);
  return [
    ...buildStatements(ctx, resource, [item], resolutionOf(found)),
    ...maintainHierarchy(ctx, resource, [item.documentId]),
    ...(required === null ? [] : [required]),
    ...(ctx.cacheMode === 'on-write' ? [fillCacheStatement(ctx, resource, [item.documentId])] : []),
  ];
};

const isUnchanged = (existing: ExistingDocument, flat: FlatDocument): boolean =>
  existing.before !== null && diffDocuments(existing.before, flat).length === 0;

const decideUpdate = (
  ctx: StoreContext,
  resource: Resource,
  given: FlatDocument,
  existing: ExistingDocument,
  found: LookUp,
  options: WriteOptions,
): Decided => {
  const { documentId, uuid, etag } = existing;
  checkPreconditions(options, etag);
  const flat = keepSpelling(existing.before, given);
  if (isUnchanged(existing, flat)) return { result: { outcome: 'unchanged', documentId, uuid, etag }, statements: [] };
  const item = { flat, documentId, uuid, existing };
  return {
    result: { outcome: 'updated', documentId, uuid, etag: etag + 1 },
    statements: statementsFor(ctx, resource, item, found, options),
  };
};

const finish = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  decided: Decided,
  unread: Promise<unknown> | null,
  own: boolean,
): Promise<WriteResult> => {
  const sent = sendStatements(ctx, tx, resource, decided.statements);
  if (own) tx.sendCommit?.();
  await settleAll(unread === null ? sent : [unread, ...sent]);
  return decided.result;
};

const checkResolved = (flat: FlatDocument, found: LookUp, before: FlatDocument | null): void => {
  const errors = unresolvedErrors(flat, (id) => found.identities.has(id), found.unreferable, before);
  if (errors.length > 0) throw unresolvedError(errors);
};

const run = async (
  ctx: StoreContext,
  resource: Resource,
  options: WriteOptions,
  fn: (tx: RecordTransaction, own: boolean) => Promise<WriteResult>,
): Promise<WriteResult> => {
  const started = performance.now();
  const done = (outcome: string): void => {
    ctx.metrics.count('records_writes', { resource: resource.endpoint, outcome });
    ctx.metrics.observe('records_write_seconds', { resource: resource.endpoint }, (performance.now() - started) / 1000);
  };
  try {
    const result =
      options.tx !== undefined
        ? await fn(options.tx, false)
        : await transactionWithRetry(ctx.database, ctx.retry, ctx.retryObserver, (tx) => fn(tx, true));
    done(result.outcome);
    if (result.outcome !== 'unchanged') ctx.afterCommit(resource, [result.documentId]);
    return result;
  } catch (error) {
    done('failed');
    throw mapWriteFailure(error, resource);
  }
};

/**
 * Writes a document under its natural identity: creates it, or updates the one there is.
 * @throws `validation_failed`, `unresolved_reference`, `duplicate_identity`, `precondition_failed`, `forbidden`,
 *   `conflict_retries_exhausted`
 */
export const upsertDocument = async (
  ctx: StoreContext,
  resource: Resource,
  body: JsonValue,
  options: WriteOptions = {},
): Promise<WriteResult> => {
  const claims = options.claims ?? null;
  const allowed = rowPredicate(ctx, resource, 'update', claims, 3);
  rowPredicate(ctx, resource, 'create', claims, 3);
  const flat = prepareDocument(ctx, resource, body);
  return run(ctx, resource, options, async (tx, own) => {
    const found = await lookUp(ctx, tx, {
      resource,
      referentialIds: idsToLookUp(flat),
      find: { by: 'referentialId', keys: [flat.referentialId] },
      newIds: 1,
      allowed,
      claims: options.claims ?? null,
    });
    const existing = found.existing.get(flat.referentialId) ?? null;
    if (existing !== null) {
      if (!existing.isAllowed) throw notAllowed(resource);
      checkResolved(flat, found, existing.before);
      return finish(ctx, tx, resource, decideUpdate(ctx, resource, flat, existing, found, options), found.unread, own);
    }
    checkPreconditions(options, null);
    checkResolved(flat, found, null);
    // What had the identity itself was deleted or renamed before what it says was read, and its superclass identity with it.
    if (!found.identities.has(flat.referentialId) && aliasOwner(found, flat) !== null)
      throw duplicateIdentity(resource, flat, found.unreferable);
    const [documentId] = found.newIds;
    if (documentId === undefined) throw new CaseboundError('internal', 'The database gave no document id.');
    const uuid = uuidV7();
    const item = { flat, documentId, uuid, existing: null };
    const statements = statementsFor(ctx, resource, item, found, options);
    return finish(
      ctx,
      tx,
      resource,
      { result: { outcome: 'created', documentId, uuid, etag: 1 }, statements },
      found.unread,
      own,
    );
  });
};

const notFound = (resource: Resource, uuid: string): CaseboundError =>
  new CaseboundError('record_not_found', `There is no ${displayName(resource.name)} with the id ${uuid.slice(0, 40)}.`);

/**
 * Replaces the document with an id.
 *
 * - Who has the identity and what the document says are read by two statements. When a change of identity committed between them, the
 *   transaction is repeated: what the second saw would be written over without its identity.
 * @throws as `upsertDocument`, and `record_not_found`, `identity_immutable`, `cascade_too_large`
 */
export const putDocument = async (
  ctx: StoreContext,
  resource: Resource,
  uuid: string,
  body: JsonValue,
  options: WriteOptions = {},
): Promise<WriteResult> => {
  const allowed = rowPredicate(ctx, resource, 'update', options.claims ?? null, 3);
  if (!isUuid(uuid)) throw notFound(resource, uuid);
  const bodyId = typeof body === 'object' && body !== null && !Array.isArray(body) ? body['id'] : undefined;
  if (bodyId !== undefined && bodyId !== uuid.toLowerCase()) {
    throw new CaseboundError('validation_failed', 'The id in the body is not the id in the address.', {
      errors: [{ path: '$.id', message: 'must be the id in the address' }],
    });
  }
  const flat = prepareDocument(ctx, resource, body);
  return run(ctx, resource, options, async (tx, own) => {
    const found = await lookUp(ctx, tx, {
      resource,
      referentialIds: idsToLookUp(flat),
      find: { by: 'uuid', keys: [uuid] },
      newIds: 0,
      allowed,
      claims: options.claims ?? null,
    });
    const [existing] = found.existing.values();
    if (existing === undefined || !existing.isAllowed) throw notFound(resource, uuid);
    checkPreconditions(options, existing.etag);
    const owner = found.identities.get(flat.referentialId)?.documentId ?? null;
    const { before } = existing;
    if (owner === existing.documentId && before !== null && before.referentialId !== flat.referentialId)
      await settleAll(sendStatements(ctx, tx, resource, [ctx.writes.changedMeanwhile()]));
    // The identity in columns that cannot be read is not known: it is treated as one that changes, where it can.
    if (owner === existing.documentId && (before !== null || !resource.allowIdentityUpdates)) {
      checkResolved(flat, found, before);
      return finish(ctx, tx, resource, decideUpdate(ctx, resource, flat, existing, found, options), found.unread, own);
    }
    if (!resource.allowIdentityUpdates) {
      throw new CaseboundError(
        'identity_immutable',
        `The identity of a ${displayName(resource.name)} cannot be changed.`,
        {
          errors: resource.identity.map((element) => ({ path: element.path, message: 'is part of the identity' })),
        },
      );
    }
    checkResolved(flat, found, before);
    const alias = aliasOwner(found, flat);
    if ((owner !== null && owner !== existing.documentId) || (alias !== null && alias !== existing.documentId))
      throw duplicateIdentity(resource, flat, found.unreferable);
    const item = { flat, documentId: existing.documentId, uuid: existing.uuid, existing };
    await changeIdentity(ctx, tx, resource, item, resolutionOf(found));
    const required = requireAllowed(ctx, resource, 'update', options.claims ?? null, [item.documentId]);
    if (required !== null) await tx.query(required.text, required.values);
    return { outcome: 'updated', documentId: existing.documentId, uuid: existing.uuid, etag: existing.etag + 1 };
  });
};
