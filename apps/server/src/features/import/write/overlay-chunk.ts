/**
 * Lays one chunk of rows over the exhibits that they match.
 *
 * - `append` fills what has no value; `replace` puts the row's value in the place of what is there, and an empty cell takes it away;
 *   `merge` joins lists and replaces the rest, and an empty cell changes nothing.
 * - Numbers, families and hashes stay as they are: they say which document it is.
 * - A file of the row is taken instead of the exhibit's own of its kind; a PDF that was made of other files is made again.
 */
import type { JsonValue, StoreContext } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { valuesOf } from '../../fields/index.ts';
import { insertProblems, problem, type RowProblem } from '../import-problem.ts';
import { insertProcessing } from '../process/processing-store.ts';
import { changeExhibits, type Body, type ExhibitState } from './change-exhibits.ts';
import { filesOfRow, type OverlaidFiles } from './overlaid-files.ts';
import { type ChunkContext, type ChunkRow, needsProcessing } from './import-chunk.ts';

export type OverlayMode = 'append' | 'replace' | 'merge';

const isEmpty = (value: JsonValue | undefined): boolean =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);

/** Two entries of a list are one when they refer to the same record, or are the same value. */
const entryKey = (entry: JsonValue): string =>
  typeof entry === 'object' && entry !== null && !Array.isArray(entry)
    ? JSON.stringify(Object.entries(entry).find(([name]) => name.endsWith('Reference'))?.[1] ?? entry)
    : JSON.stringify(entry);

const joined = (old: readonly JsonValue[], given: readonly JsonValue[]): JsonValue[] => {
  const known = new Set(old.map(entryKey));
  return [...old, ...given.filter((entry) => !known.has(entryKey(entry)))];
};

const overlaid = (mode: OverlayMode, old: JsonValue | undefined, given: JsonValue): JsonValue => {
  if (mode === 'append') return isEmpty(old) || old === undefined ? given : old;
  if (mode === 'merge' && Array.isArray(old) && Array.isArray(given)) return joined(old, given);
  return given;
};

/** Members after an overlay; what ends up without a value has no member. */
export const overlayMembers = (
  mode: OverlayMode,
  before: Body,
  given: Body,
  emptied: readonly string[],
): { [key: string]: JsonValue } => {
  const after: { [key: string]: JsonValue } = { ...before };
  for (const [member, value] of Object.entries(given)) {
    if (isEmpty(value)) continue;
    after[member] = overlaid(mode, Object.hasOwn(before, member) ? before[member] : undefined, value);
  }
  if (mode === 'replace') for (const member of emptied) if (Object.hasOwn(after, member)) delete after[member];
  return after;
};

const typeOf = (variant: JsonValue): unknown =>
  typeof variant === 'object' && variant !== null && !Array.isArray(variant) ? variant['type'] : undefined;

const listOf = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : []);

/** Variants after an overlay with the files of a row. */
const overlayVariants = (mode: OverlayMode, before: readonly JsonValue[], given: readonly JsonValue[]): JsonValue[] => {
  const there = new Set(before.map(typeOf));
  const taken = given.filter((variant) => mode !== 'append' || !there.has(typeOf(variant)));
  const types = new Set(taken.map(typeOf));
  // A PDF stands for the native or the images that it was made of.
  if (types.has('native') || types.has('image')) types.add('pdf');
  return [...before.filter((variant) => !types.has(typeOf(variant))), ...taken];
};

const overlayPages = (mode: OverlayMode, before: readonly JsonValue[], given: readonly JsonValue[]): JsonValue[] =>
  Array.from({ length: Math.max(before.length, given.length) }, (_, index) => {
    const [old, now] = [before[index] ?? {}, given[index]];
    if (now === undefined || (mode === 'append' && typeof old === 'object' && old !== null && 'textSha256' in old))
      return old;
    return { ...(old as Body), ...(now as Body) };
  });

