/**
 * From the plan of an item to its files: native, PDF rendition, page images, text.
 *
 * - The result depends on the plan alone, so an item that is planned twice (a duplicate, an attachment) has the same bytes.
 */
import { drawPage, type GlyphSet, type PageBitmap } from './formats/draw-page.ts';
import {
  HEADING_SIZE,
  layOutPages,
  pageTextOf,
  type PageLayout,
  type PageShape,
  type Paragraph,
  portrait,
} from './formats/lay-out-text.ts';
import { type MailAttachment, writeEml } from './formats/write-eml.ts';
import { type Table, tableText, writeCsv, writeDocx, writeXlsx } from './formats/write-office.ts';
import { writePng } from './formats/write-png.ts';
import { writeImagePdf, writeTextPdf } from './formats/write-pdf.ts';
import { writeTiff } from './formats/write-tiff.ts';
import type { ItemPlan } from './plan-families.ts';
import { Random } from './random.ts';
import { showAddress } from './story/cast.ts';
import { type Message, plainBody, showTime } from './story/mail-threads.ts';
import { writeOrder, writeParagraph, writeProduct, writeSite } from './story/prose.ts';

export interface RenderedItem {
  readonly plan: ItemPlan;
  /** Undefined for paper, which has images only. */
  readonly native: Uint8Array | undefined;
  readonly mimeType: string;
  /** A PDF of a native that is none. */
  readonly rendition: Uint8Array | undefined;
  /** Page images: one file a page, or one for all. */
  readonly images: readonly Uint8Array[];
  /** Where the words stand, for items that are shown in pages. */
  readonly pages: readonly PageLayout[];
  /** Text, page by page; one element for an item without pages. */
  readonly text: readonly string[];
}

const mimeTypes = {
  mail: 'message/rfc822',
  pdf: 'application/pdf',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  csv: 'text/csv',
  txt: 'text/plain',
  photo: 'image/png',
  'scan-pdf': 'application/pdf',
  'scan-tiff': 'image/tiff',
  'scan-multi-tiff': 'image/tiff',
  'scan-png': 'image/png',
} as const satisfies Record<ItemPlan['kind'], string>;

const MAX_RENDITION_PAGES = 20;

const landscape: PageShape = { width: 792, height: 612, rotation: 0, cropped: 0 };
/** A quarter of a page: what people photograph. */
const snapshot: PageShape = { width: 306, height: 396, rotation: 0, cropped: 0 };

/** Most pages are upright; some are turned, some cut. */
const shapeOf = (random: Random): PageShape => {
  const draw = random.below(100);
  if (draw < 5) return { ...landscape, rotation: 90 };
  if (draw < 8) return { ...portrait, rotation: 180 };
  if (draw < 10) return { ...landscape, rotation: 270 };
  if (draw < 17) return { ...portrait, cropped: 24 };
  return portrait;
};

const heading = (plan: ItemPlan): readonly Paragraph[] => [
  { text: plan.title, face: 'bold', size: HEADING_SIZE },
  { text: `${plan.author.name}, ${plan.author.organization}, ${showTime(plan.created).slice(0, 10)}` },
];

/** Pages full of prose, the last one partly; each secret stands near the top of some page. */
const writePages = (plan: ItemPlan, random: Random, shapes: readonly PageShape[]): readonly PageLayout[] => {
  const waiting = new Map<number, Paragraph[]>([[0, [...heading(plan)]]]);
  for (const { sentence } of plan.secrets) {
    const at = random.below(plan.pages);
    waiting.set(at, [...(waiting.get(at) ?? []), { text: sentence }]);
  }
  let left = random.between(2, 6);
  return layOutPages(shapes, (pageIndex) => {
    const due = waiting.get(pageIndex)?.shift();
    if (due !== undefined) return due;
    if (pageIndex === plan.pages - 1) {
      if (left === 0) return undefined;
      left -= 1;
    }
    return { text: writeParagraph(plan.topic, random, random.between(3, 6)) };
  });
};

/** Paragraphs on as many pages as they need. */
const paginate = (paragraphs: readonly Paragraph[]): readonly PageLayout[] => {
  const rest = [...paragraphs];
  return layOutPages(Array<PageShape>(MAX_RENDITION_PAGES).fill(portrait), () => rest.shift()).filter(
    ({ lines }, at) => at === 0 || lines.length > 0,
  );
};

const mailParagraphs = (message: Message, attachments: readonly MailAttachment[]): readonly Paragraph[] => {
  const people = (label: string, list: Message['to']): string =>
    list.length === 0 ? '' : `\n${label}: ${list.map(showAddress).join('; ')}`;
  const header = `From: ${showAddress(message.from)}${people('To', message.to)}${people('Cc', message.cc)}\nSent: ${showTime(message.sentAt)} UTC${attachments.length === 0 ? '' : `\nAttachments: ${attachments.map(({ fileName }) => fileName).join('; ')}`}`;
  return [
    { text: message.subject, face: 'bold', size: HEADING_SIZE },
    { text: header },
    ...plainBody(message)
      .trimEnd()
      .split('\n\n')
      .map((text) => ({ text })),
  ];
};

