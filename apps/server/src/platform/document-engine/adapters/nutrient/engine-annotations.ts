/** Annotations and comments of a document as the port has them, above the records of its default layer. */
import { CaseboundError } from '@casebound/contract';
import { attachmentId, type CommentAnnotation, type InstantJson, type PageAnnotation } from '@casebound/pdf';
import type {
  AnnotationChange,
  AnnotationRemoval,
  ChangeOptions,
  EngineCall,
  EngineDocumentId,
  Stored,
  StoredAnnotation,
  StoredComment,
} from '../../Port.ts';
import { refuseStamps } from '../../read-only-stamps.ts';
import {
  factsOf,
  holds,
  isPartOfPdf,
  type RawRecord,
  readAnnotation,
  readComment,
  sortRecords,
  writeAnnotation,
  writeComment,
} from './annotation-records.ts';
import { awaitReplacement } from './apply-redactions.ts';
import { checkPlaces, parseShapes, unknownRoot } from '../../check-annotations.ts';
import { readPlace } from './copy-records.ts';
import { carrierLayer } from './engine-attachments.ts';
import type { Signal } from './engine-client.ts';
import type { Binaries, Place } from './engine-records.ts';
import { actorId, binariesOf, type EngineWork } from './engine-work.ts';
import { finishRemoval, removeComments } from './remove-comments.ts';

const stored = <T extends PageAnnotation | CommentAnnotation>(value: T, record: RawRecord): Stored<T> => ({
  value,
  ...factsOf(record),
});

const storedAnnotations = (records: readonly RawRecord[]): readonly StoredAnnotation[] => {
  const { annotations } = parseShapes(records.map(readAnnotation));
  return records.flatMap((record, at) => {
    const value = annotations[at];
    return value === undefined ? [] : [stored(value, record)];
  });
};

const notFound = (id: string): CaseboundError =>
  new CaseboundError('annotation_not_found', `The document has no annotation with the id \`${id}\`.`);

const exists = (id: string): CaseboundError =>
  new CaseboundError('annotation_exists', `The document has another annotation or comment with the id \`${id}\`.`);

/** Types that the engine lets have comments. */
const mayHaveComments = ({ content }: RawRecord): boolean =>
  typeof content['type'] === 'string' && /^pspdfkit\/(markup\/|comment-marker$)/.test(content['type']);

/** Records in the order of these ids. */
const inOrder = (ids: readonly string[], found: ReadonlyMap<string, RawRecord>): readonly RawRecord[] =>
  ids.map((id) => {
    const record = found.get(id);
    if (record === undefined) throw notFound(id);
    return record;
  });

interface Thread {
  readonly root: RawRecord;
  readonly comments: readonly RawRecord[];
}

const storedComments = (threads: readonly Thread[]): readonly StoredComment[] => {
  const roots = parseShapes(threads.map(({ root }) => readAnnotation(root))).annotations;
  const rootOf = new Map(threads.flatMap(({ root, comments }) => comments.map((one) => [one.id, root] as const)));
  const records = sortRecords(threads.flatMap(({ comments }) => comments));
  const values = records.map((record) => {
    const root = rootOf.get(record.id);
    const pageIndex = root?.content['pageIndex'];
    return readComment(record, root?.id ?? '', typeof pageIndex === 'number' ? pageIndex : 0);
  });
  const { comments } = parseShapes([], values, roots);
  return records.flatMap((record, at) => {
    const value = comments[at];
    return value === undefined ? [] : [stored(value, record)];
  });
};

/** Adds those that are not there; the record of each is returned. To be called by one at a time for one document. */
const addAnnotations = async (
  work: EngineWork,
  place: Place,
  annotations: readonly PageAnnotation[],
  binaries: Binaries,
  by: string,
  signal: Signal,
): Promise<ReadonlyMap<string, RawRecord>> => {
  const ids = annotations.map(({ id }) => id);
  const present = await work.records.find(place, ids, signal);
  const missing = annotations.filter((value) => {
    const record = present.get(value.id);
    if (record !== undefined && (isPartOfPdf(record) || !holds(record, value))) throw exists(value.id);
    return record === undefined;
  });
  if (missing.length === 0) return present;
  const unknown = missing.filter((one) => one.type === 'pspdfkit/image' && !binaries.has(one.imageAttachmentId));
  const found = await binariesOf(work, place.document, unknown, signal);
  await work.records.create(
    place,
    missing.map((value) => ({ id: value.id, content: writeAnnotation(value, work.writing(by)), by })),
    new Map([...binaries, ...found]),
    signal,
  );
  return work.records.find(place, ids, signal);
};