const apply = (mode: OverlayMode, it: ChunkRow, context: ChunkContext, state: ExhibitState): ExhibitState => {
  const { row, stored } = it;
  const { digests, mime, pages } = stored;
  const hasFiles = stored.variants.length > 0;
  const document = overlayMembers(mode, state.document, row.document, row.emptied.document);
  const before = listOf(state.document['variants']);
  const hasNative = before.some((variant) => typeOf(variant) === 'native');
  const takesNative = digests !== null && (mode !== 'append' || !hasNative);
  const status = context.shared.statusOf(row.confidentiality);
  const old = Number(state.exhibit['confidentialityStatus'] ?? 0);
  const exhibit = overlayMembers(
    mode,
    state.exhibit,
    {
      ...row.exhibit,
      custodians: row.custodians.map((name, index) => ({
        custodianReference: { name },
        ...(index === 0 ? { isPrimary: true } : {}),
      })),
      labels: row.labels.map(({ category, name }) => ({ labelReference: { categoryName: category, name } })),
      folders: row.folders.map((path) => ({ folderTagReference: { path } })),
      ...(status === 0
        ? {}
        : { confidentialityStatus: mode === 'merge' ? Number(BigInt(old) | BigInt(status)) : status }),
      ...(hasFiles && pages.length > 0
        ? {
            pages: overlayPages(
              mode,
              listOf(state.exhibit['pages']),
              pages.map((page): JsonValue => ({ ...page })),
            ),
          }
        : {}),
    },
    row.emptied.exhibit,
  );
  // Pages are merged above, whatever the mode.
  if (hasFiles && pages.length > 0)
    exhibit['pages'] = overlayPages(
      mode,
      listOf(state.exhibit['pages']),
      pages.map((page): JsonValue => ({ ...page })),
    );
  return {
    document: {
      ...document,
      ...(takesNative
        ? {
            fileSize: digests.size,
            md5Hash: digests.md5,
            sha1Hash: digests.sha1,
            sha256Hash: digests.sha256,
            ...(mime === null ? {} : { mimeType: mime }),
          }
        : {}),
      ...(hasFiles
        ? {
            variants: overlayVariants(
              mode,
              before,
              stored.variants.map((variant): JsonValue => ({ ...variant })),
            ),
          }
        : {}),
    },
    exhibit,
    values: overlayMembers(mode, state.values, valuesOf(row.values), row.emptied.values) as ExhibitState['values'],
  };
};

export interface OverlayResult {
  readonly overlaid: number;
  readonly rejected: number;
  readonly files: OverlaidFiles;
}

/** Lays the matched rows of a chunk over their exhibits, in the caller's transaction. */
export const overlayChunk = async (
  tx: Transaction,
  store: StoreContext,
  context: ChunkContext,
  rows: readonly ChunkRow[],
  { mode, chunkStart }: { readonly mode: OverlayMode; readonly chunkStart: number },
): Promise<OverlayResult> => {
  const byExhibit = new Map(
    rows.flatMap((it) => (it.staged.match === null ? [] : [[it.staged.match.exhibitId, it] as const])),
  );
  const states = new Map<number, ExhibitState>();
  const result = await changeExhibits(tx, store, context, {
    exhibitIds: [...byExhibit.keys()],
    segment: `${context.jobId}/${chunkStart}`,
    origin: `overlay ${context.jobId}`,
    change: (exhibitId, state) => {
      const it = byExhibit.get(exhibitId);
      const next = it === undefined ? state : apply(mode, it, context, state);
      states.set(exhibitId, next);
      return next;
    },
  });
  const problems: RowProblem[] = [];
  let [overlaidRows, rejected] = [0, 0];
  for (const it of rows) {
    const at = { row: it.row.row, line: it.row.line, path: it.row.path ?? it.row.listedIn };
    const exhibitId = it.staged.match?.exhibitId;
    const refusal = exhibitId === undefined ? undefined : result.refused.get(exhibitId);
    if (exhibitId === undefined || !result.found.has(exhibitId)) {
      problems.push(
        problem('error', 'overlay_unmatched', 'The exhibit is no longer there.', { ...at, rejected: true }),
      );
      rejected += 1;
    } else if (refusal !== undefined) {
      problems.push(problem('error', refusal.code, refusal.message, { ...at, rejected: true }));
      rejected += 1;
    } else overlaidRows += 1;
    problems.push(...it.row.problems, ...it.stored.problems);
  }
  await insertProcessing(
    tx,
    context.jobId,
    rows.flatMap(({ row, stored, staged: { match } }) =>
      match === null || !needsProcessing(stored) || result.refused.has(match.exhibitId)
        ? []
        : [
            {
              exhibitId: match.exhibitId,
              documentKey: match.documentKey,
              row: row.row,
              line: row.line,
              hasAnnotations: stored.hasAnnotations,
            },
          ],
    ),
  );
  await tx.query(
    'INSERT INTO import_overlaid (job_id, exhibit_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING',
    [context.jobId, [...result.found]],
  );
  await insertProblems(tx, context.jobId, 'importing', problems);
  const files = rows.map((it) => {
    const exhibitId = it.staged.match?.exhibitId ?? 0;
    return filesOfRow(it, context, result.refused.has(exhibitId) ? undefined : states.get(exhibitId));
  });
  return {
    overlaid: overlaidRows,
    rejected,
    files: { places: files.flatMap((it) => it.places), unused: files.flatMap((it) => it.unused) },
  };
};
