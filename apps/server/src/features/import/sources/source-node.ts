/** What the expanders hand to each other: bytes at a place in the tree of containers and messages. */
import type { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import type { FileType } from './file-type.ts';
import type { RandomBytes } from './random-bytes.ts';
import type {
  AttachmentPlace,
  ContentItem,
  Expansion,
  ItemKind,
  MailMetadata,
  SourceLimits,
  SourceProblem,
  SourceProblemCode,
} from './source-model.ts';
import type { SourceWorkspace } from './source-workspace.ts';

/** Bytes that were not looked at yet. */
export interface SourceNode {
  readonly path: string;
  readonly fileName: string;
  readonly parentPath: string | null;
  readonly sourcePath: string | null;
  readonly depth: number;
  readonly size: number | null;
  readonly modifiedAt: Date | null;
  /** What the message says it is, '' or null when nothing. A hint where content and name tell nothing. */
  readonly statedMime: string | null;
  readonly attachment: AttachmentPlace | null;
  readonly problems: readonly SourceProblem[];
  /** Null when the bytes come as a stream only. */
  readonly bytes: RandomBytes | null;
  open(): Promise<Readable>;
}

/** A node whose bytes can be read from any position. */
export interface RandomNode extends SourceNode {
  readonly bytes: RandomBytes;
}

export interface ExpandContext {
  readonly workspace: SourceWorkspace;
  readonly limits: SourceLimits;
  /** Looks at a node, delivers it, and goes on with what is inside. */
  expand(node: SourceNode): AsyncGenerator<Expansion>;
  /** False when members of archives below this entry unpack to more than the entry allows. */
  spend(bytes: number): boolean;
}

export const problemAt = (path: string, code: SourceProblemCode, reason: string): Expansion => ({
  type: 'problem',
  problem: { path, code, reason },
});

export const itemOf = (
  node: SourceNode,
  type: FileType,
  more: { readonly kind: ItemKind; readonly mail?: MailMetadata; readonly problems?: readonly SourceProblem[] },
): ContentItem => ({
  type: 'item',
  kind: more.kind,
  path: node.path,
  fileName: node.fileName,
  parentPath: node.parentPath,
  sourcePath: node.sourcePath,
  depth: node.depth,
  size: node.size,
  modifiedAt: node.modifiedAt,
  mime: type.mime,
  mimeByContent: type.byContent,
  mimeByName: type.byName,
  mail: more.mail ?? null,
  attachment: node.attachment,
  problems: [...node.problems, ...(more.problems ?? [])],
  open: () => node.open(),
});

/** The parent of what is inside a container: nothing when the container stands by itself, else the container. */
export const parentOfMembers = (container: SourceNode): string | null =>
  container.parentPath === null ? null : container.path;

const codeOfError = new Map<string, SourceProblemCode>([
  ['source_unreadable', 'unreadable'],
  ['source_changed', 'source_changed'],
  ['source_corrupt', 'corrupt'],
  ['source_limit_exceeded', 'limit_exceeded'],
]);

/** The problem that an error of reading is; undefined for any other error. */
export const problemOfError = (path: string, error: unknown): SourceProblem | undefined => {
  if (!(error instanceof CaseboundError)) return undefined;
  const code = codeOfError.get(error.code);
  return code === undefined ? undefined : { path, code, reason: error.message };
};

const maxNameChars = 150;

/** A name as one segment of a path: without separators and control characters, not too long, with its extension kept. */
export const segmentOf = (name: string, fallback: string): string => {
  const clean = Array.from(name.toWellFormed(), (char) =>
    char < ' ' || char === '/' || char === '\\' || (char >= '\u007F' && char <= '\u009F') ? '_' : char,
  )
    .join('')
    .trim();
  if (clean === '' || /^\.{1,2}$/u.test(clean)) return fallback;
  if (clean.length <= maxNameChars) return clean;
  const dot = clean.lastIndexOf('.');
  const extension = dot > 0 && clean.length - dot <= 20 ? clean.slice(dot) : '';
  return `${clean.slice(0, maxNameChars - extension.length)}${extension}`.toWellFormed();
};