/** As `addAnnotations`. `roots` has the root of each. All of them or none. */
const addThreads = async (
  work: EngineWork,
  place: Place,
  comments: readonly CommentAnnotation[],
  roots: ReadonlyMap<string, RawRecord>,
  by: string,
  signal: Signal,
): Promise<readonly Thread[]> => {
  const byRoot = [...Map.groupBy(comments, ({ rootId }) => rootId)];
  const missing = await work.each(byRoot, async ([rootId, thread]) => {
    const root = roots.get(rootId);
    const [first] = thread;
    if (root === undefined && first !== undefined) throw unknownRoot(first);
    if (root !== undefined && !mayHaveComments(root))
      throw new CaseboundError(
        'annotation_invalid',
        `The annotation \`${rootId}\` cannot have comments: the engine allows them on highlights and other markup only.`,
      );
    const present = new Map(
      (await work.records.comments(place, rootId, signal)).map((record) => [record.id, record] as const),
    );
    return thread.filter((value) => {
      const record = present.get(value.id);
      if (record !== undefined && !holds(record, value)) throw exists(value.id);
      return record === undefined;
    });
  });
  const added: string[] = [];
  for (const [at, [rootId]] of byRoot.entries()) {
    const own = missing[at] ?? [];
    try {
      await work.records.comment(
        place,
        rootId,
        own.map((value) => ({ id: value.id, content: writeComment(value, work.writing(by)), by })),
        signal,
      );
      added.push(...own.map(({ id }) => id));
    } catch (error) {
      if (added.length > 0) await removeComments(work, place.document, added, undefined).catch(() => undefined);
      throw error;
    }
  }
  return work.each(byRoot, async ([rootId]) => {
    const [root] = inOrder([rootId], roots);
    if (root === undefined) throw notFound(rootId);
    return { root, comments: await work.records.comments(place, rootId, signal) };
  });
};

export const listAnnotations = async (
  work: EngineWork,
  document: EngineDocumentId,
  { signal, pageIndex }: EngineCall & { readonly pageIndex?: number } = {},
): Promise<readonly StoredAnnotation[]> => {
  await awaitReplacement(work, document, signal);
  if (pageIndex !== undefined && (await work.pages.sizes(document, signal))[pageIndex] === undefined) return [];
  return storedAnnotations(sortRecords(await work.records.list({ document }, signal, pageIndex)));
};

export const getAnnotation = async (
  work: EngineWork,
  document: EngineDocumentId,
  id: string,
  { signal }: EngineCall = {},
): Promise<StoredAnnotation> => {
  const record = (await work.records.find({ document }, [id], signal)).get(id);
  const [found] = record === undefined || isPartOfPdf(record) ? [] : storedAnnotations([record]);
  if (found !== undefined) return found;
  await work.documents.require(document, signal);
  throw notFound(id);
};

export const createAnnotations = async (
  work: EngineWork,
  document: EngineDocumentId,
  annotations: readonly PageAnnotation[],
  { signal, actor }: EngineCall = {},
): Promise<readonly StoredAnnotation[]> => {
  const { annotations: values } = parseShapes(annotations);
  return work.exclusively(document, async () => {
    checkPlaces(values, await work.pages.sizes(document, signal));
    const found = await addAnnotations(work, { document }, values, new Map(), actorId(actor), signal);
    return storedAnnotations(
      inOrder(
        values.map(({ id }) => id),
        found,
      ),
    );
  });
};

const conflict = (id: string): CaseboundError =>
  new CaseboundError('annotation_conflict', `The annotation \`${id}\` was changed in the meantime.`);

