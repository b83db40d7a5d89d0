/** Files of a test, in a folder of their own, expanded. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder } from '@casebound/test-kit';
import { expandEntry } from '../expand-entry.ts';
import type { OpenedRoot } from '../open-import-root.ts';
import { openImportRoot } from '../open-import-root.ts';
import type { ContentItem, SourceLimits, SourceProblem } from '../source-model.ts';

export const readAll = async (stream: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

export const readText = async (stream: AsyncIterable<Uint8Array>): Promise<string> =>
  (await readAll(stream)).toString();

export interface ExpandedItem extends ContentItem {
  /** Null when reading failed; then `failure` says how. */
  readonly content: Buffer | null;
  readonly failure: unknown;
}

export interface Expanded {
  readonly items: ExpandedItem[];
  /** Of items, of the walk and of the listing. */
  readonly problems: SourceProblem[];
}

/** Expands every entry of a root and reads every item whole. */
export const expandAll = async (
  root: OpenedRoot,
  onItem: (item: ContentItem) => Promise<void> = () => Promise.resolve(),
): Promise<Expanded> => {
  const items: ExpandedItem[] = [];
  const problems: SourceProblem[] = [];
  for await (const entry of root.list({ onProblem: (problem) => problems.push(problem) })) {
    for await (const found of expandEntry(root, entry)) {
      if (found.type === 'problem') {
        problems.push(found.problem);
        continue;
      }
      problems.push(...found.problems);
      let content: Buffer | null = null;
      let failure: unknown;
      try {
        content = await readAll(await found.open());
      } catch (error) {
        failure = error;
      }
      await onItem(found);
      items.push({ ...found, content, failure });
    }
  }
  return { items, problems };
};

/** Writes files into a folder and expands it. */
export const expandFiles = async (
  files: Readonly<Record<string, Buffer | string>>,
  limits: Partial<SourceLimits> = {},
  onItem?: (item: ContentItem, root: OpenedRoot) => Promise<void>,
): Promise<Expanded> => {
  await using folder = await createTemporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder.path, 'root', name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  await using root = await openImportRoot(path.join(folder.path, 'root'), {
    limits,
    temporaryFolder: path.join(folder.path, 'spool'),
  });
  return await expandAll(root, onItem === undefined ? undefined : (item) => onItem(item, root));
};

export const codesOf = (problems: readonly SourceProblem[]): string[] => problems.map(({ code }) => code).toSorted();
