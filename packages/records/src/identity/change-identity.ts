/**
 * A change of identity with everything that follows from it, in one transaction.
 *
 * - Closure: the documents whose identity contains the changed one, however far. Locked FOR UPDATE level by level, each level in
 *   ascending order, its own row first; parents of a level are looked for in a statement *after* the level is locked, so edges that
 *   committed during a lock wait are seen. A last scan over the whole closure must find nothing new.
 * - A referrer that commits later has waited for these locks (its foreign key needs KEY SHARE) and finds in its second look that
 *   what it resolved has changed.
 * - Every document whose JSON shows a changed identity gets one new etag: the closure and its direct referrers.
 */
import { CaseboundError } from '@casebound/contract';
import { maintainHierarchy } from '../auth/maintain-closure.ts';
import { displayName, type Resource } from '../derive/model.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import { sendStatements } from '../plan/send-statements.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import type { Resolution, WriteItem } from '../write/write-items.ts';
import { buildStatements } from '../write/write-statements.ts';
import { bumpEtags, deferBumps } from './deferred-bumps.ts';
import { recomputeIdentities } from './recompute-identities.ts';

const ids = (rows: readonly Record<string, unknown>[], name: string): number[] => rows.map((row) => Number(row[name]));

/** Locks documents and their root rows, ascending, and returns their resources. */
const lockLevel = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  level: readonly number[],
): Promise<ReadonlyMap<number, Resource>> => {
  const started = performance.now();
  const { rows } = await tx.query(
    `SELECT document_id, resource_key_id FROM ${ctx.writes.qualified('document')} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR UPDATE`,
    [arrayLiteral(level)],
  );
  const byKey = resourcesByKey(ctx);
  const found = new Map<number, Resource>();
  for (const row of rows) {
    const resource = byKey.get(Number(row['resource_key_id']));
    if (resource !== undefined) found.set(Number(row['document_id']), resource);
  }
  // Referrers' foreign keys lock the root row of what they refer to, so that one must be held too.
  const roots = [...new Set([...found.values()].map((resource) => resource.root.name))].sort();
  await settleAll(
    roots.map(async (root) =>
      tx.query(
        `SELECT count(*) FROM (SELECT 1 FROM ${ctx.writes.qualified(root)} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR UPDATE) AS locked`,
        [arrayLiteral(level)],
      ),
    ),
  );
  ctx.metrics.count('records_locked_rows', { mode: 'exclusive' }, found.size);
  ctx.metrics.observe('records_lock_seconds', { mode: 'exclusive' }, (performance.now() - started) / 1000);
  return found;
};

/** Resources by their key in this store. */
export const resourcesByKey = (ctx: StoreContext): ReadonlyMap<number, Resource> =>
  ctx.memo(
    'resources by key',
    () => new Map([...ctx.model.resources.values()].map((resource) => [ctx.resourceKey(resource.name), resource])),
  );

const identityParents = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  children: readonly number[],
  known: ReadonlySet<number>,
): Promise<number[]> => {
  const { rows } = await tx.query(
    `SELECT DISTINCT parent_document_id FROM ${ctx.writes.qualified('reference_edge')} WHERE child_document_id = ANY($1::bigint[]) AND is_identity_component`,
    [arrayLiteral(children)],
  );
  return ids(rows, 'parent_document_id').filter((id) => !known.has(id));
};

export interface Closure {
  /** Members without the changed document itself, with their resources. */
  readonly members: ReadonlyMap<number, Resource>;
  readonly depth: number;
}

/** Locks the closure of a document, which is locked first. */
export const lockClosure = async (ctx: StoreContext, tx: RecordTransaction, documentId: number): Promise<Closure> => {
  const { cascade } = ctx.limits;
  const started = performance.now();
  const known = new Set([documentId]);
  const members = new Map<number, Resource>();
  await lockLevel(ctx, tx, [documentId]);
  let level = [documentId];
  let depth = 0;
  for (;;) {
    let parents = await identityParents(ctx, tx, level, known);
    if (parents.length === 0) {
      parents = await identityParents(ctx, tx, [...known], known);
      if (parents.length === 0) break;
    }
    depth += 1;
    if (depth > cascade.maxDepth) {
      throw new CaseboundError(
        'cascade_too_large',
        `The change of identity reaches deeper than ${cascade.maxDepth} levels (limit cascade.maxDepth).`,
      );
    }
    if (known.size - 1 + parents.length > cascade.maxClosure) {
      throw new CaseboundError(
        'cascade_too_large',
        `The change of identity reaches ${known.size - 1 + parents.length} records or more; the limit cascade.maxClosure is ${cascade.maxClosure}.`,
      );
    }
    const locked = await lockLevel(ctx, tx, parents);
    for (const id of parents) known.add(id);
    for (const [id, resource] of locked) members.set(id, resource);
    level = parents;
  }
  ctx.metrics.observe('records_closure_size', {}, members.size);
  ctx.metrics.observe('records_closure_depth', {}, depth);
  ctx.metrics.observe('records_closure_seconds', {}, (performance.now() - started) / 1000);
  return { members, depth };
};

/** Documents outside the closure that show a member's identity. */
const directReferrers = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  closure: readonly number[],
): Promise<number[]> => {
  const { rows } = await tx.query(
    `SELECT DISTINCT parent_document_id FROM ${ctx.writes.qualified('reference_edge')} WHERE child_document_id = ANY($1::bigint[]) AND NOT parent_document_id = ANY($1::bigint[])`,
    [arrayLiteral(closure)],
  );
  return ids(rows, 'parent_document_id');
};

/** Applies an item whose identity differs from the stored one, and everything that follows. */
export const changeIdentity = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  item: WriteItem,
  resolution: Resolution,
): Promise<void> => {
  const { documentId } = item;
  const { cascade } = ctx.limits;
  // What the new form refers to is locked before one's own row, as every writer does.
  const hubs = [
    ...new Set(item.flat.references.flatMap((reference) => resolution.get(reference.referentialId) ?? [])),
  ].filter((id) => id !== documentId);
  if (hubs.length > 0) {
    await settleAll(sendStatements(ctx, tx, resource, [ctx.writes.lockReferenced(hubs.sort((a, b) => a - b))]));
  }
  const closure = await lockClosure(ctx, tx, documentId);
  const etag = ctx.writes.bumpGuarded([documentId], [item.existing?.etag ?? 0]);
  const statements = [
    etag,
    ...buildStatements(ctx, resource, [item], resolution, { skipEtags: true }),
    ...maintainHierarchy(ctx, resource, [documentId]),
  ];
  await settleAll(sendStatements(ctx, tx, resource, statements));

  const members = new Map<number, Resource>([[documentId, resource], ...closure.members]);
  const changed = await recomputeIdentities(ctx, tx, members);
  const referrers = await directReferrers(ctx, tx, [...members.keys()]);
  if (referrers.length > cascade.maxFanOut) {
    if (cascade.beyondFanOut === 'fail') {
      throw new CaseboundError(
        'cascade_too_large',
        `${referrers.length} records show the changed identity of this ${displayName(resource.name)}; the limit cascade.maxFanOut is ${cascade.maxFanOut}.`,
      );
    }
    await deferBumps(ctx, tx, resource, referrers);
    await bumpEtags(ctx, tx, [...closure.members.keys()]);
  } else await bumpEtags(ctx, tx, [...closure.members.keys(), ...referrers]);
  ctx.metrics.count('records_cascades', { resource: resource.endpoint });
  ctx.metrics.count('records_identities_rewritten', { resource: resource.endpoint }, changed);
};
