/** The parser thread's own side: takes one task, answers it, and never lets an error of a file out as anything but a reason. */
import { parentPort } from 'node:worker_threads';
import { htmlToPlain } from '../text/html-to-plain.ts';
import { rtfToPlain } from '../text/rtf-to-plain.ts';
import { stripTags } from '../text/strip-tags.ts';
import { parseMsg } from './mail/parse-msg.ts';
import { PstMailbox } from './mail/pst-mailbox.ts';
import type { ParserRequest, ParserResponse, ParserTasks } from './parser-tasks.ts';

type Handlers = {
  readonly [Kind in keyof ParserTasks]: (input: ParserTasks[Kind]['input']) => ParserTasks[Kind]['output'];
};

let mailbox: PstMailbox | undefined;

const handlers: Handlers = {
  html: ({ html, maxChars }) => htmlToPlain(html, maxChars),
  stripTags: ({ html, maxChars }) => stripTags(html, maxChars),
  rtf: ({ bytes, maxChars }) => rtfToPlain(bytes, maxChars),
  msg: ({ bytes }) => parseMsg(bytes),
  openMailbox: ({ file, maxAttachmentBytes }) => {
    mailbox = new PstMailbox(file, maxAttachmentBytes);
    return { opened: true };
  },
  nextMessage: () => mailbox?.next() ?? null,
};

const answer = ({ kind, input }: ParserRequest): ParserResponse => {
  try {
    // The sender is typed by the same table: `kind` and `input` belong together.
    const handle = handlers[kind] as (given: unknown) => unknown;
    return { ok: true, value: handle(input) };
  } catch (error) {
    // Libraries quote what they read in their messages: only the kind of the error is told.
    return {
      ok: false,
      reason: `The format does not hold (${error instanceof Error ? error.name : 'unknown error'}).`,
    };
  }
};

const port = parentPort;
// A port between threads, not a window: there is no origin to name.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
port?.on('message', (request: ParserRequest) => port.postMessage(answer(request)));
