/** What the parser thread can be asked, and what it answers: plain data, since it crosses between threads. */
import type { SourceProblemCode } from './source-model.ts';

/** A flaw of a file, without its path. */
export interface ParserFlaw {
  readonly code: SourceProblemCode;
  readonly reason: string;
}

export interface ParsedAddress {
  readonly name: string;
  readonly address: string;
}

/** A body as the message holds it. */
export interface ParsedBody {
  readonly kind: 'text' | 'html' | 'rtf';
  /** UTF-8 when the library decoded it, else the code page of the message. */
  readonly charset: string | null;
  readonly bytes: Uint8Array;
}

export interface ParsedAttachment {
  readonly fileName: string;
  readonly mime: string | null;
  readonly contentId: string | null;
  readonly isInline: boolean;
  /** A message within the message. */
  readonly isMessage: boolean;
  /** Null when the store has the attachment only by reference, or it cannot be read. */
  readonly bytes: Uint8Array | null;
}

/** A message of Outlook, from a .msg file or a mailbox file. Dates are ISO 8601 in UTC. */
export interface ParsedOutlookMessage {
  /** The Internet headers it was delivered with, '' when there are none (mail that was never sent). */
  readonly transportHeaders: string;
  readonly messageId: string | null;
  readonly inReplyTo: string | null;
  readonly topic: string | null;
  readonly subject: string | null;
  readonly from: readonly ParsedAddress[];
  readonly to: readonly ParsedAddress[];
  readonly cc: readonly ParsedAddress[];
  readonly bcc: readonly ParsedAddress[];
  readonly sentAt: string | null;
  readonly receivedAt: string | null;
  readonly bodies: readonly ParsedBody[];
  readonly attachments: readonly ParsedAttachment[];
  readonly flaws: readonly ParserFlaw[];
}

/** The next message of a mailbox file, with messages attached to it inline. */
export interface ParsedMailboxMessage {
  /** Names of the folders that lead to it. */
  readonly folder: readonly string[];
  /** 1-based within the folder. */
  readonly number: number;
  readonly message: ParsedStoredMessage | null;
  readonly flaws: readonly ParserFlaw[];
}

/** As an Outlook message, but what is attached as a message is one, not bytes. */
export interface ParsedStoredMessage extends ParsedOutlookMessage {
  readonly embedded: readonly (ParsedStoredMessage | null)[];
}

export interface ParserTasks {
  readonly html: {
    readonly input: { readonly html: string; readonly maxChars: number };
    readonly output: { readonly text: string; readonly truncated: boolean };
  };
  /** Words without layout, for what `html` cannot finish. */
  readonly stripTags: {
    readonly input: { readonly html: string; readonly maxChars: number };
    readonly output: { readonly text: string; readonly truncated: boolean };
  };
  readonly rtf: {
    readonly input: { readonly bytes: Uint8Array; readonly maxChars: number };
    readonly output: { readonly text: string; readonly truncated: boolean };
  };
  readonly msg: {
    readonly input: { readonly bytes: Uint8Array };
    readonly output: ParsedOutlookMessage;
  };
  readonly openMailbox: {
    readonly input: { readonly file: string; readonly maxAttachmentBytes: number };
    readonly output: { readonly opened: true };
  };
  readonly nextMessage: {
    readonly input: Record<string, never>;
    readonly output: ParsedMailboxMessage | null;
  };
}

export interface ParserTask {
  readonly kind: keyof ParserTasks;
  readonly input: ParserTasks[keyof ParserTasks]['input'];
}

export type ParserRequest = ParserTask;

export type ParserResponse =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: string };
