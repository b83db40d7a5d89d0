/** Removes, replaces and flattens annotations that a document has. */
import { CaseboundError } from '@casebound/contract';
import { type CosDict, type CosObject, isKind, isName } from '../cos/objects.ts';
import { readBox } from '../cos/page-tree.ts';
import { formatName, formatNumber } from '../cos/serialize.ts';
import { decodeText } from '../cos/text-string.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { PageEdit } from '../edit/page-edit.ts';
import { addAnnotations } from './add-annotations.ts';
import { placeForm } from './appearance.ts';
import type { InstantJson } from './instant-json.ts';
import { readAnnotations } from './read-annotations.ts';

/** Subtypes that are part of the document itself, not work product upon it. */
const documentParts: ReadonlySet<string> = new Set(['Link', 'Widget', 'PrinterMark', 'TrapNet', 'Popup']);

const HIDDEN = 2;
const NO_VIEW = 32;

const idOf = (edit: DocumentEdit, page: PageEdit, object: CosObject, at: number): string => {
  const id = edit.file.resolve(edit.file.dict(object)?.entries.get('NM'));
  return isKind(id, 'string')
    ? decodeText(id.bytes)
    : `p${page.index}-${isKind(object, 'ref') ? object.number : `a${at}`}`;
};

const subtypeOf = (edit: DocumentEdit, dict: CosDict | undefined): string => {
  const subtype = edit.file.resolve(dict?.entries.get('Subtype'));
  return isKind(subtype, 'name') ? subtype.name : '';
};

/**
 * Removes annotations by id, with the comments on them. Comments are removed by their own ids too.
 * Throws `annotation_not_found`, and then removes nothing.
 */
export const removeAnnotationsById = (edit: DocumentEdit, ids: Iterable<string>): number => {
  const wanted = new Set(ids);
  const missing = new Set(wanted);
  const gone = new Set<CosObject>();
  const goneNumbers = new Set<number>();
  for (const page of edit.pages())
    page.annotations().forEach((object, at) => {
      const id = idOf(edit, page, object, at);
      if (!wanted.has(id)) return;
      missing.delete(id);
      gone.add(object);
      if (isKind(object, 'ref')) goneNumbers.add(object.number);
    });
  const [first] = missing;
  if (first !== undefined)
    throw new CaseboundError('annotation_not_found', `The document has no annotation with the id \`${first}\`.`);
  let removed = 0;
  for (const page of edit.pages()) {
    const before = page.annotations();
    const left = before.filter((object) => {
      if (gone.has(object)) return false;
      const dict = edit.file.dict(object);
      const owner =
        dict?.entries.get('IRT') ?? (subtypeOf(edit, dict) === 'Popup' ? dict?.entries.get('Parent') : undefined);
      return !(isKind(owner, 'ref') && goneNumbers.has(owner.number));
    });
    removed += before.length - left.length;
    if (left.length < before.length) page.setAnnotations(left);
  }
  return removed;
};

/**
 * Replaces annotations by those with the same ids. Comments on them are kept unless the input brings comments for the same root.
 * Throws what `addAnnotations` throws, and `annotation_not_found`.
 */
export const replaceAnnotations = (edit: DocumentEdit, json: InstantJson): void => {
  const present = readAnnotations(edit);
  const replaced = new Set(json.annotations.map(({ id }) => id));
  const rooted = new Set(json.comments.map(({ rootId }) => rootId));
  const comments = [
    ...json.comments,
    ...present.comments.filter(({ rootId }) => replaced.has(rootId) && !rooted.has(rootId)),
  ];
  removeAnnotationsById(edit, replaced);
  addAnnotations(edit, { ...json, comments });
};

/** The normal appearance of an annotation, for its present state. */
const appearanceOf = (edit: DocumentEdit, dict: CosDict): CosObject | undefined => {
  const normal = edit.file.dict(dict.entries.get('AP'))?.entries.get('N');
  if (edit.file.stream(normal) !== undefined) return normal;
  const state = edit.file.resolve(dict.entries.get('AS'));
  return isKind(state, 'name') ? edit.file.dict(normal)?.entries.get(state.name) : undefined;
};

/**
 * Burns annotations into their pages: their appearance becomes content, comments and pop-ups go. `include` chooses by subtype;
 * by default all but links and form fields. Annotations without an appearance stay, and their number is returned.
 */
export const flattenAnnotations = (
  edit: DocumentEdit,
  include: (subtype: string) => boolean = (subtype) => !documentParts.has(subtype),
): { readonly flattened: number; readonly left: number } => {
  let flattened = 0;
  let left = 0;
  const gone = new Set<number>();
  for (const page of edit.pages()) {
    const kept: CosObject[] = [];
    for (const object of page.annotations()) {
      const dict = edit.file.dict(object);
      const subtype = subtypeOf(edit, dict);
      if (dict === undefined || subtype === 'Popup' || !include(subtype)) {
        kept.push(object);
        continue;
      }
      const flags = edit.file.resolve(dict.entries.get('F'));
      const invisible = typeof flags === 'number' && (flags & (HIDDEN | NO_VIEW)) !== 0;
      const appearance = appearanceOf(edit, dict);
      const box = readBox(edit.file, dict.entries.get('Rect'));
      if (!invisible && (appearance === undefined || box === undefined)) {
        kept.push(object);
        left += 1;
        continue;
      }
      if (!invisible && appearance !== undefined && box !== undefined) {
        const matrix = placeForm(edit.file, appearance, box);
        const form = isKind(appearance, 'ref') ? appearance : edit.file.add(appearance);
        const key = page.addResource('XObject', 'CBa', form);
        if (matrix !== undefined) page.draw(`q ${matrix.map(formatNumber).join(' ')} cm ${formatName(key)} Do Q`);
      }
      flattened += 1;
      if (isKind(object, 'ref')) gone.add(object.number);
    }
    const without = kept.filter((object) => {
      const dict = edit.file.dict(object);
      const owner =
        dict?.entries.get('IRT') ??
        dict?.entries.get(isName(edit.file.resolve(dict.entries.get('Subtype')), 'Popup') ? 'Parent' : 'IRT');
      return !(isKind(owner, 'ref') && gone.has(owner.number));
    });
    if (without.length < page.annotations().length) page.setAnnotations(without);
  }
  return { flattened, left };
};
