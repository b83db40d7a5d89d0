/**
 * What a sample consists of, family by family, before anything is written.
 *
 * - The plan of a seed is one endless sequence; a sample of N documents takes its beginning.
 * - Memory is bounded: open mail threads and the families that may still get a duplicate are kept, nothing else.
 * - Kinds are dealt from a shuffled deck, so that each hundred documents holds its share of every kind; the first deck is in a fixed order
 *   that shows all kinds early, so that a small sample has them too.
 */
import { Random } from './random.ts';
import { custodians, everybody, isCounsel, type Person } from './story/cast.ts';
import { type Message, openThread, type Thread, writeMessage } from './story/mail-threads.ts';
import { type Topic, topics, writeSubject, writeTerm } from './story/prose.ts';
import { planSecrets, type Secret } from './story/secrets.ts';

/** `photo` is an attached picture; the three scans are paper without text: an image-only PDF, page images, one file of many pages. */
export type ItemKind =
  | 'mail'
  | 'pdf'
  | 'docx'
  | 'xlsx'
  | 'csv'
  | 'txt'
  | 'photo'
  | 'scan-pdf'
  | 'scan-tiff'
  | 'scan-multi-tiff'
  | 'scan-png';

export interface ItemPlan {
  readonly kind: ItemKind;
  /** Names the random numbers of the content: items of one key have the same bytes. */
  readonly key: string;
  readonly topic: Topic;
  readonly title: string;
  /** As on the custodian's disk or in the message. */
  readonly fileName: string;
  readonly author: Person;
  /** Milliseconds since 1970, UTC. */
  readonly created: number;
  readonly modified: number;
  /** Pages to fill, for kinds that have pages. */
  readonly pages: number;
  /** Whether it has a PDF of its pages beside a native that has none. */
  readonly rendition: boolean;
  /** What a reviewer redacts. */
  readonly secrets: readonly Secret[];
  readonly message: Message | undefined;
  readonly privileged: boolean;
}

export interface FamilyPlan {
  readonly index: number;
  readonly root: ItemPlan;
  readonly children: readonly ItemPlan[];
  readonly custodian: Person;
  /** With those whose copies were left out before production; empty where that was not recorded. */
  readonly allCustodians: readonly Person[];
  /** Folders from the outermost, the custodian's own first. */
  readonly folder: readonly string[];
  /** The family whose bytes these are again, found with another custodian. */
  readonly duplicateOf: number | undefined;
}

const cards: readonly ItemKind[] = [
  'mail',
  'pdf',
  'scan-tiff',
  'docx',
  'xlsx',
  'mail',
  'scan-pdf',
  'txt',
  'csv',
  'scan-png',
  'mail',
  'scan-multi-tiff',
  'pdf',
  ...Array<ItemKind>(19).fill('mail'),
  ...Array<ItemKind>(6).fill('pdf'),
  ...Array<ItemKind>(4).fill('docx'),
  ...Array<ItemKind>(2).fill('xlsx'),
  ...Array<ItemKind>(2).fill('txt'),
];

const attachmentKinds: readonly [ItemKind, ...ItemKind[]] = ['pdf', 'pdf', 'xlsx', 'docx', 'csv', 'photo', 'txt'];

export const extensions: Readonly<Record<ItemKind, string>> = {
  mail: 'eml',
  pdf: 'pdf',
  docx: 'docx',
  xlsx: 'xlsx',
  csv: 'csv',
  txt: 'txt',
  photo: 'png',
  'scan-pdf': 'pdf',
  'scan-tiff': 'tif',
  'scan-multi-tiff': 'tif',
  'scan-png': 'png',
};

const DAY = 86_400_000;
const START = Date.UTC(2021, 0, 4, 8);
const OPEN_THREADS = 12;
const REMEMBERED_FAMILIES = 48;
const DUPLICATE_SHARE = 0.04;

const planPages = (kind: ItemKind, random: Random): number => {
  switch (kind) {
    case 'pdf':
      return random.chance(0.4) ? 1 : random.chance(0.7) ? random.between(2, 4) : random.between(5, 12);
    case 'docx':
      return random.between(1, 3);
    case 'scan-pdf':
    case 'scan-tiff':
      return random.chance(0.5) ? 1 : random.between(2, 4);
    case 'scan-multi-tiff':
      return random.between(2, 4);
    default:
      return 1;
  }
};

/** `Supply agreement, signed draft` -> `Supply agreement signed draft`. */
const fileNameOf = (title: string, extension: string): string =>
  `${title
    .replaceAll(/[^\p{L}\p{N} .-]/gu, '')
    .replaceAll(/\s+/gu, ' ')
    .slice(0, 60)
    .trim()}.${extension}`;

const planItem = (kind: ItemKind, key: string, topic: Topic, random: Random): ItemPlan => {
  const author = random.pick(everybody);
  const created = START + random.below(1000) * DAY + random.below(DAY / 1000) * 1000;
  const title = kind === 'photo' ? `IMG_${random.digits(4)}` : writeSubject(topic, random);
  const label = kind === 'xlsx' || kind === 'csv' ? `${title} ${writeTerm(random)}` : title;
  const rendition = kind === 'docx' && random.chance(0.5);
  const paged = kind === 'pdf' || kind.startsWith('scan-') || rendition;
  return {
    kind,
    key,
    topic,
    title: label,
    fileName: fileNameOf(`${label} ${random.text(4, 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789')}`, extensions[kind]),
    author,
    created,
    modified: created + random.below(30 * 86_400) * 1000,
    pages: planPages(kind, random),
    rendition,
    secrets: paged ? planSecrets(random) : [],
    message: undefined,
    privileged: topic.name === 'advice' && isCounsel(author),
  };
};

