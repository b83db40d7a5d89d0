/**
 * Changes exhibits that are in the case: their documents, their own members, and their custom fields, in one transaction with the audit.
 *
 * - The exhibits are locked before they are read, so that nobody's change is lost between reading and writing.
 * - Every changed member is in the audit with its old and new value: one row an exhibit, named `document.subject`, `exhibit.notes`, or the
 *   title of a custom field. What does not change is not written.
 */
import { isDeepStrictEqual } from 'node:util';
import { CaseboundError, type Actor, type CaseId } from '@casebound/contract';
import { bulkWrite, type BulkRow, type JsonValue, type Model, readMany, type StoreContext } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { recordChanges } from '../../audit/index.ts';
import type { Fields, FieldValue } from '../../fields/index.ts';
import { caseResource } from '../../records/index.ts';

/** As the audit names who did it. */
export const actorName = (actor: Actor): string => (actor.kind === 'account' ? actor.accountId : 'system');

export type Body = { readonly [key: string]: JsonValue };

export interface ExhibitState {
  readonly document: Body;
  readonly exhibit: Body;
  readonly values: Readonly<Record<string, FieldValue>>;
}

export interface ChangeParts {
  readonly caseId: CaseId;
  readonly actor: Actor;
  readonly model: Model;
  readonly fields: Fields;
}

export interface ChangeRequest {
  readonly exhibitIds: readonly number[];
  /** Unique in the case: names the segment of the new values. */
  readonly segment: string;
  /** `overlay {job}`, `import {job} duplicates`. */
  readonly origin: string;
  /** The new state; the same object for no change. Exhibits that are gone are not asked for. */
  readonly change: (exhibitId: number, state: ExhibitState) => ExhibitState;
}

export interface ChangeResult {
  /** Exhibits that were there, changed or not. */
  readonly found: ReadonlySet<number>;
  readonly changed: readonly number[];
  readonly refused: ReadonlyMap<number, CaseboundError>;
}

export const parseBody = (body: string): { [key: string]: JsonValue } => {
  const { id: _id, _etag, _lastModifiedDate, ...rest } = JSON.parse(body) as { [key: string]: JsonValue };
  return rest;
};

type Resource = ReturnType<typeof caseResource>;

type Pairs = Record<string, readonly [unknown, unknown]>;

const compare = (before: Body, after: Body, prefix: string, into: Pairs): boolean => {
  let differs = false;
  for (const member of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [
      Object.hasOwn(before, member) ? (before[member] ?? null) : null,
      Object.hasOwn(after, member) ? (after[member] ?? null) : null,
    ];
    if (isDeepStrictEqual(old, now)) continue;
    into[`${prefix}${member}`] = [old, now];
    differs = true;
  }
  return differs;
};

/** Locks exhibits and their documents in the order of their ids. */
export const lockExhibits = async (tx: Transaction, exhibitIds: readonly number[]): Promise<void> => {
  await tx.query(
    `SELECT FROM document WHERE document_id IN (
       SELECT unnest($1::bigint[]) UNION SELECT document_document_id FROM exhibit WHERE document_id = ANY ($1::bigint[]))
     ORDER BY document_id FOR UPDATE`,
    [exhibitIds],
  );
};

interface Read {
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly state: ExhibitState;
  readonly version: number;
  readonly metadata: { readonly importedAt: string; readonly batchId: number };
}

const readStates = async (
  tx: Transaction,
  store: StoreContext,
  { model, fields }: ChangeParts,
  exhibitIds: readonly number[],
): Promise<readonly Read[]> => {
  const { rows } = await tx.query<{
    exhibit_id: string;
    control_number: string;
    document_id: string;
    batch_id: string;
    created_at: Date;
  }>(
    `SELECT exhibit.document_id AS exhibit_id, exhibit.control_number, exhibit.document_document_id AS document_id, exhibit.batch_document_id AS batch_id, document.created_at
     FROM exhibit JOIN document USING (document_id) WHERE exhibit.document_id = ANY ($1::bigint[]) ORDER BY 1`,
    [exhibitIds],
  );
  const bodies = async (endpoint: string, ids: readonly number[]) =>
    readMany(store, tx, caseResource(model, endpoint), ids);
  const exhibits = await bodies(
    'exhibits',
    rows.map((row) => Number(row.exhibit_id)),
  );
  const documents = await bodies(
    'documents',
    rows.map((row) => Number(row.document_id)),
  );
  const values = await fields.readWithin(
    tx,
    rows.map((row) => Number(row.exhibit_id)),
  );
  return rows.flatMap((row) => {
    const exhibitId = Number(row.exhibit_id);
    const exhibit = exhibits.get(exhibitId);
    const document = documents.get(Number(row.document_id));
    if (exhibit === undefined || document === undefined) return [];
    const stored = values.get(exhibitId);
    return [
      {
        exhibitId,
        controlNumber: row.control_number,
        state: {
          exhibit: parseBody(exhibit.body),
          document: parseBody(document.body),
          values: stored?.values ?? {},
        },
        version: stored?.version ?? 0,
        metadata: stored?.metadata ?? { importedAt: row.created_at.toISOString(), batchId: Number(row.batch_id) },
      },
    ];
  });
};

