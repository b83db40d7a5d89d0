/**
 * Text stamps: Bates numbers, confidentiality designations, anything in a corner of each page. The text is real text and can be selected.
 *
 * - A stamp stands upright for the reader, whatever the rotation of the page.
 * - With `extendPage` the page grows by a strip at the top or bottom for the stamps, so that they cover nothing; several stamps on one
 *   side share the strip.
 */
import { CaseboundError } from '@casebound/contract';
import { array } from '../cos/objects.ts';
import { formatName, formatNumber } from '../cos/serialize.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { PageEdit } from '../edit/page-edit.ts';
import { type Box, createGeometry, type PageGeometry, type Rect, rectToBox, toUser } from '../geometry.ts';
import { standardFont, type StandardFontName } from './standard-font.ts';

export type StampAnchor = 'top-left' | 'top-center' | 'top-right' | 'bottom-left' | 'bottom-center' | 'bottom-right';

export const stampAnchors: readonly StampAnchor[] = [
  'top-left',
  'top-center',
  'top-right',
  'bottom-left',
  'bottom-center',
  'bottom-right',
];

export interface Stamp {
  readonly anchor: StampAnchor;
  /** One line: the same on every page, by page index, or a function of it. Nothing is drawn for an empty text, or for none. */
  readonly text: string | readonly string[] | ((pageIndex: number) => string);
  readonly font?: StandardFontName;
  /** Points; 10 by default. Shrunk where the text is wider than the page. */
  readonly fontSize?: number;
  /** `#RRGGBB`; black by default. */
  readonly color?: string;
  /** `#RRGGBB` behind the text; none by default. */
  readonly background?: string;
  /** Distance from the edges of the page; 18 by default. */
  readonly margin?: number;
  /** Pages by index; all by default. */
  readonly pages?: readonly number[];
}

export interface StampOptions {
  /** Add a strip to the page instead of drawing over it. */
  readonly extendPage?: boolean;
}

/** Where a stamp was drawn, display space of the page after any extension. */
export interface DrawnStamp {
  readonly pageIndex: number;
  readonly text: string;
  readonly rect: Rect;
  /** Whether a background was drawn behind the text. */
  readonly drawing: boolean;
}

const DEFAULT_SIZE = 10;
const DEFAULT_MARGIN = 18;
const PADDING = 2;
const MIN_SIZE = 3;

