/**
 * Removes what a document says about itself outside its pages, and every repetition there of what was redacted.
 *
 * - Gone altogether: Info, XMP and other metadata streams, private application data, thumbnails, embedded files, scripts,
 *   XFA, article threads, digital-signature stores, page and document actions.
 * - Alternate text of structure elements whose content was redacted goes, up to the root.
 * - Any other string (outline titles, names, labels, form values, comments) that holds a removed term becomes `[redacted]`.
 */
import { array, type CosDict, type CosObject, emptyDict, isKind, isName, withEntries } from '../cos/objects.ts';
import { instantTexts } from '../annotations/instant-json.ts';
import { decodeText, encodeText } from '../cos/text-string.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import type { Box } from '../geometry.ts';
import { readRemainingWords } from './remaining-words.ts';
import type { TermMatcher } from './removed-text.ts';

const catalogKeys = [
  'AA',
  'AF',
  'Collection',
  'DSS',
  'Legal',
  'Metadata',
  'Perms',
  'PieceInfo',
  'SpiderInfo',
  'Threads',
  'URI',
  'DPartRoot',
];
const nameTrees = ['EmbeddedFiles', 'JavaScript', 'AlternatePresentations', 'Renditions', 'Templates', 'IDS', 'URLS'];
const pageKeys = ['AA', 'AF', 'B', 'Metadata', 'PieceInfo', 'Thumb', 'SeparationInfo', 'ID'];
const anywhereKeys = ['Metadata', 'PieceInfo', 'AF', 'OPI'];

/** Strings that are not text: tables of colour spaces, character sets, digests, default appearances. */
export const binaryKeys: ReadonlySet<string> = new Set([
  'CharSet',
  'Registry',
  'Ordering',
  'DA',
  'CheckSum',
  'Lookup',
  'Panose',
]);

export const REPLACEMENT = '[redacted]';

const without = (base: CosDict, keys: readonly string[]): CosDict => {
  const present = keys.filter((key) => base.entries.has(key));
  return present.length === 0 ? base : withEntries(base, Object.fromEntries(present.map((key) => [key, undefined])));
};

/** Removes metadata and everything else that pages do not show; used by redaction and by itself. */
export const scrubMetadata = (edit: DocumentEdit): void => {
  const { file } = edit;
  file.info = null;
  const catalog = file.dict(file.catalogRef);
  if (catalog !== undefined) {
    let scrubbed = without(catalog, catalogKeys);
    const names = file.dict(scrubbed.entries.get('Names'));
    if (names !== undefined) scrubbed = withEntries(scrubbed, { Names: without(names, nameTrees) });
    const form = file.dict(scrubbed.entries.get('AcroForm'));
    if (form !== undefined) scrubbed = withEntries(scrubbed, { AcroForm: without(form, ['XFA']) });
    const action = file.dict(scrubbed.entries.get('OpenAction'));
    if (action !== undefined && !isName(file.resolve(action.entries.get('S')), 'GoTo'))
      scrubbed = withEntries(scrubbed, { OpenAction: undefined });
    file.replace(file.catalogRef, scrubbed);
  }
  for (const page of edit.pages()) {
    page.setEntries(Object.fromEntries(pageKeys.map((key) => [key, undefined])));
    const annotations = page.annotations();
    const kept = annotations.filter(
      (annotation) => !isName(file.resolve(file.dict(annotation)?.entries.get('Subtype')), 'FileAttachment'),
    );
    if (kept.length < annotations.length) page.setAnnotations(kept);
    page.commit();
  }
};

const isIndexed = (items: readonly CosObject[]): boolean => isName(items[0], 'Indexed') || isName(items[0], 'I');

export interface ScrubInput {
  readonly matcher: TermMatcher;
  /** Marked-content ids by page object number. */
  readonly affectedContent: ReadonlyMap<number, ReadonlySet<number>>;
  readonly areas: (pageIndex: number) => readonly Box[];
}

