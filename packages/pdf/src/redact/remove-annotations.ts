/**
 * Removes annotations and form fields that meet a redaction.
 *
 * - A field goes with all of its widgets: another widget of it would show the same value.
 * - Replies and pop-ups of a removed annotation go with it.
 */
import { decodeText } from '../cos/text-string.ts';
import { array, type CosDict, type CosObject, isKind, isName, withEntries } from '../cos/objects.ts';
import { readBox } from '../cos/page-tree.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { PageEdit } from '../edit/page-edit.ts';
import { type Box, inset, overlaps } from '../geometry.ts';

/** Annotations often touch the line above or below; an overlap of a point says nothing. */
const EDGE = 1;

const textKeys = ['Contents', 'V', 'DV', 'TU', 'RC'] as const;

export interface AnnotationRemoval {
  readonly count: number;
  /** What they said. */
  readonly texts: readonly string[];
}

const numberOf = (object: CosObject): number => (isKind(object, 'ref') ? object.number : -1);

/** The objects of the field that a widget belongs to: the widget, or its parent with all kids. */
const fieldOf = (edit: DocumentEdit, widget: CosObject): readonly number[] => {
  const dict = edit.file.dict(widget);
  if (dict === undefined || !isName(edit.file.resolve(dict.entries.get('Subtype')), 'Widget'))
    return [numberOf(widget)];
  const parent = dict.entries.get('Parent');
  if (dict.entries.has('T') || !isKind(parent, 'ref')) return [numberOf(widget)];
  const kids = edit.file.array(edit.file.dict(parent)?.entries.get('Kids'))?.items ?? [];
  return [parent.number, numberOf(widget), ...kids.map(numberOf)];
};

/** Takes objects out of the tree of fields; a field that loses all of its kids goes too. */
const removeFields = (edit: DocumentEdit, gone: ReadonlySet<number>): void => {
  const { file } = edit;
  const catalog = file.dict(file.catalogRef);
  const form = file.dict(catalog?.entries.get('AcroForm'));
  if (catalog === undefined || form === undefined) return;
  const seen = new Set<number>();
  const filter = (items: readonly CosObject[]): readonly CosObject[] =>
    items.filter((item) => {
      if (!isKind(item, 'ref')) return true;
      if (gone.has(item.number)) return false;
      if (seen.has(item.number)) return true;
      seen.add(item.number);
      const field = file.dict(item);
      const kids = file.array(field?.entries.get('Kids'))?.items;
      if (field === undefined || kids === undefined) return true;
      const left = filter(kids);
      if (left.length === 0) return false;
      if (left.length < kids.length) file.replace(item, withEntries(field, { Kids: array(left) }));
      return true;
    });
  const fields = filter(file.array(form.entries.get('Fields'))?.items ?? []);
  const order = file.array(form.entries.get('CO'))?.items.filter((item) => !gone.has(numberOf(item)));
  const updated = withEntries(form, { Fields: array(fields), CO: order === undefined ? undefined : array(order) });
  file.replace(file.catalogRef, withEntries(catalog, { AcroForm: updated }));
};

const collectTexts = (edit: DocumentEdit, dict: CosDict, texts: string[]): void => {
  for (const key of textKeys) {
    const value = edit.file.resolve(dict.entries.get(key));
    if (isKind(value, 'string')) texts.push(decodeText(value.bytes));
  }
};

/** Removes everything on the page that meets an area. */
export const removeAnnotations = (edit: DocumentEdit, page: PageEdit, areas: readonly Box[]): AnnotationRemoval => {
  const { file } = edit;
  const inner = areas.map((area) => inset(area, EDGE));
  const gone = new Set<number>();
  const direct = new Set<CosObject>();
  const texts: string[] = [];
  const annotations = page.annotations();
  for (const annotation of annotations) {
    const dict = file.dict(annotation);
    const box = readBox(file, dict?.entries.get('Rect'));
    if (dict === undefined || box === undefined || !inner.some((area) => overlaps(area, box))) continue;
    if (isName(file.resolve(dict.entries.get('Subtype')), 'Popup')) {
      gone.add(numberOf(annotation));
      continue;
    }
    if (isKind(annotation, 'ref')) for (const number of fieldOf(edit, annotation)) gone.add(number);
    else direct.add(annotation);
  }
  if (gone.size === 0 && direct.size === 0) return { count: 0, texts };
  // Replies, and pop-ups, follow what they belong to; a thread may be nested.
  for (let before = -1; before !== gone.size;) {
    before = gone.size;
    for (const annotation of annotations) {
      const dict = file.dict(annotation);
      for (const key of ['IRT', 'Parent'] as const) {
        const target = dict?.entries.get(key);
        const isPopup = isName(file.resolve(dict?.entries.get('Subtype')), 'Popup');
        if (isKind(target, 'ref') && gone.has(target.number) && (key === 'IRT' || isPopup))
          gone.add(numberOf(annotation));
      }
    }
  }
  gone.delete(-1);
  let count = direct.size;
  for (const other of edit.pages()) {
    const before = other.annotations();
    const left = before.filter((annotation) => !gone.has(numberOf(annotation)) && !direct.has(annotation));
    if (left.length === before.length) continue;
    for (const annotation of before) {
      const dict = file.dict(annotation);
      if (left.includes(annotation) || dict === undefined) continue;
      collectTexts(edit, dict, texts);
      const parent = file.dict(dict.entries.get('Parent'));
      if (parent !== undefined) collectTexts(edit, parent, texts);
      if (!direct.has(annotation)) count += 1;
    }
    other.setAnnotations(left);
    other.commit();
  }
  removeFields(edit, gone);
  return { count, texts };
};
