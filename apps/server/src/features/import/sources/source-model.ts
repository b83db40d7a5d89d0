/**
 * What an import reads from: a root (folder or zip) with entries, and the items that containers and mail expand to.
 *
 * 1. Nothing that a file contains makes these functions throw: it becomes a `SourceProblem`, and the rest goes on.
 *    Only a root that cannot be opened, an aborted signal and a full temporary folder are thrown.
 * 2. Paths are virtual, with `/`, stable over runs, and unique within a root. They name no place on a disk.
 * 3. The order of entries and of items is the same in every run, so that a resumed import can go on after a path.
 * 4. Memory does not grow with the number or the size of files. What needs random access and has none is spooled into
 *    memory up to a bound, above it into a temporary folder that is bounded and removed.
 */
import type { Readable } from 'node:stream';

/**
 * - `missing`: no such file below the root. `path_refused`: a name that leaves the root, names a device or machine, or holds
 *   control characters. `path_ambiguous`: several files differ only by case. `symlink`: a link, or one that leaves the root.
 *   `special_file`: a device, socket or pipe.
 * - `unreadable`: the system refuses the bytes. `source_changed`: the file was written to while it was read.
 * - `duplicate_name`: two members of one archive have the same name; the later is kept under a name of its own.
 *   `name_encoding_assumed`: the name of a member is in no stated encoding and was read as code page 437.
 * - `encrypted`: a password is needed. `bomb`: sizes or overlaps as no honest archive has. `limit_exceeded`: more than a
 *   limit allows; what came before is kept. `too_deep`: nested deeper than allowed; the container itself is kept.
 * - `corrupt`: bytes break their format. `truncated`: the file ends too early. `empty`: no bytes at all.
 * - `mime_broken`: the structure or a header of a message breaks its rules. `charset_unknown`, `charset_mismatch`: text that was read
 *   under another charset than stated. `date_invalid`: a date that cannot be. `tnef`: a winmail.dat that is kept whole and not
 *   opened. `content_mismatch`: the content is of another type than the name says. `external_body`: the message only refers to a
 *   file elsewhere.
 * - `no_extractor`: nothing here reads text from this type. `extraction_failed`, `extraction_timeout`: it was tried.
 *   `text_truncated`: text was cut at the limit.
 */
export type SourceProblemCode =
  | 'missing'
  | 'path_refused'
  | 'path_ambiguous'
  | 'symlink'
  | 'special_file'
  | 'unreadable'
  | 'source_changed'
  | 'duplicate_name'
  | 'name_encoding_assumed'
  | 'encrypted'
  | 'bomb'
  | 'limit_exceeded'
  | 'too_deep'
  | 'corrupt'
  | 'truncated'
  | 'empty'
  | 'mime_broken'
  | 'charset_unknown'
  | 'charset_mismatch'
  | 'date_invalid'
  | 'tnef'
  | 'content_mismatch'
  | 'external_body'
  | 'no_extractor'
  | 'extraction_failed'
  | 'extraction_timeout'
  | 'text_truncated';

/** One thing that is wrong with one source, at its virtual path. `reason` is a sentence for people, without content. */
export interface SourceProblem {
  readonly path: string;
  readonly code: SourceProblemCode;
  readonly reason: string;
}

/** Bounds of one import root. Bytes are uncompressed bytes. `defaultSourceLimits` has values that suit a few gigabytes of memory. */
export interface SourceLimits {
  /** Entries of a folder tree or archive. What comes after is not listed. */
  readonly maxEntries: number;
  /** Items that one entry expands to: messages of a mailbox, members of nested archives, attachments. */
  readonly maxItemsPerEntry: number;
  /** Bytes of one member of an archive. */
  readonly maxMemberBytes: number;
  /** Declared bytes of all members of one archive. */
  readonly maxArchiveBytes: number;
  /** Uncompressed to compressed, for members above `ratioFloorBytes` and for archives. Deflate reaches 1032 at most. */
  readonly maxRatio: number;
  readonly ratioFloorBytes: number;
  /** Containers and messages within each other below one entry. */
  readonly maxDepth: number;
  /** Parts of one message. */
  readonly maxMimeParts: number;
  /** Bytes of the headers of one part or message; the rest of a header block is skipped. */
  readonly maxHeaderBytes: number;
  /** A spooled source up to this size stays in memory. */
  readonly spoolMemoryBytes: number;
  /** All temporary files of one root together. */
  readonly spoolDiskBytes: number;
  /** Bytes of a file that a library must hold whole (msg). */
  readonly maxWholeFileBytes: number;
  /** UTF-16 code units of the text of one item. */
  readonly maxTextChars: number;
  /** Milliseconds that the parsing of one file may take in a worker or another program. */
  readonly parseTimeoutMs: number;
  /** Heap of a worker thread. */
  readonly workerHeapMegabytes: number;
}

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;

