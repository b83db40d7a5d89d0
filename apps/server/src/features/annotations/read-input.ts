/** What clients send, as annotations and comments; or why not. */
import { CaseboundError, maxAnnotationsPerDocument } from '@casebound/contract';
import {
  type CommentAnnotation,
  type InstantJson,
  kindOf,
  type PageAnnotation,
  parseInstantJson,
} from '@casebound/pdf';
import { v7 } from 'uuid';

const maxJsonLength = 64 * 1024;
const idShape = /^[\x21-\x7e]{1,200}$/;

type Members = Readonly<Record<string, unknown>>;

const invalid = (path: string, message: string): CaseboundError =>
  new CaseboundError('annotation_invalid', `An annotation is not valid, at ${path}: it ${message}.`, {
    errors: [{ path, message }],
  });

/** Checks what the format leaves open: the form of ids, and how large one may be. */
const checkOne = (value: PageAnnotation | CommentAnnotation, path: string): void => {
  if (!idShape.test(value.id))
    throw invalid(`${path}.id`, 'needs an id of 1 to 200 printable ASCII characters without blanks');
  if (JSON.stringify(value).length > maxJsonLength) throw invalid(path, `is longer than ${maxJsonLength} characters`);
};

/**
 * Pictures are kept before the stickers that show them, and the engine looks for them: a stand-in for each while the rest is parsed. Its name
 * is no hash, which the stand-in would not fit.
 */
const prefix = 'picture-';

const pictureOf = (value: unknown): string | undefined =>
  typeof value === 'object' &&
  value !== null &&
  'imageAttachmentId' in value &&
  typeof value.imageAttachmentId === 'string' &&
  value.imageAttachmentId !== ''
    ? `${prefix}${value.imageAttachmentId}`
    : undefined;

const parse = (annotations: readonly unknown[], comments: readonly unknown[] = []): InstantJson => {
  const pictures = annotations.map(pictureOf);
  const parsed = parseInstantJson({
    // A picture is named by members of an object only.
    annotations: annotations.map((value, at) =>
      pictures[at] === undefined ? value : { ...(value as object), imageAttachmentId: pictures[at] },
    ),
    comments,
    attachments: Object.fromEntries(pictures.flatMap((name) => (name === undefined ? [] : [[name, { binary: '' }]]))),
  });
  return {
    ...parsed,
    annotations: parsed.annotations.map((value) =>
      value.type === 'pspdfkit/image'
        ? { ...value, imageAttachmentId: value.imageAttachmentId.slice(prefix.length) }
        : value,
    ),
  };
};

/** Errors: `annotation_invalid`, `annotation_unknown_type`. */
export const readAnnotations = (given: readonly Members[]): readonly PageAnnotation[] => {
  const { annotations, comments } = parse(given.map((one) => (one['id'] === undefined ? { ...one, id: v7() } : one)));
  const [comment] = comments;
  if (comment !== undefined)
    throw invalid('$.annotations', `holds the comment \`${comment.id}\`; comments have an address of their own`);
  annotations.forEach((one, at) => checkOne(one, `$.annotations[${at}]`));
  return annotations;
};

/** Comments on annotations that are there. Errors: `annotation_invalid`. */
export const readComments = (
  given: readonly Members[],
  present: readonly PageAnnotation[],
): readonly CommentAnnotation[] => {
  const rootIds = new Set(given.map((one) => one['rootId']));
  const roots = present.filter(({ id }) => rootIds.has(id));
  const known = new Set<unknown>(roots.map(({ id }) => id));
  const named = given.map((one) => ({ type: 'pspdfkit/comment', ...one, id: one['id'] ?? v7() }));
  for (const one of given)
    if (typeof one['rootId'] === 'string' && !known.has(one['rootId']))
      throw new CaseboundError(
        'annotation_not_found',
        `There is no annotation \`${one['rootId'].slice(0, 200)}\` to comment on.`,
      );
  const { comments, annotations } = parse(roots, named);
  if (annotations.length > roots.length) throw invalid('$.comments', 'holds what is no comment');
  comments.forEach((one, at) => checkOne(one, `$.comments[${at}]`));
  return comments;
};

/** A document of Instant JSON. Errors: as `readAnnotations`, and `attachment_missing`, `too_many_annotations`. */
export const readDocument = (given: Members): InstantJson => {
  for (const member of ['annotations', 'comments'])
    if (Array.isArray(given[member])) refuseTooMany(given[member].length);
  const json = parseInstantJson(given);
  json.annotations.forEach((one, at) => checkOne(one, `$.document.annotations[${at}]`));
  json.comments.forEach((one, at) => checkOne(one, `$.document.comments[${at}]`));
  return json;
};

export const refuseTooMany = (annotations: number): void => {
  if (annotations > maxAnnotationsPerDocument)
    throw new CaseboundError(
      'too_many_annotations',
      `The document would have ${annotations} annotations; the limit is ${maxAnnotationsPerDocument}.`,
    );
};

export const isStamp = (value: PageAnnotation): boolean => {
  const kind = kindOf(value);
  return kind === 'bates_stamp' || kind === 'confidentiality_stamp';
};

/** Errors: `annotation_read_only`. */
export const refuseStamp = (value: PageAnnotation): void => {
  if (isStamp(value))
    throw new CaseboundError(
      'annotation_read_only',
      `The annotation \`${value.id}\` is a ${kindOf(value) === 'bates_stamp' ? 'Bates' : 'confidentiality'} stamp; stamps are made and removed by numbering and coding only.`,
    );
};
