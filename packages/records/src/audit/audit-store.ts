/**
 * The full audit: every document of a store, set-based, in batches by ascending id; resumable.
 *
 * - A batch is first looked at without locks. What looks wrong is looked at again with its documents locked: only damage that is
 *   still there then is reported, so writers at work cause no false alarm. Repairs happen under the same locks, and not by a schema
 *   that is no longer the store's.
 * - Progress is kept in the store after each batch; an audit that was interrupted goes on where it was.
 */
import { CaseboundError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import { quoteLiteral } from '../derive/naming.ts';
import { resourcesByKey } from '../identity/change-identity.ts';
import { isUuid } from '../identity/uuid-v7.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { closureSql, hasHierarchy } from '../auth/maintain-closure.ts';
import { transactionWithRetry } from '../retry.ts';
import { schemaChanged } from '../write/look-up.ts';
import { auditResourceDocuments, type Damage } from './audit-documents.ts';
import { type IdRange, orphanEdges, orphanIdentities, orphanRows } from './orphans.ts';
import { repairResourceDocuments } from './repair-documents.ts';

export interface AuditOptions {
  readonly repair?: boolean;
  /** Documents a batch. Default 2,000. */
  readonly batchSize?: number;
  /** Goes on where an interrupted audit was. Default true. */
  readonly resume?: boolean;
  readonly onDamage?: (damage: Damage) => void;
  readonly onProgress?: (lastDocumentId: number, checked: number) => void;
  readonly signal?: AbortSignal;
}

export interface AuditSummary {
  readonly checked: number;
  readonly damages: number;
  readonly repaired: number;
  readonly byKind: Readonly<Record<string, number>>;
}

interface Located {
  readonly documentId: number;
  readonly resource: Resource;
}

/** Looks at documents again under lock, and repairs them there when asked. */
export const confirmAndRepair = async (
  ctx: StoreContext,
  resource: Resource,
  documentIds: readonly number[],
  repair: boolean,
): Promise<readonly Damage[]> =>
  transactionWithRetry(ctx.database, ctx.retry, ctx.retryObserver, async (tx) => {
    const { rows: others } = await tx.query(`SELECT 1 ${ctx.writes.otherSchema(ctx.model.fingerprint)}`);
    if (others.length > 0) throw schemaChanged(ctx.schema);
    await tx.query(
      `SELECT count(*) FROM (SELECT 1 FROM ${ctx.writes.qualified('document')} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR UPDATE) AS locked`,
      [arrayLiteral(documentIds)],
    );
    const { rows } = await tx.query(
      `SELECT document_id FROM ${ctx.writes.qualified('document')} WHERE document_id = ANY($1::bigint[])`,
      [arrayLiteral(documentIds)],
    );
    const damages = await auditResourceDocuments(
      ctx,
      tx,
      resource,
      rows.map((row) => Number(row['document_id'])),
    );
    const broken = [...new Set(damages.filter((damage) => damage.repairable).map((damage) => damage.documentId))];
    if (repair && broken.length > 0) {
      const started = performance.now();
      await repairResourceDocuments(ctx, tx, resource, broken);
      ctx.metrics.count('records_repairs', { resource: resource.endpoint }, broken.length);
      ctx.metrics.observe(
        'records_repair_seconds',
        { resource: resource.endpoint },
        (performance.now() - started) / 1000,
      );
    }
    for (const damage of damages)
      ctx.metrics.count('records_mismatches', { resource: resource.endpoint, kind: damage.kind });
    return damages;
  });

/** Audits given documents: a look without locks, then one under lock at what seems wrong. */
export const auditDocuments = async (
  ctx: StoreContext,
  located: readonly Located[],
  repair: boolean,
): Promise<readonly Damage[]> => {
  const confirmed: Damage[] = [];
  for (const [resource, group] of Map.groupBy(located, (entry) => entry.resource)) {
    const ids = group.map((entry) => entry.documentId);
    const suspects = await ctx.database.transaction((tx) => auditResourceDocuments(ctx, tx, resource, ids));
    const suspectIds = [...new Set(suspects.map((damage) => damage.documentId))].sort((a, b) => a - b);
    if (suspectIds.length > 0) confirmed.push(...(await confirmAndRepair(ctx, resource, suspectIds, repair)));
  }
  return confirmed;
};

/**
 * Documents whose rows stand in the table of another resource than theirs, and documents of no resource of the model. Nothing of
 * the store writes such; what would be right only a person can say.
 */
const misplacedDocuments = async (ctx: StoreContext, after: number, upTo: number): Promise<readonly Damage[]> => {
  const document = ctx.writes.qualified('document');
  const sql = ctx.memo('misplaced documents', () => {
    const roots = [...ctx.model.resources.values()].filter((resource) => !resource.isDescriptor);
    const selects = roots.map(
      (resource) =>
        `SELECT t.document_id, 'root-of-other-resource' AS kind, ${quoteLiteral(resource.endpoint)} AS resource, ${quoteLiteral(resource.root.name)} AS place FROM ${ctx.writes.qualified(resource.root.name)} t JOIN ${document} d ON d.document_id = t.document_id WHERE t.document_id > $1 AND t.document_id <= $2 AND d.resource_key_id <> ${ctx.resourceKey(resource.name)}`,
    );
    const keys = [...resourcesByKey(ctx).keys()].join(', ');
    const unknown = `SELECT document_id, 'resource-unknown', '', 'resource key ' || resource_key_id FROM ${document} WHERE document_id > $1 AND document_id <= $2 AND resource_key_id NOT IN (${keys})`;
    return [...selects, unknown].join(' UNION ALL ');
  });
  const { rows } = await ctx.database.transaction((tx) => tx.query(sql, [after, upTo]));
  return rows.map((row) => ({
    kind: row['kind'] === 'resource-unknown' ? ('resource-unknown' as const) : ('root-of-other-resource' as const),
    documentId: Number(row['document_id']),
    resource: String(row['resource']),
    detail: String(row['place']),
    repairable: false,
  }));
};

const auditClosure = async (ctx: StoreContext, repair: boolean): Promise<readonly Damage[]> => {
  if (!hasHierarchy(ctx)) return [];
  const closure = ctx.writes.qualified('authorization_closure');
  return ctx.database.transaction(async (tx) => {
    await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`records hierarchy ${ctx.schema}`]);
    const { rows } = await tx.query(
      `SELECT coalesce(x.descendant, c.descendant_document_id) AS descendant, coalesce(x.ancestor, c.ancestor_document_id) AS ancestor, x.descendant IS NULL AS extra FROM (${closureSql(ctx, 'all')}) x FULL JOIN ${closure} c ON c.descendant_document_id = x.descendant AND c.ancestor_document_id = x.ancestor WHERE x.descendant IS NULL OR c.descendant_document_id IS NULL`,
    );
    if (repair && rows.length > 0) {
      await tx.query(`DELETE FROM ${closure}`);
      await tx.query(`INSERT INTO ${closure} (ancestor_document_id, descendant_document_id) ${closureSql(ctx, 'all')}`);
    }
    return rows.map((row) => ({
      kind: row['extra'] === true ? ('closure-extra' as const) : ('closure-missing' as const),
      documentId: Number(row['descendant']),
      resource: '',
      detail: `ancestor ${String(row['ancestor'])}`,
      repairable: true,
    }));
  });
};

