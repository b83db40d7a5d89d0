/**
 * Changes what reviewers change of an exhibit: labels, folders, relevancy, privilege, confidentiality, notes.
 *
 * - The exhibit is locked before it is read, so that nobody's change is lost between reading and writing; who states a version that is not
 *   the present one is told what is there.
 * - Record, audit row, logs of relevancy and confidentiality, and the event about the change are one transaction.
 * - A label of a category that allows one only takes the place of the other.
 * - Shared records and log entries are made, never written over: one that came after it was looked for ends the change, to be tried again.
 */
import { type Actor, CaseboundError, type CaseId, type ExhibitChange } from '@casebound/contract';
import { type BulkRow, bulkWrite, type JsonValue, readMany, type StoreContext } from '@casebound/records';
import type { CaseTransaction } from '../../database/index.ts';
import { type Changes, recordChanges } from '../audit/index.ts';
import { caseResource } from '../records/index.ts';
import type { ExhibitDependencies } from './dependencies.ts';

type Body = { [key: string]: JsonValue };

interface Label {
  readonly category: string;
  readonly name: string;
}

interface Coding {
  readonly relevancy: string | null;
  readonly privilege: string | null;
  readonly notes: string | null;
  readonly confidentialityStatus: number;
  readonly labels: readonly string[];
  readonly folders: readonly string[];
}

const labelName = ({ category, name }: Label): string => `${category}/${name}`;
const labelOf = (entry: JsonValue): Label => {
  const { labelReference } = entry as { labelReference: { categoryName: string; name: string } };
  return { category: labelReference.categoryName, name: labelReference.name };
};
const folderOf = (entry: JsonValue): string =>
  (entry as { folderTagReference: { path: string } }).folderTagReference.path;
const list = (body: Body, member: string): readonly JsonValue[] => {
  const value = body[member];
  return Array.isArray(value) ? value : [];
};
const textOrNull = (value: JsonValue | undefined): string | null => (typeof value === 'string' ? value : null);

const codingOf = (body: Body): Coding => ({
  relevancy: textOrNull(body['relevancy']),
  privilege: textOrNull(body['privilege']),
  notes: textOrNull(body['notes']),
  confidentialityStatus: typeof body['confidentialityStatus'] === 'number' ? body['confidentialityStatus'] : 0,
  labels: list(body, 'labels').map((it) => labelName(labelOf(it))),
  folders: list(body, 'folders').map(folderOf),
});

const compareCoding = (before: Coding, after: Coding): Changes =>
  Object.fromEntries(
    (Object.keys(before) as (keyof Coding)[])
      .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
      .map((name) => [name, [before[name], after[name]] as const]),
  );

/** Folders above a folder, the highest first, and itself. */
const withParents = (path: string): readonly string[] => {
  const parts = path.split('/');
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
};

const cleanPath = (given: string): string => {
  const path = given
    .split(/[\\/]/)
    .map((segment) => segment.trim())
    .filter((segment) => segment !== '')
    .join('/');
  if (path === '') throw new CaseboundError('validation_failed', 'The path of a folder names none.');
  return path;
};

/** Labels, categories and folders that are not there yet; one that is stays as it is. */
const missingRecords = async (
  tx: CaseTransaction,
  store: StoreContext,
  labels: readonly Label[],
  folders: readonly string[],
): Promise<BulkRow[]> => {
  const paths = [...new Set(folders.flatMap(withParents))];
  const { rows } = await tx.query<{ kind: string; name: string }>(
    `SELECT 'category' AS kind, category_name AS name FROM label_category WHERE category_name = ANY ($1)
     UNION ALL SELECT 'label', g.category_name || chr(31) || l.name FROM label l JOIN label_category g ON g.document_id = l.label_category_document_id WHERE g.category_name = ANY ($1)
     UNION ALL SELECT 'folder', path FROM folder_tag WHERE path = ANY ($2)`,
    [labels.map(({ category }) => category), paths],
  );
  const known = new Set(rows.map(({ kind, name }) => `${kind} ${name}`));
  const { model } = store;
  const categories = [...new Set(labels.map(({ category }) => category))];
  return [
    ...categories
      .filter((category) => !known.has(`category ${category}`))
      .map((categoryName) => ({ resource: caseResource(model, 'labelCategories'), document: { categoryName } })),
    ...labels
      .filter(({ category, name }) => !known.has(`label ${category}\x1f${name}`))
      .map(({ category, name }) => ({
        resource: caseResource(model, 'labels'),
        document: { labelCategoryReference: { categoryName: category }, name },
      })),
    ...paths
      .filter((path) => !known.has(`folder ${path}`))
      .map((path) => {
        const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : null;
        return {
          resource: caseResource(model, 'folderTags'),
          document: { path, ...(parent === null ? {} : { parentFolderReference: { path: parent } }) },
        };
      }),
  ];
};

