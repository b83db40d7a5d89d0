/**
 * Ends a change: its audit row, the exhibit's mark as redacted, the event and the end of its intent, in one transaction.
 *
 * 1. Whoever settles an intent deletes it in that transaction; who finds it gone writes nothing. So a change is stated once.
 * 2. Whether a redaction lies on the exhibit is read from the engine before the transaction. While other changes of redactions are under way,
 *    the mark is only put on. The last of them decides: when another one was settled since it read, it reads again, so it has seen the
 *    work of all. One that the engine refused is settled too, with nothing done, for it may be the last.
 */
import { CaseboundError, type CaseId } from '@casebound/contract';
import { kindOf } from '@casebound/pdf';
import { readMany, upsertDocument, type JsonValue } from '@casebound/records';
import type { Transaction } from '../../database/index.ts';
import { recordChanges, type Changes } from '../audit/index.ts';
import { createExhibitsChanged } from '../fields/index.ts';
import { caseResource } from '../records/index.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import type { Entry } from './intent.ts';
import {
  advanceMark,
  type AnnotatedExhibit,
  deleteIntent,
  hasOtherRedactions,
  type Intent,
  readMark,
} from './store.ts';

/** What of an intent was done, with the versions that it led to. */
export interface Done {
  readonly entry: Entry;
  readonly version?: string | undefined;
  /** Of the PDF as it is now. */
  readonly sha256?: string | undefined;
}

const system = { kind: 'system', reason: 'annotations' } as const;
const attempts = 10;
/** Members of one audit row. */
const perRow = 500;

const pairOf = ({ entry, version, sha256 }: Done): [string, readonly [unknown, unknown]] => {
  switch (entry.what) {
    case 'attachment':
      return [`attachment ${entry.id}`, [null, { size: entry.size }]];
    case 'pdf':
      return ['pdf', [{ sha256: entry.sha256 }, { sha256: sha256 ?? null }]];
    case 'annotation':
    case 'comment': {
      const kind = entry.what === 'comment' ? 'comment' : entry.kind;
      const state = (of: string | undefined) => ({
        kind,
        page: entry.page + 1,
        ...(of === undefined ? {} : { version: of }),
      });
      return [
        `${entry.what} ${entry.id}`,
        [entry.act === 'create' ? null : state(entry.version), entry.act === 'delete' ? null : state(version)],
      ];
    }
  }
};

/** Whether a redaction lies on the exhibit now. */
const hasRedaction = async ({ engine }: AnnotationDependencies, exhibit: AnnotatedExhibit): Promise<boolean> => {
  const all = await engine.listAnnotations(exhibit.engineId, { actor: system });
  return all.some(({ value }) => kindOf(value) === 'redaction');
};

/** Puts the mark on the exhibit, or takes it off. @returns what changed of it */
const setMark = async (
  { records }: AnnotationDependencies,
  tx: Transaction,
  caseId: CaseId,
  exhibitId: number,
  isRedacted: boolean,
): Promise<Changes> => {
  await tx.query('SELECT FROM document WHERE document_id = $1 FOR UPDATE', [exhibitId]);
  const store = await records.within(caseId, tx);
  const resource = caseResource(records.model, 'exhibits');
  const stored = (await readMany(store, tx, resource, [exhibitId])).get(exhibitId);
  if (stored === undefined) return {};
  const {
    id: _id,
    _etag,
    _lastModifiedDate,
    redacted,
    ...rest
  } = JSON.parse(stored.body) as {
    [member: string]: JsonValue;
  };
  if ((redacted === true) === isRedacted) return {};
  await upsertDocument(store, resource, isRedacted ? { ...rest, redacted: true } : rest);
  return { 'exhibit.redacted': [redacted ?? null, isRedacted ? true : null] };
};

/**
 * Those of the pairs that the audit does not state yet. Versions and hashes stand in them, so one that it states is the same change: somebody
 * made again what a dead process had only meant to do.
 */