/** An audit that only looks and one that repairs do not go on where the other was. */
const scanOf = (repair: boolean): string => (repair ? 'repair' : 'full');

const readProgress = async (ctx: StoreContext, scanName: string): Promise<number> =>
  ctx.database.transaction(async (tx) => {
    const { rows } = await tx.query(
      `SELECT last_document_id FROM ${ctx.writes.qualified('audit_progress')} WHERE scan = $1`,
      [scanName],
    );
    return Number(rows[0]?.['last_document_id'] ?? 0);
  });

const saveProgress = async (ctx: StoreContext, scanName: string, last: number | null): Promise<void> => {
  const table = ctx.writes.qualified('audit_progress');
  await ctx.database.transaction(async (tx) =>
    last === null
      ? tx.query(`DELETE FROM ${table} WHERE scan = $1`, [scanName])
      : tx.query(
          `INSERT INTO ${table} (scan, last_document_id) VALUES ($1, $2) ON CONFLICT (scan) DO UPDATE SET last_document_id = excluded.last_document_id, updated_at = now()`,
          [scanName, last],
        ),
  );
};

const nextBatch = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  after: number,
  size: number,
): Promise<{ readonly located: readonly Located[]; readonly end: number | null }> => {
  const { rows } = await tx.query(
    `SELECT document_id, resource_key_id FROM ${ctx.writes.qualified('document')} WHERE document_id > $1 ORDER BY document_id LIMIT $2`,
    [after, size],
  );
  const last = rows.at(-1);
  return { located: locate(ctx, rows), end: last === undefined ? null : Number(last['document_id']) };
};

