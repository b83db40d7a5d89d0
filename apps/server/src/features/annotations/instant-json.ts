/** All of what lies on an exhibit at once, as Instant JSON. */
import { CaseboundError, maxAttachmentBytes } from '@casebound/contract';
import {
  type CommentAnnotation,
  formatInstantJson,
  type InstantJson,
  kindOf,
  type PageAnnotation,
} from '@casebound/pdf';
import type { StoredAnnotation, StoredComment } from '../../platform/document-engine/Port.ts';
import { changeExhibit } from './change-exhibit.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { engineCall, type ExhibitCall } from './exhibit-document.ts';
import { annotationEntry, commentEntry, type Entry, isMeant, meantBy } from './intent.ts';
import { readLying } from './open-to-read.ts';
import { isStamp, readDocument, refuseStamp, refuseTooMany } from './read-input.ts';

type Members = Readonly<Record<string, unknown>>;

type Exported = {
  readonly format: string;
  readonly annotations: Record<string, unknown>[];
};

export const exportAnnotations = async (parts: AnnotationDependencies, call: ExhibitCall): Promise<Exported> => {
  const nothing: InstantJson = { annotations: [], comments: [], attachments: new Map() };
  const json = await readLying(parts, call, nothing, async ({ engineId }) =>
    parts.engine.exportInstantJson(engineId, engineCall(call)),
  );
  // What the format is, the contract's schema says again.
  return formatInstantJson(json) as unknown as Exported;
};

interface Present {
  readonly annotations: ReadonlyMap<string, StoredAnnotation>;
  readonly comments: ReadonlyMap<string, StoredComment>;
}

/** What an import changes. Where it does not replace, what differs is left for the engine to refuse. */
const entriesOf = (json: InstantJson, present: Present, replace: boolean): Entry[] => {
  const how = <T extends PageAnnotation | CommentAnnotation>(
    value: T,
    found: { readonly value: T; readonly version: string } | undefined,
    entry: (act: 'create' | 'change', value: T, version?: string) => Entry,
  ): Entry[] => {
    if (found === undefined) return [entry('create', value)];
    return isMeant(meantBy(value), found.value) ? [] : [entry('change', value, found.version)];
  };
  const kept = new Set([...json.annotations, ...json.comments].map(({ id }) => id));
  return [
    ...json.annotations.flatMap((value) => how(value, present.annotations.get(value.id), annotationEntry)),
    ...json.comments.flatMap((value) => how(value, present.comments.get(value.id), commentEntry)),
    ...(replace
      ? [
          ...[...present.annotations.values()].flatMap(({ value, version }) =>
            kept.has(value.id) ? [] : [annotationEntry('delete', value, version)],
          ),
          ...[...present.comments.values()].flatMap(({ value, version }) =>
            kept.has(value.id) ? [] : [commentEntry('delete', value, version)],
          ),
        ]
      : []),
  ];
};

/** With the stamps that are there, and the comments on them: they stay whatever is imported. */
const withStamps = (json: InstantJson, present: Present): InstantJson => {
  const stamps = [...present.annotations.values()].flatMap(({ value }) => (isStamp(value) ? [value] : []));
  const ids = new Set(stamps.map(({ id }) => id));
  const given = new Set(json.comments.map(({ id }) => id));
  return {
    annotations: [...stamps, ...json.annotations.filter(({ id }) => !ids.has(id))],
    comments: [
      ...[...present.comments.values()].flatMap(({ value }) =>
        ids.has(value.rootId) && !given.has(value.id) ? [value] : [],
      ),
      ...json.comments,
    ],
    attachments: json.attachments,
  };
};

const isRedaction = (value: PageAnnotation): boolean => kindOf(value) === 'redaction';

/** Imports a document, all or nothing. Errors: those of adding annotations. */
export const importAnnotations = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  { document, replace }: { readonly document: Members; readonly replace: boolean },
): Promise<{ readonly annotations: number; readonly comments: number }> => {
  const given = readDocument(document);
  for (const [id, { bytes }] of given.attachments)
    if (bytes.length > maxAttachmentBytes)
      throw new CaseboundError(
        'annotation_invalid',
        `The attachment \`${id.slice(0, 200)}\` has ${bytes.length} bytes; the limit is ${maxAttachmentBytes}.`,
      );
  return changeExhibit(parts, call, async ({ engineId }) => {
    const { engine } = parts;
    const read = async (): Promise<Present> => ({
      annotations: new Map(
        (await engine.listAnnotations(engineId, engineCall(call))).map((one) => [one.value.id, one]),
      ),
      comments: new Map((await engine.listComments(engineId, engineCall(call))).map((one) => [one.value.id, one])),
    });
    const present = await read();
    for (const value of given.annotations) {
      const there = present.annotations.get(value.id);
      if (there === undefined || !isMeant(meantBy(value), there.value))
        refuseStamp(there !== undefined && isStamp(there.value) ? there.value : value);
    }
    const json = replace ? withStamps(given, present) : given;
    const entries = entriesOf(json, present, replace);
    const created = entries.filter((entry) => entry.what === 'annotation' && entry.act === 'create').length;
    refuseTooMany(replace ? json.annotations.length : present.annotations.size + created);
    const touched = entries.some((entry) => entry.what === 'annotation' && entry.kind === 'redaction');
    return {
      entries,
      ...(touched
        ? { redactions: { present: [...present.annotations.values()].some(({ value }) => isRedaction(value)) } }
        : {}),
      run: async () => {
        await engine.importInstantJson(engineId, json, { ...engineCall(call), replace });
        const now = await read();
        const versionOf = (entry: Entry): string | undefined =>
          entry.what === 'annotation'
            ? now.annotations.get(entry.id)?.version
            : entry.what === 'comment'
              ? now.comments.get(entry.id)?.version
              : undefined;
        return {
          result: { annotations: given.annotations.length, comments: given.comments.length },
          done: entries.map((entry) => ({ entry, version: versionOf(entry) })),
        };
      },
    };
  });
};
