/**
 * Annotations and comments as the engine keeps them: a record with `content` of a fixed set of members.
 *
 * 1. What the engine has no member for, or accepts in another form only, is kept in `customData`, which it does not modify, and put
 *    back on reading: an annotation comes back as it was given. What somebody changed in the engine since then wins.
 * 2. Members that the engine demands and the annotation lacks are filled in, noted, and taken out again on reading.
 * 3. A record that has a `pdfObjectId` is part of the PDF itself and is none of ours.
 * Members by type: "Annotation Contents" of the engine's OpenAPI description, version 1.9.
 */
import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { kindOf, type CommentAnnotation, type PageAnnotation } from '@casebound/pdf';
import { garbage } from './classify-answer.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface RawRecord {
  readonly id: string;
  readonly content: Json;
  readonly createdBy: string | undefined;
  readonly updatedBy: string | undefined;
}

export const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const textOr = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** An `AnnotationRecord` or `Comment` of the engine. */
export const readRecord = (value: unknown): RawRecord => {
  const id = isJson(value) ? value['id'] : undefined;
  const content = isJson(value) ? value['content'] : undefined;
  if (!isJson(value) || typeof id !== 'string' || !isJson(content)) throw garbage('a record has no id or no content');
  return { id, content, createdBy: textOr(value['createdBy']), updatedBy: textOr(value['updatedBy']) };
};

export const isPartOfPdf = ({ content }: RawRecord): boolean =>
  content['pdfObjectId'] !== undefined && content['pdfObjectId'] !== null;

const baseMembers = ['type', 'pageIndex', 'bbox', 'action', 'opacity', 'flags', 'name', 'creatorName'];
const dateMembers = ['createdAt', 'updatedAt'];
const membersOf: Readonly<Record<string, readonly string[]>> = {
  'pspdfkit/markup/redaction': [
    'rects',
    'outlineColor',
    'fillColor',
    'overlayText',
    'repeatOverlayText',
    'color',
    'rotation',
    'note',
  ],
  'pspdfkit/markup/highlight': ['rects', 'blendMode', 'color', 'note', 'isCommentThreadRoot'],
  'pspdfkit/note': ['text', 'icon', 'color'],
  'pspdfkit/image': ['description', 'fileName', 'contentType', 'imageAttachmentId', 'rotation', 'isSignature', 'note'],
  'pspdfkit/text': [
    'text',
    'fontSize',
    'fontStyle',
    'fontColor',
    'font',
    'backgroundColor',
    'horizontalAlign',
    'verticalAlign',
    'rotation',
    'isFitting',
    'callout',
    'borderStyle',
    'borderWidth',
    'cloudyBorderIntensity',
    'cloudyBorderInset',
  ],
};

const noteIcons = new Set(
  'comment rightPointer rightArrow check circle cross insert newParagraph note paragraph help star key'.split(' '),
);
const imageTypes = new Set(['image/jpeg', 'image/png', 'application/pdf']);

/** A member in the form that the engine accepts; undefined when there is none. */
const accepted = (member: string, value: unknown): unknown => {
  if (value === null || value === undefined) return undefined;
  if (member === 'fontSize') return typeof value === 'number' ? Math.max(1, Math.round(value)) : undefined;
  if (member === 'icon') return typeof value === 'string' && noteIcons.has(value) ? value : undefined;
  if (member === 'contentType') return typeof value === 'string' && imageTypes.has(value) ? value : undefined;
  return value;
};

/** What the engine demands of a type, or needs to treat it rightly. */
const demanded = (value: PageAnnotation): Json => {
  switch (value.type) {
    case 'pspdfkit/markup/highlight':
      return { color: '#fcee7c' };
    case 'pspdfkit/note':
      return { icon: 'comment' };
    case 'pspdfkit/text': {
      const stamp = kindOf(value) !== 'text';
      return {
        opacity: 1,
        fontSize: 12,
        horizontalAlign: 'left',
        verticalAlign: 'top',
        ...(stamp ? { flags: ['readOnly'] } : {}),
      };
    }
    default:
      return {};
  }
};

const noteMember = 'caseboundEngine';

const rootMark = 'isCommentThreadRoot';