/** Structure elements whose marked content was redacted, with all their ancestors. */
const affectedElements = (edit: DocumentEdit, affected: ScrubInput['affectedContent']): ReadonlySet<number> => {
  const { file } = edit;
  const found = new Set<number>();
  const visiting = new Set<number>();
  const walk = (object: CosObject | undefined, pageNumber: number | undefined, depth: number): boolean => {
    if (depth > 200) return false;
    if (isKind(object, 'ref')) {
      if (visiting.has(object.number)) return found.has(object.number);
      visiting.add(object.number);
    }
    const node = file.dict(object);
    if (node === undefined) {
      const id = file.resolve(object);
      return typeof id === 'number' && pageNumber !== undefined && affected.get(pageNumber)?.has(id) === true;
    }
    const page = node.entries.get('Pg');
    const own = isKind(page, 'ref') ? page.number : pageNumber;
    let hit = false;
    if (isName(file.resolve(node.entries.get('Type')), 'MCR'))
      hit = walk(file.resolve(node.entries.get('MCID')), own, depth + 1);
    const kids = file.resolve(node.entries.get('K'));
    const items = isKind(kids, 'array') ? kids.items : [node.entries.get('K')];
    for (const kid of items) if (kid !== undefined && walk(kid, own, depth + 1)) hit = true;
    if (hit && isKind(object, 'ref')) found.add(object.number);
    return hit;
  };
  const root = file.dict(file.catalogRef)?.entries.get('StructTreeRoot');
  if (root !== undefined && affected.size > 0) walk(root, undefined, 0);
  return found;
};

/** Scrubs metadata, alternates and strings. */
export const scrubDocument = (edit: DocumentEdit, input: ScrubInput): void => {
  const { file } = edit;
  scrubMetadata(edit);
  for (const number of affectedElements(edit, input.affectedContent)) {
    const element = file.dict({ kind: 'ref', number });
    if (element !== undefined) file.replace({ kind: 'ref', number }, without(element, ['ActualText', 'Alt', 'E', 'T']));
  }

  let remaining: ReadonlySet<string> | undefined;
  const leaks = (text: string): boolean => {
    const terms = input.matcher.find(text);
    if (terms.some(({ kind }) => kind === 'run')) return true;
    if (terms.length === 0) return false;
    remaining ??= readRemainingWords(edit.source, input.areas);
    return terms.some((term) => remaining?.has(term.text) !== true);
  };
  /** The same object when nothing in it changes. */
  const scrub = (object: CosObject): CosObject => {
    if (typeof object !== 'object' || object === null) return object;
    switch (object.kind) {
      case 'string':
        return leaks(decodeText(object.bytes)) ? encodeText(REPLACEMENT) : object;
      case 'array': {
        if (isIndexed(object.items)) return object;
        const items = object.items.map(scrub);
        return items.some((item, at) => item !== object.items[at]) ? array(items) : object;
      }
      case 'dict':
        return scrubDict(object);
      case 'stream': {
        const dict = scrubDict(object.dict);
        return dict === object.dict ? object : { ...object, dict };
      }
      default:
        return object;
    }
  };
  const scrubDict = (source: CosDict): CosDict => {
    let changed = without(source, anywhereKeys);
    if (isName(file.resolve(source.entries.get('S')), 'JavaScript') && source.entries.has('JS'))
      changed = withEntries(changed, { JS: encodeText('') });
    let entries: Map<string, CosObject> | undefined;
    for (const [key, value] of changed.entries) {
      if (binaryKeys.has(key)) continue;
      const kept = key === 'CBInstant' && isKind(value, 'string') ? instantTexts(decodeText(value.bytes)) : undefined;
      const scrubbed = kept === undefined ? scrub(value) : kept.some(leaks) ? encodeText(REPLACEMENT) : value;
      if (scrubbed === value) continue;
      entries ??= new Map(changed.entries);
      entries.set(key, scrubbed);
    }
    return entries === undefined ? changed : { kind: 'dict', entries };
  };
  for (const [number, object] of file.reachable()) {
    const scrubbed = scrub(object);
    if (scrubbed !== object) file.replace({ kind: 'ref', number }, scrubbed);
  }
  if (file.dict(file.catalogRef) === undefined) file.replace(file.catalogRef, emptyDict);
};