export const updateAnnotations = async (
  work: EngineWork,
  document: EngineDocumentId,
  changes: readonly AnnotationChange[],
  options: ChangeOptions = {},
): Promise<readonly StoredAnnotation[]> => {
  const { signal } = options;
  const by = actorId(options.actor);
  const { annotations: values } = parseShapes(changes.map(({ value }) => value));
  const ids = values.map(({ id }) => id);
  return work.exclusively(document, async () => {
    checkPlaces(values, await work.pages.sizes(document, signal));
    const place: Place = { document };
    const before = await work.records.find(place, ids, signal);
    const present = storedAnnotations(inOrder(ids, before));
    refuseStamps([...present.map(({ value }) => value), ...values], options);
    values.forEach((value, at) => {
      const now = present[at];
      if (now !== undefined && now.value.type !== value.type)
        throw new CaseboundError(
          'annotation_invalid',
          `The annotation \`${value.id}\` is of another type; types cannot change.`,
        );
      if (now?.version !== changes[at]?.version) throw conflict(value.id);
    });
    const anew = values.filter(
      (value) =>
        value.type === 'pspdfkit/image' &&
        before.get(value.id)?.content['imageAttachmentId'] !== value.imageAttachmentId,
    );
    const binaries = await binariesOf(work, document, anew, signal);
    const records = values.map((value) => {
      const replaces = before.get(value.id);
      const how = { ...work.writing(by), ...(replaces === undefined ? {} : { replaces }) };
      return { id: value.id, content: writeAnnotation(value, how), by };
    });
    await work.records.update(place, records, before, binaries, signal);
    const after = inOrder(ids, await work.records.find(place, ids, signal));
    values.forEach((value, at) => {
      const record = after[at];
      // Somebody outside of `exclusively` was quicker.
      if (record === undefined || !holds(record, value)) throw conflict(value.id);
    });
    return storedAnnotations(after);
  });
};

export const deleteAnnotations = async (
  work: EngineWork,
  document: EngineDocumentId,
  removals: readonly AnnotationRemoval[],
  options: ChangeOptions = {},
): Promise<void> => {
  const { signal } = options;
  await work.exclusively(document, async () => {
    await work.documents.require(document, signal);
    const found = await work.records.find(
      { document },
      removals.map(({ id }) => id),
      signal,
    );
    const present = [...found.values()].filter((record) => !isPartOfPdf(record));
    const texts = present.filter(({ content }) => content['type'] === 'pspdfkit/text');
    refuseStamps(parseShapes(texts.map(readAnnotation)).annotations, options);
    for (const { id, version } of removals) {
      const record = found.get(id);
      if (record !== undefined && version !== undefined && factsOf(record).version !== version) throw conflict(id);
    }
    await work.records.remove(
      { document },
      present.map(({ id }) => id),
      signal,
    );
  });
};

export const listComments = async (
  work: EngineWork,
  document: EngineDocumentId,
  { signal, rootId }: EngineCall & { readonly rootId?: string } = {},
): Promise<readonly StoredComment[]> => {
  await awaitReplacement(work, document, signal);
  await work.exclusively(document, async () => finishRemoval(work, document, signal));
  if (rootId === undefined) {
    const { annotations, comments } = await readPlace(work, { document }, signal);
    return storedComments(
      annotations.flatMap((root) => {
        const thread = comments.get(root.id);
        return thread === undefined ? [] : [{ root, comments: thread }];
      }),
    );
  }
  const root = (await work.records.find({ document }, [rootId], signal)).get(rootId);
  if (root === undefined || !mayHaveComments(root)) return [];
  return storedComments([{ root, comments: await work.records.comments({ document }, rootId, signal) }]);
};