const colorOperands = (what: string, text: string): string => {
  if (!/^#[0-9A-Fa-f]{6}$/.test(text))
    throw new CaseboundError('stamp_invalid', `The ${what} of a stamp has the form #RRGGBB; this is \`${text}\`.`);
  return [1, 3, 5].map((at) => formatNumber(Number.parseInt(text.slice(at, at + 2), 16) / 255)).join(' ');
};

const check = (stamp: Stamp): void => {
  const { fontSize = DEFAULT_SIZE, margin = DEFAULT_MARGIN } = stamp;
  if (!stampAnchors.includes(stamp.anchor))
    throw new CaseboundError(
      'stamp_invalid',
      `The position of a stamp is one of ${stampAnchors.join(', ')}; this is \`${stamp.anchor}\`.`,
    );
  if (!Number.isFinite(fontSize) || fontSize < MIN_SIZE || fontSize > 200)
    throw new CaseboundError(
      'stamp_invalid',
      `The font size of a stamp is between ${MIN_SIZE} and 200; this is ${fontSize}.`,
    );
  if (!Number.isFinite(margin) || margin < 0 || margin > 1000)
    throw new CaseboundError('stamp_invalid', `The margin of a stamp is between 0 and 1000; this is ${margin}.`);
};

const textOn = ({ text }: Stamp, pageIndex: number): string => {
  if (typeof text === 'string') return text;
  return typeof text === 'function' ? text(pageIndex) : (text[pageIndex] ?? '');
};

const stripHeight = (stamps: readonly Stamp[]): number =>
  Math.max(0, ...stamps.map(({ fontSize = DEFAULT_SIZE }) => fontSize * 1.2 + 2 * PADDING + 4));

/** Grows the visible box by strips at the displayed top and bottom. */
const extend = (page: PageEdit, top: number, bottom: number): PageGeometry => {
  const { geometry } = page;
  const box: Box = rectToBox(geometry, {
    left: 0,
    top: -top,
    width: geometry.width,
    height: geometry.height + top + bottom,
  });
  const items = array([box.left, box.bottom, box.right, box.top]);
  page.setEntries({ MediaBox: items, CropBox: items, BleedBox: undefined, TrimBox: undefined, ArtBox: undefined });
  const grown = createGeometry(box, geometry.rotation);
  page.setGeometry(grown);
  return grown;
};

const drawStamp = (
  page: PageEdit,
  stamp: Stamp,
  text: string,
  margin: number,
  edge: number,
): DrawnStamp | undefined => {
  const font = standardFont(stamp.font ?? 'Helvetica');
  const bytes = font.encode(text);
  const unit = font.width(bytes);
  if (unit === 0) return undefined;
  const { geometry } = page;
  const available = Math.max(geometry.width - 2 * margin - 2 * PADDING, 1);
  const size = Math.max(MIN_SIZE, Math.min(stamp.fontSize ?? DEFAULT_SIZE, available / unit));
  const width = unit * size + 2 * PADDING;
  const height = size * (font.ascent - font.descent) + 2 * PADDING;
  const left = stamp.anchor.endsWith('left')
    ? margin
    : stamp.anchor.endsWith('right')
      ? geometry.width - margin - width
      : (geometry.width - width) / 2;
  const top = stamp.anchor.startsWith('top') ? edge : geometry.height - edge - height;
  const key = formatName(page.addResource('Font', 'CBs', font.resource(page.file)));
  const background =
    stamp.background === undefined
      ? ''
      : `${colorOperands('background', stamp.background)} rg ${[left, top, width, height].map(formatNumber).join(' ')} re f\n`;
  const baseline = top + PADDING + size * font.ascent;
  page.draw(
    `q ${toUser(geometry).map(formatNumber).join(' ')} cm\n${background}${colorOperands('colour', stamp.color ?? '#000000')} rg\n` +
      `BT ${key} ${formatNumber(size)} Tf 1 0 0 -1 ${formatNumber(left + PADDING)} ${formatNumber(baseline)} Tm ${font.format(bytes)} Tj ET Q`,
  );
  return {
    pageIndex: page.index,
    text,
    rect: { left, top, width, height },
    drawing: stamp.background !== undefined,
  };
};

/** Whether one of the stamps may be drawn over the area (display space). May say so of one that is narrower than the page. */
export const mayMeet = (page: PageEdit, area: Rect, stamps: readonly Stamp[], options: StampOptions = {}): boolean =>
  options.extendPage !== true &&
  stamps.some(({ anchor, pages, fontSize = DEFAULT_SIZE, margin = DEFAULT_MARGIN }) => {
    if (pages !== undefined && !pages.includes(page.index)) return false;
    const reach = margin + fontSize * 1.5 + 2 * PADDING;
    return anchor.startsWith('top') ? area.top < reach : area.top + area.height > page.geometry.height - reach;
  });

/** Draws stamps on pages. Throws `stamp_invalid`, `pdf_page_out_of_range`. */
export const stampPages = (
  edit: DocumentEdit,
  stamps: readonly Stamp[],
  options: StampOptions = {},
): readonly DrawnStamp[] => {
  for (const stamp of stamps) {
    check(stamp);
    for (const pageIndex of stamp.pages ?? []) edit.page(pageIndex);
  }
  const drawn: DrawnStamp[] = [];
  for (const page of edit.pages()) {
    const own = stamps.flatMap((stamp) => {
      if (stamp.pages !== undefined && !stamp.pages.includes(page.index)) return [];
      const text = textOn(stamp, page.index);
      return text === '' ? [] : [{ stamp, text }];
    });
    if (own.length === 0) continue;
    if (options.extendPage === true) {
      const of = (side: string): readonly Stamp[] =>
        own.flatMap(({ stamp }) => (stamp.anchor.startsWith(side) ? [stamp] : []));
      extend(page, stripHeight(of('top')), stripHeight(of('bottom')));
    }
    for (const { stamp, text } of own) {
      const margin = stamp.margin ?? DEFAULT_MARGIN;
      // Within a strip the margin holds at the sides only.
      const result = drawStamp(page, stamp, text, margin, options.extendPage === true ? PADDING : margin);
      if (result !== undefined) drawn.push(result);
    }
  }
  return drawn;
};