const planMailItem = (message: Message, key: string, random: Random): ItemPlan => {
  const rendition = message.plain && random.chance(0.3);
  return {
    kind: 'mail',
    key,
    topic: message.topic,
    title: message.subject,
    fileName: fileNameOf(message.subject, 'eml'),
    author: message.from,
    created: message.sentAt,
    modified: message.sentAt,
    pages: 1,
    rendition,
    secrets: message.secrets,
    message,
    privileged: message.topic.name === 'advice' && [message.from, ...message.to].some(isCounsel),
  };
};

const isCustodian = (one: Person): boolean => custodians.includes(one);

const folderOf = (custodian: Person, item: ItemPlan, random: Random): readonly string[] => {
  const { message, topic, created } = item;
  if (message !== undefined) {
    if (message.from === custodian) return [custodian.sortName, 'Mailbox', 'Sent Items'];
    return [custodian.sortName, 'Mailbox', 'Inbox', ...(random.chance(0.5) ? [topic.category, topic.label] : [])];
  }
  if (item.kind.startsWith('scan-')) return [custodian.sortName, 'Paper', `Binder ${random.between(1, 9)}`];
  return [custodian.sortName, 'Documents', topic.category, String(new Date(created).getUTCFullYear())];
};

interface FamilyBody {
  readonly root: ItemPlan;
  readonly children: readonly ItemPlan[];
}

/** Plans one family after another, without end. `mailOnly` leaves out what is not a message. */
export function* planFamilies(
  seed: string,
  { mailOnly = false }: { readonly mailOnly?: boolean } = {},
): Generator<FamilyPlan, never, undefined> {
  const threads: Thread[] = [];
  const remembered: FamilyPlan[] = [];
  let deck: ItemKind[] = [...cards];
  for (let index = 0; ; index += 1) {
    const random = new Random(seed, 'family', index);
    const twin = index > 8 && random.chance(DUPLICATE_SHARE) ? remembered[random.below(remembered.length)] : undefined;
    if (twin !== undefined) {
      const holders = (
        twin.root.message === undefined ? custodians : [...twin.root.message.to, ...twin.root.message.cc]
      ).filter((one) => isCustodian(one) && one !== twin.custodian);
      const [holder] = random.shuffle(holders);
      if (holder !== undefined) {
        yield {
          ...twin,
          index,
          custodian: holder,
          allCustodians: [],
          folder: folderOf(holder, twin.root, random),
          duplicateOf: twin.index,
        };
        continue;
      }
    }
    if (deck.length === 0) deck = new Random(seed, 'deck', index).shuffle(cards);
    const kind = mailOnly ? 'mail' : (deck.shift() ?? 'mail');
    const key = `${seed}/${index}`;
    const body = kind === 'mail' ? planMail(key, threads, random, index) : planLoose(kind, key, random);
    const [custodian = custodians[0]] =
      body.root.message === undefined
        ? [random.pick(custodians)]
        : random.shuffle(
            [body.root.message.from, ...body.root.message.to, ...body.root.message.cc].filter(isCustodian),
          );
    const family: FamilyPlan = {
      index,
      ...body,
      custodian,
      allCustodians: random.chance(0.06)
        ? [custodian, ...random.shuffle(custodians.filter((one) => one !== custodian)).slice(0, random.between(1, 2))]
        : [],
      folder: folderOf(custodian, body.root, random),
      duplicateOf: undefined,
    };
    remembered.push(family);
    if (remembered.length > REMEMBERED_FAMILIES) remembered.shift();
    yield family;
  }
}

const planLoose = (kind: ItemKind, key: string, random: Random): FamilyBody => ({
  root: planItem(kind, key, random.pick(topics), random),
  children: [],
});

const planMail = (key: string, threads: Thread[], random: Random, index: number): FamilyBody => {
  let at = random.below(OPEN_THREADS);
  if (threads[at] === undefined) {
    at = Math.min(at, threads.length);
    threads[at] = openThread(key, START + Math.floor(index / 4) * 3_600_000 + random.below(86_400) * 1000);
  }
  const thread = threads[at] ?? openThread(key, START);
  const message = writeMessage(thread, key);
  if (thread.remaining === 0) threads.splice(at, 1);
  const count = index === 0 ? 2 : random.chance(0.3) ? random.between(1, 3) : 0;
  const children = Array.from({ length: count }, (_, position) => {
    const own = new Random(key, 'attachment', position);
    const attached = message.answered;
    if (position === 0 && attached !== undefined && own.chance(0.12))
      // Without its postscripts: what is redacted elsewhere must not stand here.
      return { ...planMailItem({ ...attached, secrets: [] }, `${key}/${position + 1}`, own), rendition: false };
    const item = planItem(own.pick(attachmentKinds), `${key}/${position + 1}`, message.topic, own);
    // Nothing is attached that was written later than the message.
    const created = message.sentAt - own.between(1, 90 * 86_400) * 1000;
    return { ...item, created, modified: Math.min(created + own.below(86_400) * 1000, message.sentAt) };
  });
  return { root: planMailItem(message, key, random), children };
};