const locate = (ctx: StoreContext, rows: readonly Record<string, unknown>[]): readonly Located[] => {
  const byKey = resourcesByKey(ctx);
  return rows.flatMap((row) => {
    const resource = byKey.get(Number(row['resource_key_id']));
    return resource === undefined ? [] : [{ documentId: Number(row['document_id']), resource }];
  });
};

/** The largest id a bigint edge can name, for the range behind the last document. */
const endOfIds = 9_223_372_036_854_775_000n;

/** Audits the whole store. */
export const auditStore = async (ctx: StoreContext, options: AuditOptions = {}): Promise<AuditSummary> => {
  const repair = options.repair === true;
  const byKind: Record<string, number> = {};
  let checked = 0;
  let repaired = 0;
  const report = (damages: readonly Damage[]): void => {
    for (const damage of damages) {
      byKind[damage.kind] = (byKind[damage.kind] ?? 0) + 1;
      if (repair && damage.repairable) repaired += 1;
      options.onDamage?.(damage);
    }
  };
  let last = options.resume === false ? 0 : await readProgress(ctx, scanOf(repair));
  for (;;) {
    options.signal?.throwIfAborted();
    const batch = await ctx.database.transaction((tx) => nextBatch(ctx, tx, last, options.batchSize ?? 2_000));
    const { end } = batch;
    const range: IdRange = [last, end ?? Number(endOfIds)];
    report(await orphanEdges(ctx, range, repair));
    report(await orphanIdentities(ctx, range, repair));
    report(await orphanRows(ctx, range, repair));
    if (end === null) break;
    report(await misplacedDocuments(ctx, last, end));
    report(await auditDocuments(ctx, batch.located, repair));
    checked += batch.located.length;
    last = end;
    await saveProgress(ctx, scanOf(repair), last);
    options.onProgress?.(last, checked);
  }
  report(await auditClosure(ctx, repair));
  await saveProgress(ctx, scanOf(repair), null);
  const damages = Object.values(byKind).reduce((sum, count) => sum + count, 0);
  return { checked, damages, repaired, byKind };
};

/** Documents by uuid or id, with everything whose identity contains theirs when `cascade` is set. Throws `validation_failed` for any other key. */
export const locateDocuments = async (
  ctx: StoreContext,
  keys: readonly string[],
  cascade: boolean,
): Promise<readonly Located[]> =>
  ctx.database.transaction(async (tx) => {
    const odd = keys.find((key) => !/^\d{1,18}$/.test(key) && !isUuid(key));
    if (odd !== undefined)
      throw new CaseboundError('validation_failed', `${odd.slice(0, 60)} is neither a UUID nor the id of a document.`);
    const document = ctx.writes.qualified('document');
    const numeric = keys.filter((key) => /^\d{1,18}$/.test(key));
    const uuids = keys.filter((key) => !/^\d{1,18}$/.test(key));
    const start = `SELECT document_id FROM ${document} WHERE document_id = ANY($1::bigint[]) OR document_uuid = ANY($2::uuid[])`;
    const ids = cascade
      ? `WITH RECURSIVE reach(id) AS (${start} UNION SELECT e.parent_document_id FROM reach r JOIN ${ctx.writes.qualified('reference_edge')} e ON e.child_document_id = r.id AND e.is_identity_component) SELECT id FROM reach`
      : start;
    const { rows } = await tx.query(
      `SELECT document_id, resource_key_id FROM ${document} WHERE document_id IN (${ids}) ORDER BY document_id`,
      [numeric, uuids],
    );
    return locate(ctx, rows);
  });

/** A random sample of documents, spread over the ids. */
export const sampleDocuments = async (ctx: StoreContext, size: number): Promise<readonly Located[]> =>
  ctx.database.transaction(async (tx) => {
    const document = ctx.writes.qualified('document');
    const { rows } = await tx.query(
      // The random id is made in a subquery of its own: in the WHERE it would be drawn anew for every row looked at.
      `SELECT DISTINCT ON (d.document_id) d.document_id, d.resource_key_id
       FROM (SELECT r.low + floor(random() * (r.high - r.low + 1))::bigint AS pivot FROM (SELECT min(document_id) AS low, max(document_id) AS high FROM ${document}) r, generate_series(1, $1::int) OFFSET 0) p,
       LATERAL (SELECT document_id, resource_key_id FROM ${document} WHERE document_id >= p.pivot ORDER BY document_id LIMIT 1) d`,
      [size],
    );
    return locate(ctx, rows);
  });
