/**
 * A folder as an import root, or a single file as a root of one entry.
 *
 * Links are reported and not followed while listing. A path of a load file may go through a link as long as the real
 * place lies within the root; `FileBytes` looks at that again when it opens the file.
 */
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import { resolveLoadPath } from '@casebound/loadfile';
import { compareNames, foldName } from './entry-order.ts';
import { showName } from './member-name.ts';
import { FileBytes, isWithin, isAbsent, readAndClose, systemCode } from './random-bytes.ts';
import type {
  ImportRoot,
  ListEntriesOptions,
  ResolveOptions,
  RootResolution,
  SourceEntry,
  SourceLimits,
} from './source-model.ts';
import type { SourceWorkspace } from './source-workspace.ts';

/** Folders whose names are kept for finding files by another case of letters. */
const rememberedFolders = 64;

interface Listing extends ListEntriesOptions {
  count: number;
}

/** Segments of a path that `list` gave; undefined for one that it cannot have given. */
const segmentsOf = (path: string, only?: string): readonly string[] | undefined => {
  const segments = path.split('/');
  if (only !== undefined && path !== only) return undefined;
  return segments.some((segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'))
    ? undefined
    : segments;
};

export class FolderRoot implements ImportRoot {
  readonly kind = 'folder';
  readonly limits: SourceLimits;
  readonly workspace: SourceWorkspace;
  readonly #root: string;
  /** The one name that is in the root; undefined for all. */
  readonly #only: string | undefined;
  readonly #folded = new Map<string, Map<string, string[]>>();

  /** @param root the real path of the folder. @param only a file of it that is all there is to import. */
  constructor(root: string, workspace: SourceWorkspace, only?: string) {
    this.#root = root;
    this.#only = only;
    this.workspace = workspace;
    this.limits = workspace.limits;
  }

  list(options: ListEntriesOptions = {}): AsyncIterable<SourceEntry> {
    return this.#walk('', options.after?.split('/') ?? [], { ...options, count: 0 });
  }

  /** @param after what is left of the cursor's segments below this folder; empty when all of it is to be listed. */
  async *#walk(folder: string, after: readonly string[], listing: Listing): AsyncGenerator<SourceEntry> {
    let names: Dirent[];
    try {
      names = await readdir(join(this.#root, folder), { withFileTypes: true });
    } catch (error) {
      const reason = `The folder cannot be read (${systemCode(error) ?? 'unknown'}).`;
      listing.onProblem?.({ path: folder, code: 'unreadable', reason });
      return;
    }
    if (this.#only !== undefined) names = names.filter(({ name }) => name === this.#only);
    names.sort((left, right) => compareNames(left.name, right.name));
    const [cursor, ...deeper] = after;
    for (const { name, ...type } of names.map((found) => ({ name: found.name, kind: kindOf(found) }))) {
      const order = cursor === undefined ? 1 : compareNames(name, cursor);
      if (order < 0) continue;
      const path = folder === '' ? name : `${folder}/${name}`;
      if (type.kind === 'folder') {
        if (path.split('/').length >= (listing.maxDepth ?? Number.POSITIVE_INFINITY)) continue;
        yield* this.#walk(path, order === 0 ? deeper : [], listing);
        if (listing.count > this.limits.maxEntries) return;
        continue;
      }
      if (order === 0) continue;
      if (type.kind === 'file') {
        const entry = await this.#entryOf(path, listing);
        if (entry === undefined) continue;
        if (++listing.count > this.limits.maxEntries) {
          const reason = `The folder has more than ${this.limits.maxEntries} files; the rest is not listed.`;
          listing.onProblem?.({ path, code: 'limit_exceeded', reason });
          return;
        }
        yield entry;
      } else if (type.kind === 'link') {
        listing.onProblem?.({ path, code: 'symlink', reason: 'A symbolic link is not followed.' });
      } else {
        listing.onProblem?.({ path, code: 'special_file', reason: 'It is a device, pipe or socket.' });
      }
    }
  }

  async #entryOf(path: string, listing: Listing): Promise<SourceEntry | undefined> {
    try {
      const { size, mtime } = await lstat(join(this.#root, path));
      return { path, size, modifiedAt: mtime };
    } catch (error) {
      const reason = path.includes('\uFFFD')
        ? 'The name is not valid UTF-8; rename the file to import it.'
        : `The file cannot be looked at (${systemCode(error) ?? 'unknown'}).`;
      listing.onProblem?.({ path, code: 'unreadable', reason });
      return undefined;
    }
  }

  /** The file, open; for reading it in spans. The caller closes it. */
  async openBytes(path: string): Promise<FileBytes> {
    const segments = segmentsOf(path, this.#only);
    if (segments === undefined) {
      throw new CaseboundError('source_unreadable', `${showName(path)}: it is no path below the import root.`);
    }
    return FileBytes.open(this.#root, join(this.#root, ...segments), path);
  }

  async open(path: string): Promise<Readable> {
    return readAndClose(await this.openBytes(path));
  }

  async stat(path: string): Promise<SourceEntry | undefined> {
    const segments = segmentsOf(path, this.#only);
    if (segments === undefined) return undefined;
    try {
      const real = await realpath(join(this.#root, ...segments));
      if (!isWithin(this.#root, real)) return undefined;
      const found = await lstat(real);
      return found.isFile() ? { path, size: found.size, modifiedAt: found.mtime } : undefined;
    } catch {
      return undefined;
    }
  }

  async resolve(loadFilePath: string, options: ResolveOptions = {}): Promise<RootResolution> {
    const checked = resolveLoadPath(loadFilePath, { rooted: options.rooted ?? 'refuse' });
    if (!checked.ok) return { ok: false, code: 'path_refused', reason: checked.detail };
    if (this.#only !== undefined) return this.#resolveOnly(this.#only, checked.segments);
    const base = options.below === undefined || options.below === '' ? [] : segmentsOf(options.below);
    if (base === undefined)
      return { ok: false, code: 'path_refused', reason: 'The folder is none of the import root.' };
    try {
      let folder = base.join('/');
      for (const [index, segment] of checked.segments.entries()) {
        const step = await this.#step(folder, segment);
        if (!step.ok) return step;
        folder = step.path;
        if (index === checked.segments.length - 1) return await this.#lookAtFile(folder);
      }
    } catch (error) {
      if (isAbsent(error))
        return { ok: false, code: 'missing', reason: 'There is no such file below the import root.' };
      const reason = `The system refuses to look there (${systemCode(error) ?? 'unknown'}).`;
      return { ok: false, code: 'unreadable', reason };
    }
    return { ok: false, code: 'missing', reason: 'The path names no file.' };
  }

  #resolveOnly(only: string, segments: readonly string[]): RootResolution {
    const [name] = segments;
    if (segments.length === 1 && name !== undefined && foldName(name) === foldName(only))
      return { ok: true, path: only };
    return { ok: false, code: 'missing', reason: 'The import root is a single file of another name.' };
  }

  /** One segment further: the name as written, else the one name that differs by case only. */
  async #step(folder: string, segment: string): Promise<RootResolution> {
    const exact = folder === '' ? segment : `${folder}/${segment}`;
    try {
      await lstat(join(this.#root, exact));
      return { ok: true, path: exact };
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
    const names = (await this.#namesOf(folder)).get(foldName(segment)) ?? [];
    const [only] = names;
    if (only === undefined) {
      return { ok: false, code: 'missing', reason: 'There is no such file below the import root.' };
    }
    if (names.length > 1) {
      const reason = `${names.length} files of the import root differ from the path, and from each other, by case only.`;
      return { ok: false, code: 'path_ambiguous', reason };
    }
    return { ok: true, path: folder === '' ? only : `${folder}/${only}` };
  }

  async #namesOf(folder: string): Promise<Map<string, string[]>> {
    const known = this.#folded.get(folder);
    if (known !== undefined) return known;
    const real = await realpath(join(this.#root, folder));
    const names = isWithin(this.#root, real) ? await readdir(real) : [];
    const folded = Map.groupBy(names, foldName);
    if (this.#folded.size >= rememberedFolders) {
      const [oldest] = this.#folded.keys();
      if (oldest !== undefined) this.#folded.delete(oldest);
    }
    this.#folded.set(folder, folded);
    return folded;
  }

  async #lookAtFile(path: string): Promise<RootResolution> {
    const real = await realpath(join(this.#root, path));
    if (!isWithin(this.#root, real)) {
      return { ok: false, code: 'symlink', reason: 'The path goes through a link that leads out of the import root.' };
    }
    const found = await lstat(real);
    if (found.isDirectory()) return { ok: false, code: 'missing', reason: 'The path names a folder.' };
    if (!found.isFile()) return { ok: false, code: 'special_file', reason: 'It is a device, pipe or socket.' };
    return { ok: true, path };
  }

  async close(): Promise<void> {
    this.#folded.clear();
    await this.workspace.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const kindOf = (found: Dirent): 'folder' | 'file' | 'link' | 'special' => {
  if (found.isDirectory()) return 'folder';
  if (found.isFile()) return 'file';
  return found.isSymbolicLink() ? 'link' : 'special';
};