export const defaultSourceLimits: SourceLimits = {
  maxEntries: 2_000_000,
  maxItemsPerEntry: 5_000_000,
  maxMemberBytes: 64 * gibibyte,
  maxArchiveBytes: 1024 * gibibyte,
  maxRatio: 250,
  ratioFloorBytes: 64 * mebibyte,
  maxDepth: 12,
  maxMimeParts: 10_000,
  maxHeaderBytes: mebibyte,
  spoolMemoryBytes: 4 * mebibyte,
  spoolDiskBytes: 32 * gibibyte,
  maxWholeFileBytes: 256 * mebibyte,
  maxTextChars: 64 * mebibyte,
  parseTimeoutMs: 60_000,
  workerHeapMegabytes: 512,
};

/** A file below the root. */
export interface SourceEntry {
  /** Below the root, with `/`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Null where the archive states none. Archives of DOS times have no zone: they are read as UTC. */
  readonly modifiedAt: Date | null;
}

export interface ListEntriesOptions {
  /** Goes on after this path: the last one that was dealt with. It need not exist any more. */
  readonly after?: string;
  /** Names of a path at most; what lies deeper is neither listed nor looked at. Default: no bound. */
  readonly maxDepth?: number;
  /** What cannot be listed: links, devices, refused names, unreadable folders. Called before the next entry is delivered. */
  readonly onProblem?: (problem: SourceProblem) => void;
}

export interface ResolveOptions {
  /** Paths that start at a drive or root: `refuse` (default), or `strip` that start and look below the root. */
  readonly rooted?: 'refuse' | 'strip';
  /** A folder below the root that the path is relative to, as of an earlier entry. Default: the root. */
  readonly below?: string;
}

/** Where a path of a load file leads: an entry's path for `open` and `stat`, or why not. */
export type RootResolution =
  | { readonly ok: true; readonly path: string }
  | {
      readonly ok: false;
      readonly code: 'missing' | 'path_refused' | 'path_ambiguous' | 'symlink' | 'special_file' | 'unreadable';
      readonly reason: string;
    };

/**
 * A folder or zip that is imported from. Closing it removes its temporary files.
 *
 * `open`, `stat` and `list` take and give paths below the root; `resolve` makes one from what a load file says.
 */
export interface ImportRoot extends AsyncDisposable {
  readonly kind: 'folder' | 'zip';
  readonly limits: SourceLimits;
  /**
   * All files, ordered by path: segment by segment, by UTF-16 code units. One folder's names, or one archive's directory, are held at a time.
   */
  list(options?: ListEntriesOptions): AsyncIterable<SourceEntry>;
  /**
   * The bytes of an entry. The stream ends only when they are proven whole, else it is destroyed with a `CaseboundError`:
   * `source_changed` when the file changed while it was read, `source_corrupt` when checksum or compression do not hold.
   * @throws CaseboundError `source_unreadable`: not there, a link out of the root, no file, or the system refuses.
   */
  open(path: string): Promise<Readable>;
  /** Undefined when there is no such file below the root. */
  stat(path: string): Promise<SourceEntry | undefined>;
  /** Separators may be backslashes; letters may differ in case when only one file is meant. */
  resolve(loadFilePath: string, options?: ResolveOptions): Promise<RootResolution>;
  close(): Promise<void>;
}

export interface MailAddress {
  /** Decoded display name, '' when there is none. */
  readonly name: string;
  /** As written, '' where only a name is known. */
  readonly address: string;
}

export interface MailTime {
  /** ISO 8601 in UTC, with milliseconds. */
  readonly utc: string;
  /** Minutes east of UTC as the message states; null when it states none, and then UTC was assumed. */
  readonly offsetMinutes: number | null;
}

/** A rendition of a message's own words. Its bytes can be opened as long as those of the item. */
export interface MailBody {
  readonly kind: 'text' | 'html' | 'rtf';
  /**
   * Bodies of one section say the same in different ways (multipart/alternative), so one of them is enough; sections follow each other.
   * 1-based, ascending.
   */
  readonly section: number;
  /** As the message states; null when it does not. */
  readonly charset: string | null;
  open(): Promise<Readable>;
}