const unstated = async (
  tx: Transaction,
  exhibitId: number,
  pairs: readonly (readonly [string, readonly [unknown, unknown]])[],
): Promise<[string, readonly [unknown, unknown]][]> => {
  const { rows } = await tx.query<{ place: number }>(
    `SELECT DISTINCT given.place::int AS place FROM unnest($2::text[], $3::jsonb[]) WITH ORDINALITY AS given (name, pair, place)
     JOIN model_audit a ON a.record_id = $1 AND a.resource = 'exhibits' AND a.changes -> given.name = given.pair`,
    [exhibitId, pairs.map(([name]) => name), pairs.map(([, pair]) => JSON.stringify(pair))],
  );
  const stated = new Set(rows.map(({ place }) => place - 1));
  return pairs
    .flatMap(([name, pair], at) => (stated.has(at) ? [] : [[name, pair] as const]))
    .map(([name, pair]) => [name, pair]);
};

type Settled = 'settled' | 'gone' | 'again';

/** @returns false when somebody else has settled it */
export const settleIntent = async (
  parts: AnnotationDependencies,
  exhibit: AnnotatedExhibit,
  intent: Pick<Intent, 'intentId' | 'actor' | 'requestId' | 'redactions'>,
  done: readonly Done[],
  more?: {
    /** It was left by a process that died. */
    readonly isRepair?: boolean;
    /** The mark stays, whatever lies on the exhibit. */
    readonly keepsMark?: boolean;
  },
): Promise<boolean> => {
  const { sessions, publish, onAudited } = parts;
  const { caseId, exhibitId, controlNumber } = exhibit;
  const changed = createExhibitsChanged(publish, 'annotations');
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const seen = intent.redactions
      ? await sessions.withCase(caseId, system, async (tx) => readMark(tx, exhibitId), { readOnly: true })
      : undefined;
    const lies = intent.redactions && (await hasRedaction(parts, exhibit));
    const outcome = await sessions.withCase(caseId, system, async (tx): Promise<Settled> => {
      const mark = intent.redactions ? await readMark(tx, exhibitId, 'update') : undefined;
      const isLast = mark === undefined || !(await hasOtherRedactions(tx, exhibitId, intent.intentId));
      if (isLast && mark?.revision !== seen?.revision) return 'again';
      if (!(await deleteIntent(tx, intent.intentId))) return 'gone';
      const all = done.map(pairOf);
      const pairs = more?.isRepair === true ? await unstated(tx, exhibitId, all) : all;
      let also: Changes = {};
      if (mark !== undefined) {
        const keepsMark = mark.keepsMark || more?.keepsMark === true;
        await advanceMark(tx, exhibitId, keepsMark);
        if (isLast || lies || keepsMark) also = await setMark(parts, tx, caseId, exhibitId, lies || keepsMark);
      }
      pairs.push(...Object.entries(also));
      if (pairs.length === 0) return 'settled';
      const rows = [];
      for (let at = 0; at < pairs.length; at += perRow)
        rows.push({
          recordId: exhibitId,
          recordKey: controlNumber,
          changes: Object.fromEntries(pairs.slice(at, at + perRow)),
        });
      await recordChanges(
        tx,
        {
          actor: intent.actor,
          ...(intent.requestId === null ? {} : { requestId: intent.requestId }),
          ...(more?.isRepair === true ? { origin: 'annotations, stated by a later call' } : {}),
        },
        'exhibits',
        rows,
      );
      await changed(
        tx,
        caseId,
        [exhibitId],
        ['annotations', ...Object.keys(also).map((name) => name.replace(/^exhibit\./, ''))],
      );
      return 'settled';
    });
    if (outcome === 'again') continue;
    if (outcome === 'settled') onAudited(caseId);
    return outcome === 'settled';
  }
  throw new CaseboundError(
    'conflict_retries_exhausted',
    'The redactions of the exhibit are being changed by many at once; the next call states this change.',
  );
};

/** Ends an intent of which nothing was done. */
export const dropIntent = async (
  parts: AnnotationDependencies,
  exhibit: AnnotatedExhibit,
  intent: Pick<Intent, 'intentId' | 'redactions'>,
): Promise<void> => {
  if (intent.redactions) await settleIntent(parts, exhibit, { ...intent, actor: 'system', requestId: null }, []);
  else await parts.sessions.withCase(exhibit.caseId, system, async (tx) => deleteIntent(tx, intent.intentId));
};
