/**
 * Appearance streams of annotations (ISO 32000-2, 12.5.5), drawn upright for the reader whatever the rotation of the page.
 *
 * - A form is drawn in local coordinates: `width` x `height` as displayed, origin at the bottom left, y upwards.
 */
import type { CosFile } from '../cos/cos-file.ts';
import {
  array,
  type CosDict,
  type CosObject,
  type CosRef,
  dict,
  emptyDict,
  name,
  withEntries,
} from '../cos/objects.ts';
import { readBox } from '../cos/page-tree.ts';
import { formatName, formatNumber } from '../cos/serialize.ts';
import { type Box, type Matrix, type Rect, type Rotation, transformBox } from '../geometry.ts';
import { formMatrix } from '../redact/rewrite-content.ts';
import { standardFont, type StandardFontName } from '../stamps/standard-font.ts';

export type Color = readonly [number, number, number];

/** `#RRGGBB` as three shares of 1. */
export const parseColor = (text: string): Color => [
  Number.parseInt(text.slice(1, 3), 16) / 255,
  Number.parseInt(text.slice(3, 5), 16) / 255,
  Number.parseInt(text.slice(5, 7), 16) / 255,
];

const ink = (color: Color): string => color.map(formatNumber).join(' ');

/** Turns the form against the page, so that it stands upright. */
const upright: Readonly<Record<Rotation, Matrix>> = {
  0: [1, 0, 0, 1, 0, 0],
  90: [0, 1, -1, 0, 0, 0],
  180: [-1, 0, 0, -1, 0, 0],
  270: [0, -1, 1, 0, 0, 0],
};

export interface FormInput {
  readonly width: number;
  readonly height: number;
  readonly rotation: Rotation;
  readonly operators: string;
  readonly resources?: CosDict;
  readonly opacity?: number;
  readonly multiply?: boolean;
}

/** Adds a form XObject; opacity and blending are set within it. */
export const addForm = (file: CosFile, form: FormInput): CosRef => {
  const opacity = form.opacity ?? 1;
  let resources = form.resources ?? emptyDict;
  let operators = form.operators;
  const blended = opacity < 1 || form.multiply === true;
  if (blended) {
    const state = file.shared(`state ${opacity} ${form.multiply === true}`, () =>
      dict({
        Type: name('ExtGState'),
        ca: opacity,
        CA: opacity,
        BM: name(form.multiply === true ? 'Multiply' : 'Normal'),
      }),
    );
    resources = withEntries(resources, { ExtGState: dict({ G0: state }) });
    operators = `/G0 gs\n${operators}`;
  }
  const create = (): CosRef =>
    file.addStream(
      dict({
        Type: name('XObject'),
        Subtype: name('Form'),
        BBox: array([0, 0, form.width, form.height]),
        Matrix: array([...upright[form.rotation]]),
        Resources: resources,
      }),
      Buffer.from(operators, 'latin1'),
    );
  // Ten thousand notes look alike: they share one form.
  return form.resources === undefined
    ? file.sharedRef(`form ${form.width} ${form.height} ${form.rotation} ${operators} ${opacity}`, create)
    : create();
};

/** The operators that draw a form so that it fills `target` (user space), as viewers place appearances (12.5.5, algorithm). */
export const placeForm = (file: CosFile, form: CosObject, target: Box): Matrix | undefined => {
  const formDict = file.stream(form)?.dict;
  const box = readBox(file, formDict?.entries.get('BBox'));
  if (formDict === undefined || box === undefined) return undefined;
  const bounds = transformBox(formMatrix(file, formDict), box);
  const width = bounds.right - bounds.left;
  const height = bounds.top - bounds.bottom;
  if (!(width > 0 && height > 0)) return undefined;
  const scaleX = (target.right - target.left) / width;
  const scaleY = (target.top - target.bottom) / height;
  return [scaleX, 0, 0, scaleY, target.left - bounds.left * scaleX, target.bottom - bounds.bottom * scaleY];
};

/** Rects relative to their bounding box, as local boxes. */
export const drawRects = (rects: readonly Rect[], bounds: Rect, color: Color): string =>
  `${ink(color)} rg\n${rects
    .map(
      ({ left, top, width, height }) =>
        `${formatNumber(left - bounds.left)} ${formatNumber(bounds.height - (top - bounds.top) - height)} ${formatNumber(width)} ${formatNumber(height)} re`,
    )
    .join('\n')}\nf`;

/** A sheet with three lines. */
export const drawNoteIcon = (width: number, height: number, color: Color): string => {
  const x = (share: number): string => formatNumber(width * share);
  const y = (share: number): string => formatNumber(height * share);
  return [
    `${ink(color)} rg 0.2 G 0.75 w`,
    `${x(0.08)} ${y(0.08)} ${x(0.84)} ${y(0.84)} re B`,
    ...[0.7, 0.5, 0.3].map((line) => `${x(0.22)} ${y(line)} m ${x(0.78)} ${y(line)} l S`),
  ].join('\n');
};

export interface TextBox {
  readonly text: string;
  readonly width: number;
  readonly height: number;
  readonly fontSize: number;
  readonly font: StandardFontName;
  readonly color: Color;
  readonly background: Color | undefined;
  readonly horizontal: 'left' | 'center' | 'right';
  readonly vertical: 'top' | 'center' | 'bottom';
  readonly padding: number;
}

const LEADING = 1.2;

/** Breaks text at spaces so that each line fits. */
const wrap = (text: string, available: number, measure: (line: string) => number): readonly string[] =>
  text.split(/\r\n|\r|\n/).flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(' ')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (line !== '' && measure(longer) > available) {
        lines.push(line);
        line = word;
      } else line = longer;
    }
    lines.push(line);
    return lines;
  });

/** Draws wrapped text with the font `F0`. Throws `stamp_invalid` for characters that the font lacks. */
export const drawTextBox = (box: TextBox): string => {
  const font = standardFont(box.font);
  const measure = (line: string): number => font.width(font.encode(line)) * box.fontSize;
  const lines = wrap(box.text, box.width - 2 * box.padding + 0.01, measure);
  const total = lines.length * box.fontSize * LEADING;
  const top =
    box.vertical === 'top'
      ? box.height - box.padding
      : box.vertical === 'bottom'
        ? total + box.padding
        : (box.height + total) / 2;
  const size = formatNumber(box.fontSize);
  const background =
    box.background === undefined
      ? ''
      : `${ink(box.background)} rg 0 0 ${formatNumber(box.width)} ${formatNumber(box.height)} re f\n`;
  const shown = lines.map((line, at) => {
    const bytes = font.encode(line);
    const length = font.width(bytes) * box.fontSize;
    const x =
      box.horizontal === 'left'
        ? box.padding
        : box.horizontal === 'right'
          ? box.width - box.padding - length
          : (box.width - length) / 2;
    const y = top - at * box.fontSize * LEADING - box.fontSize * ((LEADING - 1) / 2 + font.ascent);
    return `1 0 0 1 ${formatNumber(x)} ${formatNumber(y)} Tm ${font.format(bytes)} Tj`;
  });
  return `${background}${ink(box.color)} rg BT ${formatName('F0')} ${size} Tf\n${shown.join('\n')}\nET`;
};