/** What is kept beside the user's own data. */
interface Note {
  readonly revision: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly updatedBy: string;
  /** Place among those of one call. */
  readonly order: number;
  /** SHA-256 of the value as it was given. */
  readonly given: string;
  /** Members that the engine has no place for, or not in this form. */
  readonly kept: Json;
  /** Members that were filled in. */
  readonly filled: readonly string[];
}

const noteOf = (content: Json): Note | undefined => {
  const custom = content['customData'];
  const note = isJson(custom) ? custom[noteMember] : undefined;
  if (!isJson(note)) return undefined;
  const { revision, createdAt, updatedAt, updatedBy, order, given, kept, filled } = note;
  if (typeof revision !== 'string' || typeof createdAt !== 'string' || typeof updatedAt !== 'string') return undefined;
  if (typeof updatedBy !== 'string' || typeof order !== 'number' || typeof given !== 'string') return undefined;
  if (!isJson(kept) || !Array.isArray(filled)) return undefined;
  return { revision, createdAt, updatedAt, updatedBy, order, given, kept, filled: filled.map(String) };
};

/** The same text for equal values, whatever the order of their members. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isJson(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.keys(value)
    .toSorted()
    .filter((name) => value[name] !== undefined);
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
};

const digest = (value: unknown): string => createHash('sha256').update(canonical(value)).digest('hex');

export interface Writing {
  readonly by: string;
  readonly at: Date;
  /** Of the record that is replaced. */
  readonly replaces?: RawRecord;
  readonly order: number;
}

const withNote = (value: Json, content: Record<string, unknown>, kept: Json, filled: string[], how: Writing): Json => {
  const before = how.replaces === undefined ? undefined : noteOf(how.replaces.content);
  const at = how.at.toISOString();
  const note: Note = {
    revision: randomUUID(),
    createdAt: before?.createdAt ?? textOr(how.replaces?.content['createdAt']) ?? at,
    updatedAt: at,
    updatedBy: how.by,
    order: before?.order ?? how.order,
    given: digest(value),
    kept,
    filled,
  };
  const custom = value['customData'];
  return { ...content, customData: { ...(isJson(custom) ? custom : {}), [noteMember]: note } };
};

/** What is sent for an annotation. */
export const writeAnnotation = (value: PageAnnotation, how: Writing): Json => {
  const all: Json = value;
  const own = new Set([...baseMembers, ...dateMembers, ...(membersOf[value.type] ?? [])]);
  const content: Record<string, unknown> = { v: 2 };
  const kept: Record<string, unknown> = {};
  for (const [member, given] of Object.entries(all)) {
    if (member === 'id') continue;
    if (member === 'customData' && isJson(given)) continue;
    const sent = own.has(member) ? accepted(member, given) : undefined;
    if (sent !== undefined) content[member] = sent;
    if (!isDeepStrictEqual(sent, given) && !(member === 'v' && given === 2)) kept[member] = given;
  }
  const defaults: Json = {
    ...demanded(value),
    // Replacing a root must not make its comments invisible.
    ...(how.replaces?.content[rootMark] === true ? { [rootMark]: true } : {}),
    createdAt: how.at.toISOString(),
    updatedAt: how.at.toISOString(),
  };
  const filled: string[] = all['v'] === undefined ? ['v'] : [];
  for (const [member, given] of Object.entries(defaults))
    if (content[member] === undefined) {
      content[member] = given;
      if (all[member] === undefined) filled.push(member);
    }
  if (all['customData'] === undefined) filled.push('customData');
  // The engine sets it by itself when comments come.
  if (all[rootMark] === undefined && !filled.includes(rootMark)) filled.push(rootMark);
  return withNote(all, content, kept, filled, how);
};

/** A record as the annotation that was given, with what was changed in the engine since. Not checked yet. */
export const readAnnotation = ({ id, content }: RawRecord): Json => {
  const note = noteOf(content);
  if (note === undefined) return { ...content, id };
  const value: Record<string, unknown> = { ...content, id };
  const custom = content['customData'];
  if (isJson(custom)) {
    const { [noteMember]: _, ...rest } = custom;
    value['customData'] = rest;
    if (note.filled.includes('customData') && Object.keys(rest).length === 0) delete value['customData'];
  }
  for (const member of note.filled) if (member !== 'customData') delete value[member];
  for (const [member, given] of Object.entries(note.kept)) {
    const sent = accepted(member, given);
    const untouched = content[member] === undefined || isDeepStrictEqual(content[member], sent) || sent === undefined;
    if (untouched) value[member] = given;
  }
  return value;
};

