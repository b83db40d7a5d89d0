/**
 * The work product on a document's pages, as Instant JSON: stamps, redactions, highlights, notes, stickers, comment threads.
 *
 * - A redaction lies on the words it hides, every occurrence of them; where they stand comes from the layout that drew the page.
 * - Stamps are read-only and stand in the margins, where no text is.
 */
import { attachmentId, INSTANT_JSON_FORMAT } from '@casebound/pdf';
import { toWinAnsi, widthOf } from './formats/helvetica.ts';
import { findPhrase, lineBox, type PageLayout, type Rect } from './formats/lay-out-text.ts';
import { writePicture } from './formats/write-png.ts';
import type { ItemPlan } from './plan-families.ts';
import { Random } from './random.ts';
import { type Topic, writeParagraph } from './story/prose.ts';

type Box = readonly [left: number, top: number, width: number, height: number];

interface RedactedWords {
  readonly pageIndex: number;
  readonly words: string;
  readonly reason: string;
  readonly rects: readonly Box[];
}

export const annotationKinds = [
  'bates_stamp',
  'confidentiality_stamp',
  'redaction',
  'highlight',
  'note',
  'sticker',
  'comment',
] as const;

type Kind = (typeof annotationKinds)[number];

export type AnnotationCounts = Readonly<Record<Kind, number>>;

export interface AnnotatedPages {
  /** The sidecar file. */
  readonly json: Record<string, unknown>;
  readonly redacted: readonly RedactedWords[];
  readonly counts: AnnotationCounts;
}

const reviewers: readonly [string, ...string[]] = ['m.castellan', 'j.oyelaran', 's.varga'];
const REVIEW_STARTS = Date.UTC(2024, 4, 6, 9);
const STAMP_SIZE = 9;
const STAMP_MARGIN = 30;
const STICKER_PIXELS = 24;

const round = (value: number): number => Math.round(value * 100) / 100;
const boxOf = ({ left, top, width, height }: Rect): Box => [round(left), round(top), round(width), round(height)];

const around = (rects: readonly Box[]): Box => {
  const left = Math.min(...rects.map(([x]) => x));
  const top = Math.min(...rects.map(([, y]) => y));
  return [
    left,
    top,
    round(Math.max(...rects.map(([x, , width]) => x + width)) - left),
    round(Math.max(...rects.map(([, y, , height]) => y + height)) - top),
  ];
};

type Color = readonly [red: number, green: number, blue: number];

const stickerColors: readonly [Color, ...Color[]] = [
  [200, 30, 30],
  [30, 120, 60],
  [30, 60, 180],
  [220, 160, 20],
];

/** A round sticker of one colour. */
const stickerOf = (random: Random): Uint8Array => {
  const color = random.pick(stickerColors);
  const middle = (STICKER_PIXELS - 1) / 2;
  return writePicture(STICKER_PIXELS, (x, y) =>
    (x - middle) ** 2 + (y - middle) ** 2 <= middle ** 2 ? color : [255, 255, 255],
  );
};