const makeTable = (plan: ItemPlan, random: Random): Table => [
  ['Date', 'Order', 'Product', 'Site', 'Units', 'Amount', 'Remark'],
  ...Array.from({ length: random.between(8, 60) }, (_, at) => [
    showTime(plan.created + at * 86_400_000).slice(0, 10),
    writeOrder(random),
    writeProduct(random),
    writeSite(random),
    random.between(1, 400),
    random.between(100, 900_000) / 4,
    random.chance(0.2) ? writeParagraph(plan.topic, random, 1) : '',
  ]),
];

const join = (paragraphs: readonly Paragraph[]): string => paragraphs.map(({ text }) => text).join('\n\n');

/** Renders an item; `attachments` are those of a message, in order. */
export const renderItem = (
  plan: ItemPlan,
  glyphs: GlyphSet,
  attachments: readonly RenderedItem[] = [],
): RenderedItem => {
  const draw = (page: PageLayout, at: number): PageBitmap => drawPage(page, glyphs, `${plan.key}/${at}`);
  const random = new Random(plan.key, 'content');
  const none = { plan, mimeType: mimeTypes[plan.kind], rendition: undefined, images: [], pages: [] } as const;
  const info = { title: plan.title, author: plan.author.name, created: plan.created, modified: plan.modified };
  switch (plan.kind) {
    case 'mail': {
      const { message } = plan;
      if (message === undefined) return { ...none, native: new Uint8Array(0), text: [''] };
      const files = attachments.map(({ plan: { fileName }, mimeType, native = new Uint8Array(0) }) => ({
        fileName,
        mimeType,
        bytes: native,
      }));
      const paragraphs = mailParagraphs(message, files);
      const native = writeEml(message, files);
      if (!plan.rendition) return { ...none, native, text: [join(paragraphs)] };
      const pages = paginate(paragraphs);
      return { ...none, native, pages, rendition: writeTextPdf(pages, info), text: pages.map(pageTextOf) };
    }
    case 'pdf': {
      const pages = writePages(
        plan,
        random,
        Array.from({ length: plan.pages }, () => shapeOf(random)),
      );
      return { ...none, native: writeTextPdf(pages, info), pages, text: pages.map(pageTextOf) };
    }
    case 'docx': {
      const paragraphs = [
        ...heading(plan),
        ...plan.secrets.map(({ sentence }) => ({ text: sentence })),
        ...Array.from({ length: plan.pages * random.between(4, 7) }, () => ({
          text: writeParagraph(plan.topic, random, random.between(3, 6)),
        })),
      ];
      const native = writeDocx(
        paragraphs.map(({ text }, at) => ({ text, bold: at === 0 })),
        info,
      );
      if (!plan.rendition) return { ...none, native, text: [join(paragraphs)] };
      const pages = paginate(paragraphs);
      return { ...none, native, pages, rendition: writeTextPdf(pages, info), text: pages.map(pageTextOf) };
    }
    case 'xlsx':
    case 'csv': {
      const table = makeTable(plan, random);
      return {
        ...none,
        native: plan.kind === 'csv' ? writeCsv(table) : writeXlsx(table, info),
        text: [tableText(table)],
      };
    }
    case 'txt': {
      const paragraphs = [
        ...heading(plan),
        ...Array.from({ length: random.between(2, 8) }, () => ({
          text: writeParagraph(plan.topic, random, random.between(2, 5)),
        })),
      ];
      const text = `${join(paragraphs)}\n`;
      return { ...none, native: Buffer.from(text), text: [text.trimEnd()] };
    }
    case 'photo': {
      const pages = writePages({ ...plan, secrets: [] }, random, [snapshot]);
      const [image] = pages.map(draw);
      if (image === undefined) return { ...none, native: new Uint8Array(0), text: [''] };
      return { ...none, native: writePng(image), text: pages.map(pageTextOf) };
    }
    case 'scan-pdf':
    case 'scan-tiff':
    case 'scan-multi-tiff':
    case 'scan-png': {
      const pages = writePages(plan, random, Array<PageShape>(plan.pages).fill(portrait));
      const drawn = pages.map(draw);
      const text = pages.map(pageTextOf);
      switch (plan.kind) {
        case 'scan-pdf': {
          const native = writeImagePdf(
            pages.flatMap((layout, at) => {
              const image = drawn[at];
              return image === undefined ? [] : [{ layout, image }];
            }),
            { ...info, textLayer: random.chance(0.5) },
          );
          return { ...none, native, pages, text };
        }
        case 'scan-tiff':
          return { ...none, native: undefined, images: drawn.map((image) => writeTiff([image])), pages, text };
        case 'scan-multi-tiff':
          return { ...none, native: undefined, images: [writeTiff(drawn)], pages, text };
        case 'scan-png':
          return { ...none, native: undefined, images: drawn.map(writePng), pages, text };
      }
    }
  }
};
