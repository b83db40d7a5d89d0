/**
 * Comments on annotations.
 *
 * - The engine has no change of a comment: it is deleted and added again under its id. The intent holds its new form, so that a crash in
 *   between loses nothing, and keeps a second change of the same comment out.
 */
import { CaseboundError, type ExhibitComment } from '@casebound/contract';
import type { EngineDocumentId, StoredComment } from '../../platform/document-engine/Port.ts';
import { changeExhibit } from './change-exhibit.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { engineCall, type ExhibitCall } from './exhibit-document.ts';
import { commentEntry, isMeant, meantBy } from './intent.ts';
import { readLying } from './open-to-read.ts';
import { readComments, refuseTooMany } from './read-input.ts';
import { beingChanged, isBeingChanged } from './store.ts';

type Members = Readonly<Record<string, unknown>>;

const describeComment = ({ value, ...stored }: StoredComment): ExhibitComment => ({
  comment: { ...value },
  version: stored.version,
  createdBy: stored.createdBy ?? null,
  updatedBy: stored.updatedBy ?? null,
  createdAt: stored.createdAt ?? null,
  updatedAt: stored.updatedAt ?? null,
});

export const listComments = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  rootId: string | undefined,
): Promise<readonly ExhibitComment[]> =>
  readLying(parts, call, [], async ({ engineId }) => {
    const stored = await parts.engine.listComments(engineId, {
      ...engineCall(call),
      ...(rootId === undefined ? {} : { rootId }),
    });
    return stored.map(describeComment);
  });

/** Adds comments, all or none. What is there and equal stays as it is. */
export const addComments = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  given: readonly Members[],
): Promise<readonly ExhibitComment[]> =>
  changeExhibit(parts, call, async ({ engineId }) => {
    const annotations = await parts.engine.listAnnotations(engineId, engineCall(call));
    const values = readComments(
      given,
      annotations.map(({ value }) => value),
    );
    const present = await parts.engine.listComments(engineId, engineCall(call));
    const byId = new Map(present.map((one) => [one.value.id, one]));
    const added = values.filter((value) => {
      const there = byId.get(value.id);
      return there === undefined || !isMeant(meantBy(value), there.value);
    });
    if (added.length > 0) refuseTooMany(present.length + added.length);
    return {
      entries: added.map((value) => commentEntry('create', value)),
      run: async () => {
        const stored = await parts.engine.addComments(engineId, values, engineCall(call));
        const versions = new Map(stored.map((one) => [one.value.id, one.version]));
        return {
          result: stored.map(describeComment),
          done: added.map((value) => ({ entry: commentEntry('create', value), version: versions.get(value.id) })),
        };
      },
    };
  });

const findComment = async (
  { engine }: AnnotationDependencies,
  call: ExhibitCall,
  engineId: EngineDocumentId,
  commentId: string,
): Promise<StoredComment | undefined> =>
  (await engine.listComments(engineId, engineCall(call))).find(({ value }) => value.id === commentId);

/** A change takes the comment away and puts it back: for a moment it is not there. Errors: `annotation_conflict` in that moment. */
const findUnchanged = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  engineId: EngineDocumentId,
  commentId: string,
): Promise<StoredComment | undefined> => {
  const found = await findComment(parts, call, engineId, commentId);
  if (found !== undefined) return found;
  const isChanging = await parts.sessions.withCase(call.caseId, call.actor, async (tx) =>
    isBeingChanged(tx, call.exhibitId, commentId),
  );
  if (isChanging) throw beingChanged();
  return findComment(parts, call, engineId, commentId);
};

/** The comment at the version that was read. Errors: `annotation_not_found`, `annotation_conflict` with the comment as it is now. */
const requireVersion = (found: StoredComment | undefined, commentId: string, version: string): StoredComment => {
  if (found === undefined)
    throw new CaseboundError('annotation_not_found', `The document has no comment with the id \`${commentId}\`.`);
  if (found.version === version) return found;
  throw new CaseboundError(
    'annotation_conflict',
    `The comment \`${commentId}\` is at version ${found.version} by now.`,
    { errors: [{ path: '$.version', message: `now ${JSON.stringify(describeComment(found))}` }] },
  );
};

/** Errors: as `requireVersion`, and what adding throws. */
export const changeComment = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  commentId: string,
  { version, comment }: { readonly version: string; readonly comment: Members },
): Promise<ExhibitComment> =>
  changeExhibit(parts, call, async ({ engineId }) => {
    const { engine } = parts;
    const present = requireVersion(await findUnchanged(parts, call, engineId, commentId), commentId, version);
    if (
      (comment['id'] !== undefined && comment['id'] !== commentId) ||
      (comment['rootId'] !== undefined && comment['rootId'] !== present.value.rootId)
    )
      throw new CaseboundError('annotation_invalid', 'The id and the root of a comment cannot change.', {
        errors: [{ path: '$.comment', message: 'has another id or root' }],
      });
    const root = await engine.getAnnotation(engineId, present.value.rootId, engineCall(call));
    const [value] = readComments(
      [{ ...comment, id: commentId, rootId: present.value.rootId, pageIndex: present.value.pageIndex }],
      [root.value],
    );
    if (value === undefined) throw new CaseboundError('internal', 'A comment was read as none.');
    if (isMeant(meantBy(value), present.value))
      return { entries: [], run: async () => Promise.resolve({ result: describeComment(present), done: [] }) };
    const entry = commentEntry('change', value, version);
    return {
      entries: [entry],
      comment: { id: commentId, value },
      run: async () => {
        requireVersion(await findComment(parts, call, engineId, commentId), commentId, version);
        await engine.deleteComments(engineId, [commentId], engineCall(call));
        parts.crashPoint('annotations.comment.deleted');
        const [stored] = await engine.addComments(engineId, [value], { actor: call.actor });
        if (stored === undefined) throw new CaseboundError('internal', 'The engine answered no comment.');
        return { result: describeComment(stored), done: [{ entry, version: stored.version }] };
      },
    };
  });

/** Errors: as `requireVersion`. */
export const deleteComment = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  commentId: string,
  version: string,
): Promise<void> =>
  changeExhibit(parts, call, async ({ engineId }) => {
    const present = requireVersion(await findUnchanged(parts, call, engineId, commentId), commentId, version);
    const entry = commentEntry('delete', present.value, version);
    return {
      entries: [entry],
      comment: { id: commentId },
      run: async () => {
        requireVersion(await findComment(parts, call, engineId, commentId), commentId, version);
        await parts.engine.deleteComments(engineId, [commentId], engineCall(call));
        return { result: undefined, done: [{ entry }] };
      },
    };
  });
