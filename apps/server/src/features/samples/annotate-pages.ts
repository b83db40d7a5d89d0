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
import { writeParagraph } from './story/prose.ts';

type Box = readonly [left: number, top: number, width: number, height: number];

interface RedactedWords {
  readonly pageIndex: number;
  readonly words: string;
  readonly reason: string;
  readonly rects: readonly Box[];
}

export type AnnotationCounts = Readonly<
  Record<'bates_stamp' | 'confidentiality_stamp' | 'redaction' | 'highlight' | 'note' | 'sticker' | 'comment', number>
>;

interface AnnotatedPages {
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

interface Draft {
  readonly annotations: Record<string, unknown>[];
  readonly comments: Record<string, unknown>[];
  readonly attachments: Record<string, { readonly binary: string; readonly contentType: string }>;
}

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
  const ids = new Random(plan.key, 'annotation-ids', bates(0));
  const draft: Draft = { annotations: [], comments: [], attachments: {} };
  const redacted: RedactedWords[] = [];

  const common = (pageIndex: number, bbox: Box) => {
    const at = new Date(REVIEW_STARTS + random.below(120 * 86_400) * 1000).toISOString().replace('.000', '');
    return {
      v: 2,
      id: ids.text(26, '0123456789ABCDEFGHJKMNPQRSTVWXYZ'),
      pageIndex,
      bbox,
      opacity: 1,
      creatorName: random.pick(reviewers),
      createdAt: at,
      updatedAt: at,
    };
  };
  const add = (type: string, pageIndex: number, bbox: Box, more: Record<string, unknown>): string => {
    const annotation = { ...common(pageIndex, bbox), type, ...more };
    draft.annotations.push(annotation);
    return annotation.id;
  };

  const stamp = (kind: 'bates_stamp' | 'confidentiality_stamp', pageIndex: number, text: string): void => {
    const page = pages[pageIndex];
    if (page === undefined) return;
    const width = round(widthOf(toWinAnsi(text), 'bold', STAMP_SIZE) + 6);
    const left = kind === 'bates_stamp' ? round(page.shape.width - STAMP_MARGIN - width) : STAMP_MARGIN;
    add('pspdfkit/text', pageIndex, [left, round(page.shape.height - STAMP_MARGIN - 14), width, 14], {
      text: { format: 'plain', value: text },
      fontSize: STAMP_SIZE,
      fontColor: kind === 'bates_stamp' ? '#000000' : '#B00020',
      font: 'Helvetica',
      isBold: true,
      horizontalAlign: kind === 'bates_stamp' ? 'right' : 'left',
      verticalAlign: 'center',
      readOnly: true,
      flags: ['print', 'readOnly'],
      customData: { type: kind },
    });
  };

  pages.forEach((page, pageIndex) => {
    stamp('bates_stamp', pageIndex, bates(pageIndex));
    if (confidentiality.length > 0)
      stamp('confidentiality_stamp', pageIndex, confidentiality.join(' / ').toUpperCase());
    for (const { words, reason } of plan.secrets)
      for (const found of findPhrase(page, words)) {
        const rects = found.map(boxOf);
        add('pspdfkit/markup/redaction', pageIndex, around(rects), {
          rects,
          fillColor: '#000000',
          overlayText: reason === 'Privilege' ? 'PRIVILEGED' : '',
          customData: { reason },
        });
        redacted.push({ pageIndex, words, reason, rects });
      }
  });

  highlightLines(plan, pages, random, add, (rootId, pageIndex) => {
    let at = REVIEW_STARTS + random.below(120 * 86_400) * 1000;
    for (let left = random.between(1, 3); left > 0; left -= 1) {
      const when = new Date(at).toISOString().replace('.000', '');
      draft.comments.push({
        v: 1,
        id: ids.text(26, '0123456789ABCDEFGHJKMNPQRSTVWXYZ'),
        type: 'pspdfkit/comment',
        rootId,
        pageIndex,
        text: { format: 'plain', value: writeParagraph(plan.topic, random, 1) },
        creatorName: random.pick(reviewers),
        createdAt: when,
        updatedAt: when,
      });
      at += random.between(300, 86_400) * 1000;
    }
  });
  const anyPage = (): number => random.below(pages.length);
  if (random.chance(0.12)) {
    add('pspdfkit/note', anyPage(), [20, 60 + random.below(400), 24, 24], {
      text: { format: 'plain', value: writeParagraph(plan.topic, random, random.between(1, 2)) },
      color: '#FFD83F',
      icon: 'comment',
    });
  }
  if (random.chance(0.08)) {
    const bytes = stickerOf(random);
    const id = attachmentId(bytes);
    draft.attachments[id] = { binary: Buffer.from(bytes).toString('base64'), contentType: 'image/png' };
    add('pspdfkit/image', anyPage(), [24, 24, 32, 32], {
      imageAttachmentId: id,
      contentType: 'image/png',
      fileName: 'sticker.png',
      rotation: 0,
    });
  }
  const { annotations, comments, attachments } = draft;
  const count = (test: (annotation: Record<string, unknown>) => boolean): number => annotations.filter(test).length;
  const stamps = (kind: string): number =>
    count(({ customData }) => (customData as { readonly type?: unknown } | undefined)?.type === kind);
  return {
    json: {
      format: INSTANT_JSON_FORMAT,
      annotations,
      ...(comments.length === 0 ? {} : { comments }),
      ...(Object.keys(attachments).length === 0 ? {} : { attachments }),
    },
    redacted,
    counts: {
      bates_stamp: stamps('bates_stamp'),
      confidentiality_stamp: stamps('confidentiality_stamp'),
      redaction: redacted.length,
      highlight: count(({ type }) => type === 'pspdfkit/markup/highlight'),
      note: count(({ type }) => type === 'pspdfkit/note'),
      sticker: Object.keys(attachments).length,
      comment: comments.length,
    },
  };
};

/** Highlights whole lines of some documents; some of them are the root of a comment thread. */
const highlightLines = (
  plan: ItemPlan,
  pages: readonly PageLayout[],
  random: Random,
  add: (type: string, pageIndex: number, bbox: Box, more: Record<string, unknown>) => string,
  comment: (rootId: string, pageIndex: number) => void,
): void => {
  if (!random.chance(0.3)) return;
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
    const id = add('pspdfkit/markup/highlight', pageIndex, box, {
      rects: [box],
      color: random.pick(['#FCEE7C', '#A6E7A0', '#9CD3F7']),
      blendMode: 'multiply',
      ...(discussed ? { isCommentThreadRoot: true } : {}),
    });
    if (discussed) comment(id, pageIndex);
  }
};
