/**
 * Takes images and forms that no content draws out of resource dictionaries.
 *
 * Many producers share one dictionary between all pages. After the image of one page was replaced, the dictionary of
 * another page that never draws it would still carry the original.
 */
import { readOperators } from '../content/read-operators.ts';
import { type CosDict, isKind, withEntries } from '../cos/objects.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import { listContentStreams } from './content-streams.ts';

const usedXObjects = (bytes: Uint8Array): ReadonlySet<string> => {
  const used = new Set<string>();
  for (const { operator, operands } of readOperators(bytes)) {
    const key = operands.at(-1);
    if (operator === 'Do' && isKind(key, 'name')) used.add(key.name);
  }
  return used;
};

/** Prunes wherever a dictionary names an external object that a redacted page named as well. */
export const pruneResources = (edit: DocumentEdit, redactedPages: readonly number[]): void => {
  const { file } = edit;
  const suspects = new Set<number>();
  const collect = (resources: CosDict | undefined, depth: number): void => {
    for (const object of file.dict(resources?.entries.get('XObject'))?.entries.values() ?? []) {
      if (!isKind(object, 'ref') || suspects.has(object.number) || depth > 28) continue;
      suspects.add(object.number);
      collect(file.dict(file.dict(object)?.entries.get('Resources')), depth + 1);
    }
  };
  for (const pageIndex of redactedPages) collect(edit.page(pageIndex).page.resources, 0);
  if (suspects.size === 0) return;
  for (const stream of listContentStreams(edit)) {
    const xobjects = file.dict(stream.resources?.entries.get('XObject'));
    if (stream.resources === undefined || xobjects === undefined) continue;
    if (![...xobjects.entries.values()].some((object) => isKind(object, 'ref') && suspects.has(object.number)))
      continue;
    const bytes = stream.content();
    if (bytes === undefined) continue;
    const used = usedXObjects(bytes);
    const kept = new Map([...xobjects.entries].filter(([key]) => used.has(key)));
    if (kept.size === xobjects.entries.size) continue;
    const resources = withEntries(stream.resources, { XObject: { kind: 'dict', entries: kept } });
    if (stream.pageIndex !== undefined) edit.page(stream.pageIndex).setEntries({ Resources: file.add(resources) });
    else if (stream.number !== undefined) {
      const form = file.stream({ kind: 'ref', number: stream.number });
      if (form !== undefined)
        file.replace(
          { kind: 'ref', number: stream.number },
          { ...form, dict: withEntries(form.dict, { Resources: resources }) },
        );
    }
  }
  dropInherited(edit);
};

/** Resources on nodes of the page tree reach every page below; once each page has its own, they are not needed. */
const dropInherited = (edit: DocumentEdit): void => {
  const { file } = edit;
  const seen = new Set<number>();
  for (const page of edit.pages()) {
    page.commit();
    const own = file.dict(page.page.ref);
    if (own !== undefined && !own.entries.has('Resources'))
      file.replace(page.page.ref, withEntries(own, { Resources: file.add(page.resources()) }));
    let parent = own?.entries.get('Parent');
    while (isKind(parent, 'ref') && !seen.has(parent.number)) {
      seen.add(parent.number);
      const node = file.dict(parent);
      if (node === undefined) break;
      if (node.entries.has('Resources')) file.replace(parent, withEntries(node, { Resources: undefined }));
      parent = node.entries.get('Parent');
    }
  }
};
