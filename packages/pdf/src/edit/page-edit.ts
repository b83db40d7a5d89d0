/**
 * One page while it is edited: content that is replaced, content drawn on top, resources and annotations.
 *
 * - What is drawn on top starts from the initial graphics state, whatever the page's own content leaves behind.
 * - The page's dictionary is written when the edit is committed; an edit may go on after that.
 */
import { CaseboundError } from '@casebound/contract';
import { readOperators } from '../content/read-operators.ts';
import type { CosFile } from '../cos/cos-file.ts';
import type { CosPage } from '../cos/page-tree.ts';
import { array, type CosDict, type CosObject, emptyDict, isKind, withEntries } from '../cos/objects.ts';
import type { PageGeometry } from '../geometry.ts';
import { type ResourceCategory } from '../redact/resource-editor.ts';

export interface PageEdit {
  readonly index: number;
  readonly file: CosFile;
  readonly page: CosPage;
  readonly geometry: PageGeometry;
  /** The decoded content, its streams joined by line ends. Throws `pdf_damaged` when it cannot be decoded. */
  content(): Uint8Array;
  resources(): CosDict;
  /** Replaces content and resources; `open` as `RewriteResult` counts it. */
  setContent(bytes: Uint8Array, resources: CosDict, open: number): void;
  /** Draws operators on top of the page, in user space. */
  draw(operators: string): void;
  addResource(category: ResourceCategory, prefix: string, object: CosObject): string;
  annotations(): readonly CosObject[];
  setAnnotations(annotations: readonly CosObject[]): void;
  /** Changes other entries of the page's dictionary. */
  setEntries(changes: Readonly<Record<string, CosObject | undefined>>): void;
  setGeometry(geometry: PageGeometry): void;
  commit(): void;
}

/** How many `q` a content leaves open, and how many `Q` it has too many. */
const measureBalance = (bytes: Uint8Array): { open: number; underflow: number } => {
  let open = 0;
  let underflow = 0;
  for (const { operator } of readOperators(bytes)) {
    if (operator === 'q') open += 1;
    else if (operator === 'Q') {
      if (open > 0) open -= 1;
      else underflow += 1;
    }
  }
  return { open, underflow };
};

export const createPageEdit = (file: CosFile, page: CosPage, index: number): PageEdit => {
  let geometry = page.geometry;
  let replaced: { bytes: Uint8Array; open: number } | undefined;
  let resources: CosDict = page.resources;
  let resourcesChanged = false;
  let annotations: readonly CosObject[] | undefined;
  let entries: Readonly<Record<string, CosObject | undefined>> = {};
  const drawn: string[] = [];

  const current = (): CosDict => file.dict(page.ref) ?? page.dict;
  const streams = (): readonly CosObject[] => {
    const contents = current().entries.get('Contents');
    return (
      file.array(contents)?.items ?? (file.stream(contents) === undefined || contents === undefined ? [] : [contents])
    );
  };

  const edit: PageEdit = {
    index,
    file,
    page,
    get geometry() {
      return geometry;
    },
    content: () => {
      if (replaced !== undefined) return replaced.bytes;
      const parts: Uint8Array[] = [];
      let total = 0;
      for (const object of streams()) {
        const stream = file.stream(object);
        const data = stream === undefined ? new Uint8Array(0) : file.decode(stream);
        if (data === undefined)
          throw new CaseboundError('pdf_damaged', `The content of the page with index ${index} cannot be decoded.`);
        total += data.length;
        if (total > file.limits.maxStreamBytes)
          throw new CaseboundError(
            'pdf_too_large',
            `The content of the page with index ${index} is larger than ${file.limits.maxStreamBytes} bytes.`,
          );
        parts.push(data, Uint8Array.of(10));
      }
      return Buffer.concat(parts);
    },
    resources: () => resources,
    setContent: (bytes, newResources, open) => {
      replaced = { bytes, open };
      resources = newResources;
      resourcesChanged = true;
    },
    draw: (operators) => void drawn.push(operators),
    addResource: (category, prefix, object) => {
      const own = file.dict(resources.entries.get(category)) ?? emptyDict;
      for (const [known, value] of own.entries)
        if (isKind(value, 'ref') && isKind(object, 'ref') && value.number === object.number) return known;
      let number = own.entries.size + 1;
      while (own.entries.has(`${prefix}${number}`)) number += 1;
      resources = withEntries(resources, { [category]: withEntries(own, { [`${prefix}${number}`]: object }) });
      resourcesChanged = true;
      return `${prefix}${number}`;
    },
    annotations: () => annotations ?? file.array(current().entries.get('Annots'))?.items ?? [],
    setAnnotations: (all) => {
      annotations = all;
    },
    setEntries: (changes) => {
      entries = { ...entries, ...changes };
    },
    setGeometry: (changed) => {
      geometry = changed;
    },
    commit: () => {
      const changes: Record<string, CosObject | undefined> = { ...entries };
      if (annotations !== undefined) changes['Annots'] = annotations.length === 0 ? undefined : array(annotations);
      if (resourcesChanged) changes['Resources'] = file.add(resources);
      if (replaced !== undefined && drawn.length === 0) changes['Contents'] = file.addStream(emptyDict, replaced.bytes);
      else if (drawn.length > 0) {
        const top = drawn.join('\n');
        if (replaced !== undefined) {
          const end = '\nQ'.repeat(replaced.open + 1);
          changes['Contents'] = file.addStream(
            emptyDict,
            Buffer.concat([Buffer.from('q\n'), replaced.bytes, Buffer.from(`${end}\n${top}\n`, 'latin1')]),
          );
        } else {
          const { open, underflow } = measureBalance(edit.content());
          const before = file.addStream(emptyDict, Buffer.from('q\n'.repeat(underflow + 1)));
          const after = file.addStream(emptyDict, Buffer.from(`\n${'Q\n'.repeat(open + 1)}${top}\n`, 'latin1'));
          changes['Contents'] = array([before, ...streams(), after]);
        }
      }
      if (Object.keys(changes).length === 0) return;
      file.replace(page.ref, withEntries(current(), changes));
      drawn.length = 0;
      replaced = undefined;
      annotations = undefined;
      entries = {};
      resourcesChanged = false;
    },
  };
  return edit;
};