const exclusiveCategories = async (tx: CaseTransaction, labels: readonly Label[]): Promise<ReadonlySet<string>> => {
  if (labels.length === 0) return new Set();
  const { rows } = await tx.query<{ category_name: string }>(
    'SELECT category_name FROM label_category WHERE is_exclusive AND category_name = ANY ($1)',
    [labels.map(({ category }) => category)],
  );
  return new Set(rows.map((row) => row.category_name));
};

const statusOf = async (tx: CaseTransaction, codes: readonly string[]): Promise<number> => {
  const { rows } = await tx.query<{ code: string; bit: string }>(
    'SELECT code, bit FROM confidentiality_code WHERE code = ANY ($1)',
    [codes],
  );
  const bits = new Map(rows.map((row) => [row.code, Number(row.bit)]));
  const unknown = codes.filter((code) => !bits.has(code));
  if (unknown.length > 0) {
    throw new CaseboundError('unresolved_reference', 'The case has no such confidentiality code.', {
      errors: unknown.map((code) => ({
        path: '$.confidentialityCodes',
        message: `There is no code ${JSON.stringify(code)}.`,
      })),
    });
  }
  return [...bits.values()].reduce((status, bit) => status + 2 ** bit, 0);
};

const withMember = (body: Body, name: string, value: string | null | undefined): Body => {
  if (value === undefined) return body;
  const { [name]: _old, ...rest } = body;
  return value === null || value === '' ? rest : { ...rest, [name]: value };
};

const changeBody = async (tx: CaseTransaction, before: Body, change: ExhibitChange): Promise<Body> => {
  let body = withMember(before, 'relevancy', change.relevancy);
  body = withMember(body, 'privilege', change.privilege);
  body = withMember(body, 'notes', change.notes);
  if (change.confidentialityCodes !== undefined)
    body = { ...body, confidentialityStatus: await statusOf(tx, [...new Set(change.confidentialityCodes)]) };
  const exclusive = await exclusiveCategories(tx, change.addLabels);
  const added = new Map(change.addLabels.map((label) => [labelName(label), label]));
  const removed = new Set(change.removeLabels.map(labelName));
  const kept = list(body, 'labels').filter((entry) => {
    const label = labelOf(entry);
    return added.has(labelName(label)) || !(removed.has(labelName(label)) || exclusive.has(label.category));
  });
  const there = new Set(kept.map((entry) => labelName(labelOf(entry))));
  const labels = [
    ...kept,
    ...[...added.values()]
      .filter((label) => !there.has(labelName(label)))
      .map(({ category, name }) => ({ labelReference: { categoryName: category, name } })),
  ];
  const gone = new Set(change.removeFolders.map(cleanPath));
  const folders = list(body, 'folders').filter((entry) => !gone.has(folderOf(entry)));
  const placed = new Set(folders.map(folderOf));
  const more = [...new Set(change.addFolders.map(cleanPath))].filter((path) => !placed.has(path));
  return {
    ...body,
    labels,
    folders: [...folders, ...more.map((path) => ({ folderTagReference: { path } }))],
  };
};

const lockAndRead = async (
  tx: CaseTransaction,
  store: StoreContext,
  exhibitId: number,
): Promise<{ readonly version: number; readonly body: Body }> => {
  await tx.query('SELECT FROM document WHERE document_id = $1 FOR NO KEY UPDATE', [exhibitId]);
  const found = (await readMany(store, tx, caseResource(store.model, 'exhibits'), [exhibitId])).get(exhibitId);
  if (found === undefined)
    throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  // What the record store keeps of an exhibit is of the case model.
  const { id: _id, _etag, _lastModifiedDate, ...body } = JSON.parse(found.body) as Body;
  return { version: found.etag, body };
};

/** The next number of a log of the exhibit, which is locked. */
const nextSequence = async (tx: CaseTransaction, table: 'confidentiality_log' | 'relevancy_log', exhibitId: number) => {
  const { rows } = await tx.query<{ next: string }>(
    `SELECT coalesce(max(sequence), 0) + 1 AS next FROM ${table} WHERE exhibit_document_id = $1`,
    [exhibitId],
  );
  return Number(rows[0]?.next ?? 1);
};

