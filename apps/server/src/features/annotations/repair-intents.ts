/**
 * Settles what processes left that died between asking the engine and stating it.
 *
 * - What was done is told by the engine: an annotation that is there with the digest that was meant, or is gone.
 * - What the audit states already, with the same versions, was made again by somebody else; the intent goes without a row.
 * - An intent of which nothing was done may belong to a change that is under way: it is left for longer than any request lasts. One of which
 *   all was done is settled at once, whoever it belongs to: the other one finds it settled.
 */
import { hasCode } from '@casebound/contract';
import { type CommentAnnotation } from '@casebound/pdf';
import type { StoredAnnotation, StoredComment } from '../../platform/document-engine/Port.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import type { Entry } from './intent.ts';
import { isMeant } from './intent.ts';
import { finishRedactedFile } from './redacted-file.ts';
import { type Done, dropIntent, settleIntent } from './settle-changes.ts';
import { type AnnotatedExhibit, type Intent, listIntents } from './store.ts';

const system = { kind: 'system', reason: 'annotations' } as const;

/** A request lasts an hour at most (`http.requestTimeoutMs`). */
const abandonedSeconds = 2 * 3_600;
/** A change in several steps takes no longer between them. */
const betweenStepsSeconds = 120;

interface Present {
  readonly annotations: ReadonlyMap<string, StoredAnnotation>;
  readonly comments: ReadonlyMap<string, StoredComment>;
  readonly attachments: ReadonlySet<string>;
  readonly sha256: string | undefined;
}

const look = async (
  { engine }: AnnotationDependencies,
  { engineId }: AnnotatedExhibit,
  entries: readonly Entry[],
): Promise<Present> => {
  const asks = (what: Entry['what']): boolean => entries.some((entry) => entry.what === what);
  const annotations = asks('annotation') ? await engine.listAnnotations(engineId, { actor: system }) : [];
  const comments = asks('comment') ? await engine.listComments(engineId, { actor: system }) : [];
  const attachments = new Set<string>();
  for (const entry of entries) {
    if (entry.what !== 'attachment') continue;
    try {
      await engine.getAttachment(engineId, entry.id, { actor: system });
      attachments.add(entry.id);
    } catch (error) {
      if (!hasCode(error, 'attachment_missing')) throw error;
    }
  }
  const sha256 = asks('pdf') ? (await engine.findDocument(engineId, { actor: system }))?.sha256 : undefined;
  return {
    annotations: new Map(annotations.map((one) => [one.value.id, one])),
    comments: new Map(comments.map((one) => [one.value.id, one])),
    attachments,
    sha256,
  };
};

/** Undefined when it was not done. */
const judge = (entry: Entry, present: Present): Done | undefined => {
  switch (entry.what) {
    case 'attachment':
      return present.attachments.has(entry.id) ? { entry } : undefined;
    case 'pdf':
      return present.sha256 === undefined || present.sha256 === entry.sha256
        ? undefined
        : { entry, sha256: present.sha256 };
    case 'annotation':
    case 'comment': {
      const found = (entry.what === 'annotation' ? present.annotations : present.comments).get(entry.id);
      if (entry.act === 'delete') return found === undefined ? { entry } : undefined;
      if (found === undefined || found.version === entry.version || !isMeant(entry.meant, found.value))
        return undefined;
      return { entry, version: found.version };
    }
  }
};

/** A comment that its change had deleted and not yet added again is added. */
const addAgain = async (
  { engine }: AnnotationDependencies,
  { engineId }: AnnotatedExhibit,
  { comment, entries }: Intent,
  present: Present,
): Promise<boolean> => {
  const [entry] = entries;
  if (comment === undefined || entry?.what !== 'comment' || present.comments.has(entry.id)) return false;
  try {
    // Written by this feature from a comment that was parsed.
    await engine.addComments(engineId, [comment as CommentAnnotation], { actor: system });
  } catch (error) {
    // Its root is gone, and all comments on it.
    if (!hasCode(error, 'annotation_not_found')) throw error;
    return false;
  }
  return true;
};

const repair = async (parts: AnnotationDependencies, exhibit: AnnotatedExhibit, intent: Intent): Promise<void> => {
  let present = await look(parts, exhibit, intent.entries);
  if (await addAgain(parts, exhibit, intent, present)) present = await look(parts, exhibit, intent.entries);
  const judged = intent.entries.map((entry) => judge(entry, present));
  const done = judged.filter((one) => one !== undefined);
  const isWhole = intent.entries.every(
    (entry, at) => judged[at] !== undefined || (entry.what === 'annotation' && entry.isOptional === true),
  );
  if (done.length > 0 && (isWhole || intent.ageSeconds > betweenStepsSeconds)) {
    const applied = done.find(({ entry }) => entry.what === 'pdf')?.entry;
    if (applied?.what === 'pdf') await finishRedactedFile(parts, exhibit, applied);
    await settleIntent(parts, exhibit, intent, done, {
      isRepair: true,
      keepsMark: applied !== undefined,
    });
  } else if (
    intent.ageSeconds > abandonedSeconds ||
    (intent.commentId !== undefined && intent.ageSeconds > betweenStepsSeconds)
  ) {
    await dropIntent(parts, exhibit, intent);
  }
};

/** Settles what of the exhibit's intents was done. Errors: those of the engine and of `withCase`. */
export const repairIntents = async (parts: AnnotationDependencies, exhibit: AnnotatedExhibit): Promise<void> => {
  const intents = await parts.sessions.withCase(
    exhibit.caseId,
    system,
    async (tx) => listIntents(tx, exhibit.exhibitId),
    { readOnly: true },
  );
  for (const intent of intents) await repair(parts, exhibit, intent);
};
