/**
 * The pages of a file, in order, with what they inherit (ISO 32000-2, 7.7.3).
 *
 * - Cycles and excessive depth in the tree end the walk with `pdf_damaged`.
 */
import { CaseboundError } from '@casebound/contract';
import { type Box, createGeometry, type PageGeometry, type Rotation } from '../geometry.ts';
import type { CosFile } from './cos-file.ts';
import { type CosDict, type CosObject, type CosRef, emptyDict, isKind, isName } from './objects.ts';

export interface CosPage {
  readonly ref: CosRef;
  readonly dict: CosDict;
  readonly resources: CosDict;
  readonly geometry: PageGeometry;
}

const MAX_TREE_DEPTH = 64;

type Inherited = Readonly<Record<'Resources' | 'MediaBox' | 'CropBox' | 'Rotate', CosObject | undefined>>;

/** A rectangle of four numbers with its corners put in order; undefined when it is none, or empty. */
export const readBox = (file: CosFile, object: CosObject | undefined): Box | undefined => {
  const numbers = file.array(object)?.items.map((item) => file.resolve(item));
  const [a, b, c, d] = numbers ?? [];
  if (typeof a !== 'number' || typeof b !== 'number' || typeof c !== 'number' || typeof d !== 'number')
    return undefined;
  const box = { left: Math.min(a, c), bottom: Math.min(b, d), right: Math.max(a, c), top: Math.max(b, d) };
  return box.right > box.left && box.top > box.bottom ? box : undefined;
};

/** The visible box as PDFium takes it: the crop box cut by the media box, US Letter where there is none. */
const visibleBox = (file: CosFile, inherited: Inherited): Box => {
  const media = readBox(file, inherited.MediaBox) ?? { left: 0, bottom: 0, right: 612, top: 792 };
  const crop = readBox(file, inherited.CropBox);
  if (crop === undefined) return media;
  const cut = {
    left: Math.max(media.left, crop.left),
    bottom: Math.max(media.bottom, crop.bottom),
    right: Math.min(media.right, crop.right),
    top: Math.min(media.top, crop.top),
  };
  return cut.right > cut.left && cut.top > cut.bottom ? cut : media;
};

const readRotation = (file: CosFile, object: CosObject | undefined): Rotation => {
  const value = file.resolve(object);
  const quarter = typeof value === 'number' ? ((Math.trunc(value / 90) % 4) + 4) % 4 : 0;
  return quarter === 1 ? 90 : quarter === 2 ? 180 : quarter === 3 ? 270 : 0;
};

/** All pages. Throws `pdf_damaged`. */
export const readPages = (file: CosFile): readonly CosPage[] => {
  const pages: CosPage[] = [];
  const seen = new Set<number>();
  const walk = (object: CosObject | undefined, inherited: Inherited, depth: number): void => {
    if (!isKind(object, 'ref')) return;
    if (depth > MAX_TREE_DEPTH || seen.has(object.number))
      throw new CaseboundError('pdf_damaged', 'The page tree refers to itself.');
    seen.add(object.number);
    const node = file.dict(object);
    if (node === undefined) return;
    const own: Inherited = {
      Resources: node.entries.get('Resources') ?? inherited.Resources,
      MediaBox: node.entries.get('MediaBox') ?? inherited.MediaBox,
      CropBox: node.entries.get('CropBox') ?? inherited.CropBox,
      Rotate: node.entries.get('Rotate') ?? inherited.Rotate,
    };
    const kids = file.array(node.entries.get('Kids'));
    if (kids !== undefined && !isName(file.resolve(node.entries.get('Type')), 'Page')) {
      for (const kid of kids.items) walk(kid, own, depth + 1);
      return;
    }
    pages.push({
      ref: object,
      dict: node,
      resources: file.dict(own.Resources) ?? emptyDict,
      geometry: createGeometry(visibleBox(file, own), readRotation(file, own.Rotate)),
    });
    if (pages.length > file.limits.maxPages)
      throw new CaseboundError('pdf_too_large', `The PDF has more than ${file.limits.maxPages} pages.`);
  };
  const none: Inherited = { Resources: undefined, MediaBox: undefined, CropBox: undefined, Rotate: undefined };
  walk(file.dict(file.catalogRef)?.entries.get('Pages'), none, 0);
  if (pages.length === 0) throw new CaseboundError('pdf_damaged', 'The PDF has no pages.');
  return pages;
};