const ID_CHARACTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The annotations of one document while they are made. */
class AnnotationSheet {
  readonly #random: Random;
  readonly #ids: Random;
  readonly #annotations: Record<string, unknown>[] = [];
  readonly #comments: Record<string, unknown>[] = [];
  readonly #attachments: Record<string, { readonly binary: string; readonly contentType: string }> = {};
  readonly #counts: Record<Kind, number> = {
    bates_stamp: 0,
    confidentiality_stamp: 0,
    redaction: 0,
    highlight: 0,
    note: 0,
    sticker: 0,
    comment: 0,
  };

  /** @param random decides who reviewed, and when. @param ids gives ids. */
  constructor(random: Random, ids: Random) {
    this.#random = random;
    this.#ids = ids;
  }

  /** Adds an annotation and returns its id. */
  add(kind: Kind, type: string, pageIndex: number, bbox: Box, more: Record<string, unknown>): string {
    const id = this.#ids.text(26, ID_CHARACTERS);
    const at = this.#moment();
    this.#annotations.push({
      v: 2,
      id,
      pageIndex,
      bbox,
      opacity: 1,
      creatorName: this.#random.pick(reviewers),
      createdAt: showMoment(at),
      updatedAt: showMoment(at),
      type,
      ...more,
    });
    this.#counts[kind] += 1;
    return id;
  }

  stamp(kind: 'bates_stamp' | 'confidentiality_stamp', pageIndex: number, { shape }: PageLayout, text: string): void {
    const isBates = kind === 'bates_stamp';
    const width = round(widthOf(toWinAnsi(text), 'bold', STAMP_SIZE) + 6);
    const left = isBates ? round(shape.width - STAMP_MARGIN - width) : STAMP_MARGIN;
    this.add(kind, 'pspdfkit/text', pageIndex, [left, round(shape.height - STAMP_MARGIN - 14), width, 14], {
      text: { format: 'plain', value: text },
      fontSize: STAMP_SIZE,
      fontColor: isBates ? '#000000' : '#B00020',
      font: 'Helvetica',
      isBold: true,
      horizontalAlign: isBates ? 'right' : 'left',
      verticalAlign: 'center',
      readOnly: true,
      flags: ['print', 'readOnly'],
      customData: { type: kind },
    });
  }

  /** Some comments below an annotation, each a while after the one before. */
  discuss(rootId: string, pageIndex: number, topic: Topic): void {
    let at = this.#moment();
    for (let left = this.#random.between(1, 3); left > 0; left -= 1) {
      this.#comments.push({
        v: 1,
        id: this.#ids.text(26, ID_CHARACTERS),
        type: 'pspdfkit/comment',
        rootId,
        pageIndex,
        text: { format: 'plain', value: writeParagraph(topic, this.#random, 1) },
        creatorName: this.#random.pick(reviewers),
        createdAt: showMoment(at),
        updatedAt: showMoment(at),
      });
      this.#counts.comment += 1;
      at += this.#random.between(300, 86_400) * 1000;
    }
  }

  /** Keeps a picture and returns its id. */
  attach(bytes: Uint8Array): string {
    const id = attachmentId(bytes);
    this.#attachments[id] = { binary: Buffer.from(bytes).toString('base64'), contentType: 'image/png' };
    return id;
  }

  finish(redacted: readonly RedactedWords[]): AnnotatedPages {
    return {
      json: {
        format: INSTANT_JSON_FORMAT,
        annotations: this.#annotations,
        ...(this.#comments.length === 0 ? {} : { comments: this.#comments }),
        ...(Object.keys(this.#attachments).length === 0 ? {} : { attachments: this.#attachments }),
      },
      redacted,
      counts: this.#counts,
    };
  }

  #moment(): number {
    return REVIEW_STARTS + this.#random.below(120 * 86_400) * 1000;
  }
}

/** `2024-05-06T09:00:00Z` */
const showMoment = (at: number): string => new Date(at).toISOString().replace('.000', '');

/** Redacts every occurrence of the document's secrets on a page. */
const redactWords = (sheet: AnnotationSheet, plan: ItemPlan, page: PageLayout, pageIndex: number): RedactedWords[] =>
  plan.secrets.flatMap(({ words, reason }) =>
    findPhrase(page, words).map((found) => {
      const rects = found.map(boxOf);
      sheet.add('redaction', 'pspdfkit/markup/redaction', pageIndex, around(rects), {
        rects,
        fillColor: '#000000',
        overlayText: reason === 'Privilege' ? 'PRIVILEGED' : '',
        customData: { reason },
      });
      return { pageIndex, words, reason, rects };
    }),
  );

/** Highlights whole lines; some of them are the root of a comment thread. */
const highlightLines = (sheet: AnnotationSheet, plan: ItemPlan, pages: readonly PageLayout[], random: Random): void => {
  const secret = plan.secrets.flatMap(({ words }) => words.split(' '));
  for (let left = random.between(1, 3); left > 0; left -= 1) {
    const pageIndex = random.below(pages.length);
    const lines = pages[pageIndex]?.lines ?? [];
    const line = lines[random.below(lines.length)];
    const rect = line === undefined ? undefined : lineBox(line);
    // What is redacted is not highlighted too: reviewers would have to tell which of the two counts.
    if (line === undefined || rect === undefined || secret.some((word) => line.text.includes(word))) continue;
    const box = boxOf(rect);
    const discussed = random.chance(0.4);
    const id = sheet.add('highlight', 'pspdfkit/markup/highlight', pageIndex, box, {
      rects: [box],
      color: random.pick(['#FCEE7C', '#A6E7A0', '#9CD3F7']),
      blendMode: 'multiply',
      ...(discussed ? { isCommentThreadRoot: true } : {}),
    });
    if (discussed) sheet.discuss(id, pageIndex, plan.topic);
  }
};

/**
 * Annotates the pages of a document.
 * @param bates the number of each page.
 * @param confidentiality codes that are stamped on each page.
 */
export const annotatePages = (
  plan: ItemPlan,
  pages: readonly PageLayout[],
  bates: (pageIndex: number) => string,
  confidentiality: readonly string[],
): AnnotatedPages => {
  const random = new Random(plan.key, 'annotations');
  const sheet = new AnnotationSheet(random, new Random(plan.key, 'annotation-ids', bates(0)));
  const redacted = pages.flatMap((page, pageIndex) => {
    sheet.stamp('bates_stamp', pageIndex, page, bates(pageIndex));
    if (confidentiality.length > 0)
      sheet.stamp('confidentiality_stamp', pageIndex, page, confidentiality.join(' / ').toUpperCase());
    return redactWords(sheet, plan, page, pageIndex);
  });
  if (random.chance(0.3)) highlightLines(sheet, plan, pages, random);
  if (random.chance(0.12)) {
    sheet.add('note', 'pspdfkit/note', random.below(pages.length), [20, 60 + random.below(400), 24, 24], {
      text: { format: 'plain', value: writeParagraph(plan.topic, random, random.between(1, 2)) },
      color: '#FFD83F',
      icon: 'comment',
    });
  }
  if (random.chance(0.08)) {
    const imageAttachmentId = sheet.attach(stickerOf(random));
    sheet.add('sticker', 'pspdfkit/image', random.below(pages.length), [24, 24, 32, 32], {
      imageAttachmentId,
      contentType: 'image/png',
      fileName: 'sticker.png',
      rotation: 0,
    });
  }
  return sheet.finish(redacted);
};
