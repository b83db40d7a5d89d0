/** Mailboxes in the `mboxrd` variant: lines that start with `From `, however often quoted, get one more `>`. */
import type { Message } from '../story/mail-threads.ts';

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Fri Mar  4 15:48:00 2022`, as asctime() writes it. */
const asctime = (at: number): string => {
  const date = new Date(at);
  return `${days[date.getUTCDay()] ?? ''} ${months[date.getUTCMonth()] ?? ''} ${String(date.getUTCDate()).padStart(2)} ${date.toISOString().slice(11, 19)} ${date.getUTCFullYear()}`;
};

/** A message as an entry of a mailbox. */
export const mboxEntry = (message: Message, eml: Uint8Array): Uint8Array => {
  const lines = Buffer.from(eml.buffer, eml.byteOffset, eml.length)
    .toString('latin1')
    .replaceAll('\r\n', '\n')
    .replaceAll(/^(?=>*From )/gmu, '>');
  const end = lines.endsWith('\n') ? '\n' : '\n\n';
  return Buffer.from(`From ${message.from.address} ${asctime(message.sentAt)}\n${lines}${end}`, 'latin1');
};