export const addComments = async (
  work: EngineWork,
  document: EngineDocumentId,
  comments: readonly CommentAnnotation[],
  { signal, actor }: EngineCall = {},
): Promise<readonly StoredComment[]> =>
  work.exclusively(document, async () => {
    const place: Place = { document };
    await finishRemoval(work, document, signal);
    const roots = await work.records.find(place, [...new Set(comments.map(({ rootId }) => rootId))], signal);
    const lost = comments.find(({ rootId }) => !roots.has(rootId));
    if (lost !== undefined) throw unknownRoot(lost);
    const shapes = parseShapes([...roots.values()].map(readAnnotation)).annotations;
    const { comments: values } = parseShapes([], comments, shapes);
    const threads = await addThreads(work, place, values, roots, actorId(actor), signal);
    const found = new Map(storedComments(threads).map((one) => [one.value.id, one] as const));
    return values.flatMap(({ id }) => found.get(id) ?? []);
  });

export const exportInstantJson = async (
  work: EngineWork,
  document: EngineDocumentId,
  { signal }: EngineCall = {},
): Promise<InstantJson> => {
  await awaitReplacement(work, document, signal);
  await work.exclusively(document, async () => finishRemoval(work, document, signal));
  const { annotations: records, comments } = await readPlace(work, { document }, signal);
  const annotations = storedAnnotations(sortRecords(records)).map(({ value }) => value);
  const shown = annotations.flatMap((one) => (one.type === 'pspdfkit/image' ? [one.imageAttachmentId] : []));
  const ids = [...new Set([...shown, ...(await work.attachments.carried(document, signal))])];
  const attachments = await work.each(ids, async (id) => {
    const attachment = await work.attachments.find(document, id, signal);
    if (attachment === undefined)
      throw new CaseboundError('attachment_missing', `The attachment \`${id}\` is not on the document.`);
    return [id, attachment] as const;
  });
  const threads = records.flatMap((root) => {
    const thread = comments.get(root.id);
    return thread === undefined ? [] : [{ root, comments: thread }];
  });
  return {
    annotations,
    comments: storedComments(threads).map(({ value }) => value),
    attachments: new Map(attachments),
  };
};

export const importInstantJson = async (
  work: EngineWork,
  document: EngineDocumentId,
  json: InstantJson,
  { signal, actor, replace = false }: EngineCall & { readonly replace?: boolean } = {},
): Promise<{ readonly annotations: number; readonly comments: number }> => {
  const by = actorId(actor);
  // The engine knows binaries by their hash alone.
  const renamed = new Map([...json.attachments].map(([id, own]) => [id, attachmentId(own.bytes)] as const));
  const binaries = new Map([...json.attachments.values()].map((own) => [attachmentId(own.bytes), own] as const));
  const { annotations: values } = parseShapes(
    json.annotations.map((one) =>
      one.type === 'pspdfkit/image'
        ? { ...one, imageAttachmentId: renamed.get(one.imageAttachmentId) ?? one.imageAttachmentId }
        : one,
    ),
  );
  return work.exclusively(document, async () => {
    const place: Place = { document };
    checkPlaces(values, await work.pages.sizes(document, signal));
    await finishRemoval(work, document, signal);
    const own = new Set(values.map(({ id }) => id));
    const elsewhere = [...new Set(json.comments.map(({ rootId }) => rootId))].filter((id) => !own.has(id));
    const others = replace ? new Map() : await work.records.find(place, elsewhere, signal);
    const lost = json.comments.find(({ rootId }) => !own.has(rootId) && !others.has(rootId));
    if (lost !== undefined) throw unknownRoot(lost);
    const roots = parseShapes([...others.values()].map(readAnnotation)).annotations;
    const { comments } = parseShapes([], json.comments, [...values, ...roots]);
    if (replace) {
      const present = await work.records.list(place, signal);
      await work.records.remove(
        place,
        present.map(({ id }) => id),
        signal,
      );
      await work.documents.deleteLayer({ document, layer: carrierLayer }, signal);
    }
    const shown = new Set(values.flatMap((one) => (one.type === 'pspdfkit/image' ? [one.imageAttachmentId] : [])));
    for (const [id, binary] of binaries) if (!shown.has(id)) await work.attachments.put(document, binary, by, signal);
    const added = await addAnnotations(work, place, values, binaries, by, signal);
    await addThreads(work, place, comments, new Map([...others, ...added]), by, signal);
    return { annotations: values.length, comments: comments.length };
  });
};