export interface MailMetadata {
  /** With its angle brackets, as written. */
  readonly messageId: string | null;
  /** EDRM MIH: MD5 of the Message-ID with its angle brackets, 32 lower-case hexadecimal digits (edrm.net, "Message ID Hash"). */
  readonly messageIdHash: string | null;
  readonly inReplyTo: string | null;
  /** Oldest first. */
  readonly references: readonly string[];
  /** What holds a thread together. */
  readonly conversation: {
    /** Thread-Topic, else the subject without reply and forward prefixes. */
    readonly topic: string | null;
    /** The first 22 bytes of Thread-Index in hexadecimal, else the first reference, In-Reply-To or Message-ID. */
    readonly rootId: string | null;
    /** Thread-Index as written (base64), which also orders replies. */
    readonly index: string | null;
  };
  readonly from: readonly MailAddress[];
  readonly to: readonly MailAddress[];
  readonly cc: readonly MailAddress[];
  readonly bcc: readonly MailAddress[];
  readonly subject: string | null;
  readonly sentAt: MailTime | null;
  readonly receivedAt: MailTime | null;
  readonly hasAttachments: boolean;
  /** In the order of the message. */
  readonly bodies: readonly MailBody[];
}

/** Of a part of a message. */
export interface AttachmentPlace {
  /** `inline` when the body shows it, such as an image with a Content-ID of a related part. */
  readonly disposition: 'attachment' | 'inline';
  readonly contentId: string | null;
  /** 1-based, in the order of the message. */
  readonly number: number;
}

/**
 * `message`: mail; `document`: any other file; `container`: holds others and is no evidence itself (zip, mbox, pst). A container is
 * delivered before its members.
 */
export type ItemKind = 'message' | 'document' | 'container';

/** A file, message, attachment or container. */
export interface ContentItem {
  readonly type: 'item';
  readonly kind: ItemKind;
  /**
   * Virtual, stable, unique: the entry's path, then what is inside it: `mail.mbox/000012`, `x.eml/attachments/1-report.pdf`,
   * `box.zip/folder/a.doc`, `old.pst/Inbox/000003`.
   */
  readonly path: string;
  /** As a reader knows it: the last segment, or the name the message gives the attachment. Never has a separator in it. */
  readonly fileName: string;
  /**
   * Path of the item that this one is attached to, which makes a family; null for what stands by itself. Members of a container that stands
   * by itself stand by themselves; members of an attached container are the container's children.
   */
  readonly parentPath: string | null;
  /** Path of the container or message that the bytes were taken from; null for an entry. */
  readonly sourcePath: string | null;
  /** 0 for an entry; each container or message around adds one. */
  readonly depth: number;
  /** Bytes, where they are known without reading. */
  readonly size: number | null;
  readonly modifiedAt: Date | null;
  /** By content, else by name, else `application/octet-stream`. */
  readonly mime: string;
  readonly mimeByContent: string | null;
  readonly mimeByName: string | null;
  readonly mail: MailMetadata | null;
  readonly attachment: AttachmentPlace | null;
  /** What was found wrong up to the delivery of the item. Its bytes are good unless reading them fails. */
  readonly problems: readonly SourceProblem[];
  /**
   * The bytes, as often as needed, until the next item is asked for. They end only when proven whole, as in `ImportRoot.open`.
   * @throws CaseboundError `source_unreadable`, `source_changed`, `source_corrupt`.
   */
  open(): Promise<Readable>;
}

/** Found while expanding, and of no delivered item: a refused member, an archive that breaks off. */
export interface ExpansionProblem {
  readonly type: 'problem';
  readonly problem: SourceProblem;
}

export type Expansion = ContentItem | ExpansionProblem;

export interface ExpandOptions {
  readonly signal?: AbortSignal;
}

/**
 * How the text of an item was got. `pdf` and `image` mean: not here, the document engine reads it (and recognises it); `pages` is then empty.
 * `none`: there is nothing that reads it, and `problems` says so.
 */
export type TextMethod =
  | 'plain'
  | 'html'
  | 'mail'
  | 'office'
  | 'rtf'
  | 'libreoffice'
  | 'pdf'
  | 'image'
  | 'empty'
  | 'none';

export interface ExtractedText {
  /**
   * Text by page where the format has pages: slides of a presentation, sheets of a workbook; else one page. Lines end with `\n`; no U+0000.
   */
  readonly pages: readonly string[];
  readonly method: TextMethod;
  readonly problems: readonly SourceProblem[];
}