const logRows = async (
  tx: CaseTransaction,
  store: StoreContext,
  exhibitId: number,
  {
    before,
    after,
    by,
    reason,
    controlNumber,
  }: {
    readonly before: Coding;
    readonly after: Coding;
    readonly by: string;
    readonly reason: string | undefined;
    readonly controlNumber: string;
  },
): Promise<BulkRow[]> => {
  const common = {
    exhibitReference: { controlNumber },
    changedBy: by,
    changedAt: new Date().toISOString(),
    ...(reason === undefined ? {} : { reason }),
  };
  const rows: BulkRow[] = [];
  if (before.confidentialityStatus !== after.confidentialityStatus) {
    rows.push({
      resource: caseResource(store.model, 'confidentialityLogs'),
      document: {
        ...common,
        sequence: await nextSequence(tx, 'confidentiality_log', exhibitId),
        oldStatus: before.confidentialityStatus,
        newStatus: after.confidentialityStatus,
      },
    });
  }
  if (before.relevancy !== after.relevancy) {
    rows.push({
      resource: caseResource(store.model, 'relevancyLogs'),
      document: {
        ...common,
        sequence: await nextSequence(tx, 'relevancy_log', exhibitId),
        ...(before.relevancy === null ? {} : { oldRelevancy: before.relevancy }),
        ...(after.relevancy === null ? {} : { newRelevancy: after.relevancy }),
      },
    });
  }
  return rows;
};

/** Errors: those of `withCase`, `exhibit_not_found`, `version_conflict`, `unresolved_reference` for a code that is none. */
export const changeExhibit = async (
  { sessions, records, changed, onAudited }: ExhibitDependencies,
  actor: Actor,
  caseId: CaseId,
  exhibitId: number,
  change: ExhibitChange,
  requestId: string,
): Promise<void> => {
  const by = actor.kind === 'account' ? actor.accountId : 'system';
  const isChanged = await sessions.withCase(caseId, actor, async (tx) => {
    const store = await records.within(caseId, tx);
    const { version, body } = await lockAndRead(tx, store, exhibitId);
    const before = codingOf(body);
    if (change.version !== undefined && change.version !== version) throw conflict(exhibitId, change, version, before);
    const next = await changeBody(tx, body, change);
    const after = codingOf(next);
    const changes = compareCoding(before, after);
    const titles = Object.keys(changes);
    if (titles.length === 0) return false;
    const controlNumber = textOrNull(body['controlNumber']) ?? '';
    const rows = await missingRecords(tx, store, change.addLabels, change.addFolders.map(cleanPath));
    rows.push({ resource: caseResource(store.model, 'exhibits'), document: next });
    rows.push(...(await logRows(tx, store, exhibitId, { before, after, by, reason: change.reason, controlNumber })));
    await bulkWrite(store, rows, {
      chunkSize: rows.length,
      onRow: (outcome) => {
        if (outcome.outcome === 'failed') throw outcome.error;
        if (outcome.outcome === 'updated' && outcome.documentId !== exhibitId) throw madeMeanwhile();
      },
    });
    await Promise.all([
      recordChanges(tx, { actor: by, requestId }, 'exhibits', [
        { recordId: exhibitId, recordKey: controlNumber, changes },
      ]),
      changed(tx, caseId, [exhibitId], titles),
    ]);
    return true;
  });
  if (isChanged) onAudited?.(caseId);
};

const madeMeanwhile = (): CaseboundError =>
  new CaseboundError(
    'conflict_retries_exhausted',
    'Somebody made a label, category, folder or log entry of this change in the same moment; try again.',
    { retryAfterSeconds: 1 },
  );

const conflict = (exhibitId: number, change: ExhibitChange, version: number, now: Coding): CaseboundError =>
  new CaseboundError(
    'version_conflict',
    `The exhibit ${exhibitId} is at version ${version}, not ${change.version}; read it and try again.`,
    {
      errors: (['relevancy', 'privilege', 'notes'] as const)
        .filter((name) => change[name] !== undefined)
        .map((name) => ({
          path: `$.${name}`,
          message: `now ${JSON.stringify(now[name])}, wanted ${JSON.stringify(change[name])}`,
        })),
    },
  );
