/**
 * Conversations by mail.
 *
 * - A message answers the one before it: it names it in In-Reply-To, carries all of the thread in References (RFC 5322, 3.6.4), and quotes
 *   it below the answer.
 * - What reviewers redact stands in a postscript, which answers do not quote.
 */
import { Random } from '../random.ts';
import { everybody, type Person } from './cast.ts';
import { type Topic, topics, writeParagraph, writeSubject } from './prose.ts';
import { planSecrets, type Secret } from './secrets.ts';

export interface Message {
  readonly threadId: string;
  readonly messageId: string;
  readonly inReplyTo: string | undefined;
  /** Message ids, oldest first. */
  readonly references: readonly string[];
  readonly topic: Topic;
  readonly subject: string;
  readonly from: Person;
  readonly to: readonly Person[];
  readonly cc: readonly Person[];
  readonly bcc: readonly Person[];
  /** Milliseconds since 1970, whole seconds. */
  readonly sentAt: number;
  readonly important: boolean;
  /** Without what is quoted. */
  readonly paragraphs: readonly string[];
  readonly secrets: readonly Secret[];
  readonly answered: Message | undefined;
  /** Whether all characters are those of Windows-1252. */
  readonly plain: boolean;
  /** Whether the message has an HTML body too. */
  readonly html: boolean;
}

export interface Thread {
  readonly id: string;
  readonly random: Random;
  readonly topic: Topic;
  readonly subject: string;
  readonly plain: boolean;
  readonly people: readonly Person[];
  readonly startsAt: number;
  remaining: number;
  last: Message | undefined;
}

/** Words that only encoded headers can carry. */
const foreign: readonly [string, ...string[]] = [
  '再試験のお願い',
  'Звонок',
  'Übersicht – größte Abweichung',
  'Réunion à Orléans ✓',
];

export const openThread = (key: string, startsAt: number): Thread => {
  const random = new Random(key, 'thread');
  const topic = random.pick(topics);
  const encoded = random.chance(0.06);
  const subject = writeSubject(topic, random);
  return {
    id: `T${new Random(key, 'thread-id').text(10, '0123456789ABCDEF')}`,
    random,
    topic,
    subject: encoded ? `${random.pick(foreign)}: ${subject}` : subject,
    plain: !encoded,
    people: random.shuffle(everybody).slice(0, random.between(2, 5)),
    startsAt,
    remaining: random.chance(0.3) ? 1 : random.between(2, 8),
    last: undefined,
  };
};

/** The next message of a thread. */
export const writeMessage = (thread: Thread, key: string): Message => {
  const { last, topic, people } = thread;
  const random = new Random(key, 'message');
  const [first = everybody[0], ...rest] = people;
  const from = last === undefined ? first : random.pick([last.to[0] ?? first, ...last.to, ...last.cc]);
  const audience = [first, ...rest].filter((one) => one !== from);
  const main = last?.from !== undefined && last.from !== from ? last.from : (audience[0] ?? everybody[1] ?? first);
  const others = audience.filter((one) => one !== main);
  const cut = random.between(0, others.length);
  const [, domain = 'meridian-logistics.example'] = from.address.split('@');
  const message: Message = {
    threadId: thread.id,
    messageId: `<${new Random(key, 'message-id').text(24, 'abcdefghijklmnopqrstuvwxyz0123456789')}@mail.${domain}>`,
    inReplyTo: last?.messageId,
    references: last === undefined ? [] : [...last.references, last.messageId],
    topic,
    subject: last === undefined ? thread.subject : `${random.chance(0.12) ? 'FW' : 'RE'}: ${thread.subject}`,
    from,
    to: [main, ...others.slice(0, cut)],
    cc: others.slice(cut),
    bcc: random.chance(0.03) ? everybody.filter((one) => !people.includes(one)).slice(0, 1) : [],
    sentAt: (last?.sentAt ?? thread.startsAt) + random.between(60, 3 * 86_400) * 1000,
    important: random.chance(0.08),
    paragraphs: Array.from({ length: random.between(1, 4) }, () => writeParagraph(topic, random, random.between(1, 4))),
    secrets: thread.plain ? planSecrets(random) : [],
    answered: last,
    plain: thread.plain,
    html: random.chance(0.35),
  };
  thread.last = message;
  thread.remaining -= 1;
  return message;
};

const MAX_QUOTED = 3;
const two = (value: number): string => String(value).padStart(2, '0');

/** `2022-03-04 15:48:00`, UTC. */
export const showTime = (at: number): string => {
  const date = new Date(at);
  return `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
};

/** What the sender wrote, paragraph by paragraph, with signature and postscripts, without quotations. */
export const ownParagraphs = (message: Message): readonly string[] => [
  ...message.paragraphs,
  `${message.from.name}\n${message.from.role}, ${message.from.organization}`,
  ...message.secrets.map(({ sentence }) => `PS: ${sentence}`),
];

/** The messages below, newest first, as quoted. */
export const quotedMessages = (message: Message): readonly Message[] => {
  const quoted: Message[] = [];
  for (let at = message.answered; at !== undefined && quoted.length < MAX_QUOTED; at = at.answered) quoted.push(at);
  return quoted;
};

/** Lines of a plain body: own text, then each earlier message one level deeper. */
export const plainBody = (message: Message): string => {
  const parts = [ownParagraphs(message).join('\n\n')];
  quotedMessages(message).forEach((quoted, depth) => {
    const mark = '>'.repeat(depth + 1);
    const intro = `${depth === 0 ? '' : `${'>'.repeat(depth)} `}On ${showTime(quoted.sentAt)} UTC, ${quoted.from.name} wrote:`;
    const lines = quoted.paragraphs.join('\n\n').split('\n');
    parts.push([intro, ...lines.map((line) => (line === '' ? mark : `${mark} ${line}`))].join('\n'));
  });
  return `${parts.join('\n\n')}\n`;
};
