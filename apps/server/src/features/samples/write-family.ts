/** A family of a production: its members are numbered together, so that the parent can name its attachments. */
import type { FamilyPlan, ItemPlan } from './plan-families.ts';
import { renderItem, type RenderedItem } from './render-item.ts';
import type { CheckedOptions } from './sample-options.ts';
import { numberOf, type Parts } from './sample-parts.ts';
import { writeDocument } from './write-document.ts';

/** As long as a family may get a duplicate, its numbers are kept. */
const REMEMBERED = 64;

const noRendering = (plan: ItemPlan): RenderedItem => ({
  plan,
  native: undefined,
  mimeType: '',
  rendition: undefined,
  images: [],
  pages: [],
  text: [],
});

const pagesOf = ({ plan, pages }: RenderedItem, options: CheckedOptions): number =>
  options.loadFileOnly ? plan.pages : Math.max(pages.length, 1);

/** Numbers and writes a family; `room` is how many documents are still to be made. */
export const writeFamily = async (parts: Parts, family: FamilyPlan, room: number): Promise<void> => {
  const { options, glyphs, tally, numbers } = parts;
  const plans = family.children.slice(0, room - 1);
  const render = (plan: ItemPlan, attachments?: readonly RenderedItem[]): RenderedItem =>
    options.loadFileOnly ? noRendering(plan) : renderItem(plan, glyphs, attachments);
  const children = plans.map((plan) => render(plan));
  const items = [render(family.root, children), ...children];
  let page = tally.pages + 1;
  const places = items.map((item) => {
    const pageCount = pagesOf(item, options);
    const begin = numberOf(options, page);
    page += pageCount;
    return { begin, end: numberOf(options, page - 1), pageCount };
  });
  const begins = places.map(({ begin }) => begin);
  const [first = '', ...rest] = begins;
  const familyRange = rest.length === 0 ? undefined : { begin: first, end: places.at(-1)?.end ?? first };
  for (const [at, item] of items.entries()) {
    const place = places[at];
    if (place === undefined) continue;
    await writeDocument(parts, family, item, {
      ...place,
      familyRange,
      parentId: at === 0 ? '' : first,
      childIds: at === 0 ? rest : [],
      childNames: at === 0 ? plans.map(({ fileName }) => fileName) : [],
    });
  }
  numbers.set(family.index, begins);
  numbers.delete(family.index - REMEMBERED);
  const originals = family.duplicateOf === undefined ? undefined : numbers.get(family.duplicateOf);
  if (originals !== undefined && originals.length === begins.length && !parts.flaws.touched(family.duplicateOf)) {
    for (const [at, document] of begins.entries())
      await parts.loadFiles.addTruth({ kind: 'duplicate', document, of: originals[at] });
    tally.duplicates += begins.length;
  }
};