/** Changes exhibits in the caller's transaction. Errors: `conflict_retries_exhausted` when somebody changed values meanwhile. */
export const changeExhibits = async (
  tx: Transaction,
  store: StoreContext,
  parts: ChangeParts,
  request: ChangeRequest,
): Promise<ChangeResult> => {
  await lockExhibits(tx, request.exhibitIds);
  const read = await readStates(tx, store, parts, request.exhibitIds);
  const changes = read.flatMap((it) => {
    const next = request.change(it.exhibitId, it.state);
    const pairs: Pairs = {};
    const touched = {
      document: compare(it.state.document, next.document, 'document.', pairs),
      exhibit: compare(it.state.exhibit, next.exhibit, 'exhibit.', pairs),
      values: compare(it.state.values, next.values, '', pairs),
    };
    return Object.keys(pairs).length === 0 ? [] : [{ ...it, next, pairs, touched }];
  });
  const [documents, exhibits] = ['documents', 'exhibits'].map((endpoint) => caseResource(parts.model, endpoint));
  if (documents === undefined || exhibits === undefined) throw new CaseboundError('internal', 'The case has no model.');
  const rows: BulkRow[] = [];
  const owners: number[] = [];
  const push = (exhibitId: number, row: BulkRow): void => {
    rows.push(row);
    owners.push(exhibitId);
  };
  for (const { exhibitId, next, touched } of changes) {
    if (touched.document) push(exhibitId, { resource: documents, document: { ...next.document } });
    if (touched.exhibit) push(exhibitId, { resource: exhibits, document: { ...next.exhibit } });
  }
  const refused = new Map<number, CaseboundError>();
  await bulkWrite(store, rows, {
    chunkSize: Math.max(1, rows.length),
    onRow: (outcome) => {
      if (outcome.outcome !== 'failed') return;
      const owner = owners[outcome.index];
      if (owner === undefined) throw outcome.error;
      refused.set(owner, outcome.error);
    },
  });
  await takeBack(
    store,
    changes.filter((it) => refused.has(it.exhibitId)).map((it) => ({ ...it.state, touched: it.touched })),
    { documents, exhibits },
  );
  const kept = changes.filter((it) => !refused.has(it.exhibitId));
  await writeValues(
    tx,
    parts,
    request.segment,
    kept.filter((it) => it.touched.values),
  );
  await recordChanges(
    tx,
    { actor: actorName(parts.actor), origin: request.origin },
    'exhibits',
    kept.map((it) => ({
      recordId: it.exhibitId,
      recordKey: it.controlNumber,
      changes: it.pairs,
    })),
  );
  return { found: new Set(read.map((it) => it.exhibitId)), changed: kept.map((it) => it.exhibitId), refused };
};

/** An exhibit is changed whole or not at all: what one of its two records took is written back. */
const takeBack = async (
  store: StoreContext,
  states: readonly (ExhibitState & { readonly touched: { readonly document: boolean; readonly exhibit: boolean } })[],
  { documents, exhibits }: { readonly documents: Resource; readonly exhibits: Resource },
): Promise<void> => {
  const rows = states.flatMap((it): BulkRow[] => [
    ...(it.touched.document ? [{ resource: documents, document: { ...it.document } }] : []),
    ...(it.touched.exhibit ? [{ resource: exhibits, document: { ...it.exhibit } }] : []),
  ]);
  if (rows.length === 0) return;
  await bulkWrite(store, rows, {
    onRow: (outcome) => {
      if (outcome.outcome === 'failed') throw outcome.error;
    },
  });
};

const writeValues = async (
  tx: Transaction,
  { fields, caseId, actor }: ChangeParts,
  segment: string,
  changed: readonly (Read & { readonly next: ExhibitState })[],
): Promise<void> => {
  if (changed.length === 0) return;
  const linked = await fields.replace(tx, {
    caseId,
    name: segment,
    by: actorName(actor),
    exhibits: changed.map(({ exhibitId, next, metadata, version, state }) => ({
      exhibitId,
      values: next.values,
      metadata,
      version,
      before: state.values,
    })),
  });
  if (linked.size < changed.length)
    throw new CaseboundError(
      'conflict_retries_exhausted',
      'Somebody changed custom fields of the same exhibits meanwhile.',
    );
};
