/** All content streams of a document with their resources: pages, forms, tiling patterns, appearances. */
import { type CosDict, type CosStream, isName } from '../cos/objects.ts';
import type { CosFile } from '../cos/cos-file.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';

export interface ContentStream {
  /** Object number of the form or pattern; undefined for a page. */
  readonly number: number | undefined;
  readonly pageIndex: number | undefined;
  readonly resources: CosDict | undefined;
  content(): Uint8Array | undefined;
}

const isContent = (file: CosFile, stream: CosStream): boolean =>
  isName(file.resolve(stream.dict.entries.get('Subtype')), 'Form') ||
  file.resolve(stream.dict.entries.get('PatternType')) === 1;

export function* listContentStreams(edit: DocumentEdit): Generator<ContentStream> {
  for (const page of edit.pages())
    yield { number: undefined, pageIndex: page.index, resources: page.resources(), content: () => page.content() };
  for (const [number, object] of edit.file.reachable()) {
    const stream = edit.file.stream(object);
    if (stream === undefined || !isContent(edit.file, stream)) continue;
    yield {
      number,
      pageIndex: undefined,
      resources: edit.file.dict(stream.dict.entries.get('Resources')),
      content: () => edit.file.decode(stream),
    };
  }
}