/** What is sent for a comment: its text is plain there. */
export const writeComment = (value: CommentAnnotation, how: Writing): Json => {
  const all: Json = value;
  const kept: Record<string, unknown> = { ...all };
  delete kept['customData'];
  const content: Record<string, unknown> = {
    text: value.text.value,
    createdAt: value.createdAt ?? how.at.toISOString(),
    ...(typeof value.updatedAt === 'string' ? { updatedAt: value.updatedAt } : {}),
    ...(typeof value.creatorName === 'string' ? { creatorName: value.creatorName } : {}),
  };
  return withNote(all, content, kept, all['customData'] === undefined ? ['customData'] : [], how);
};

const plainTextOf = (text: unknown): string => {
  if (typeof text === 'string') return text;
  return isJson(text) && typeof text['value'] === 'string' ? text['value'] : '';
};

/** A comment that was read, in the form in which one is made: there its text is plain. */
export const copyOfComment = ({ content }: RawRecord): Json => {
  const { createdAt, updatedAt, creatorName, customData } = content;
  const copied = { createdAt, updatedAt, creatorName, customData };
  return {
    text: plainTextOf(content['text']),
    ...Object.fromEntries(Object.entries(copied).filter(([, value]) => value !== undefined && value !== null)),
  };
};

/** A record as the comment that was given. Not checked yet. */
export const readComment = ({ id, content }: RawRecord, rootId: string, pageIndex: number): Json => {
  const note = noteOf(content);
  const custom = content['customData'];
  const { [noteMember]: _, ...rest } = isJson(custom) ? custom : {};
  const bare = Object.keys(rest).length === 0 && (note === undefined || note.filled.includes('customData'));
  const text = plainTextOf(content['text']);
  const value: Record<string, unknown> = {
    ...(note?.kept ?? {
      creatorName: content['creatorName'] ?? null,
      createdAt: content['createdAt'] ?? null,
      updatedAt: content['updatedAt'] ?? null,
    }),
    type: 'pspdfkit/comment',
    id,
    pageIndex: note?.kept['pageIndex'] ?? pageIndex,
    rootId,
    ...(bare ? {} : { customData: rest }),
  };
  // What somebody wrote anew in the engine is plain text.
  if (plainTextOf(value['text']) !== text) value['text'] = { format: 'plain', value: text };
  return value;
};

export interface RecordFacts {
  readonly version: string;
  readonly createdBy: string | undefined;
  readonly updatedBy: string | undefined;
  readonly createdAt: string | undefined;
  readonly updatedAt: string | undefined;
}

export const factsOf = ({ content, createdBy, updatedBy }: RawRecord): RecordFacts => {
  const note = noteOf(content);
  // Whether there are comments on it, the engine writes by itself.
  const { [rootMark]: _, ...own } = content;
  return {
    version: digest(own).slice(0, 32),
    createdBy,
    updatedBy: note?.updatedBy ?? updatedBy,
    createdAt: note?.createdAt ?? textOr(content['createdAt']),
    updatedAt: note?.updatedAt ?? textOr(content['updatedAt']),
  };
};

/** Whether a record holds what was given, so that giving it again changes nothing. */
export const holds = ({ content }: RawRecord, value: PageAnnotation | CommentAnnotation): boolean =>
  noteOf(content)?.given === digest(value);

/** By page, then as they were made. */
export const sortRecords = (records: readonly RawRecord[]): readonly RawRecord[] =>
  records
    .map((record) => {
      const { id, content } = record;
      const note = noteOf(content);
      const page = typeof content['pageIndex'] === 'number' ? content['pageIndex'] : 0;
      return { record, id, page, at: note?.createdAt ?? textOr(content['createdAt']) ?? '', order: note?.order ?? 0 };
    })
    .toSorted(
      (one, other) =>
        one.page - other.page ||
        (one.at < other.at ? -1 : one.at > other.at ? 1 : 0) ||
        one.order - other.order ||
        (one.id < other.id ? -1 : 1),
    )
    .map(({ record }) => record);
