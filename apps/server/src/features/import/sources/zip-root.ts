/** A zip as an import root: its members are the entries. Nothing is extracted; members are inflated as they are read. */
import type { Readable } from 'node:stream';
import { CaseboundError } from '@casebound/contract';
import { resolveLoadPath } from '@casebound/loadfile';
import { comparePaths, foldName } from './entry-order.ts';
import type { FileBytes } from './random-bytes.ts';
import type {
  ImportRoot,
  ListEntriesOptions,
  ResolveOptions,
  RootResolution,
  SourceEntry,
  SourceLimits,
} from './source-model.ts';
import type { SourceWorkspace } from './source-workspace.ts';
import type { ZipArchive, ZipMember } from './zip-archive.ts';

const entryOf = ({ path, size, modifiedAt }: ZipMember): SourceEntry => ({ path, size, modifiedAt });

export class ZipRoot implements ImportRoot {
  readonly kind = 'zip';
  readonly limits: SourceLimits;
  readonly workspace: SourceWorkspace;
  readonly #bytes: FileBytes;
  readonly #archive: ZipArchive;
  readonly #byPath: ReadonlyMap<string, ZipMember>;
  #byFolded: ReadonlyMap<string, readonly ZipMember[]> | undefined;

  constructor(bytes: FileBytes, archive: ZipArchive, workspace: SourceWorkspace) {
    this.#bytes = bytes;
    this.#archive = archive;
    this.#byPath = new Map(archive.members.map((member) => [member.path, member]));
    this.workspace = workspace;
    this.limits = workspace.limits;
  }

  async *list({ after, onProblem, maxDepth }: ListEntriesOptions = {}): AsyncGenerator<SourceEntry> {
    if (onProblem !== undefined) {
      for (const problem of this.#archive.problems) {
        if (after === undefined || comparePaths(problem.path, after) > 0) onProblem(problem);
      }
    }
    for (const member of this.#archive.members) {
      if (maxDepth !== undefined && member.path.split('/').length > maxDepth) continue;
      if (after === undefined || comparePaths(member.path, after) > 0) yield entryOf(member);
    }
  }

  async open(path: string): Promise<Readable> {
    const member = this.#byPath.get(path);
    if (member === undefined) throw new CaseboundError('source_unreadable', `${path}: the archive has no such member.`);
    return this.#archive.open(member);
  }

  stat(path: string): Promise<SourceEntry | undefined> {
    const member = this.#byPath.get(path);
    return Promise.resolve(member === undefined ? undefined : entryOf(member));
  }

  resolve(loadFilePath: string, options: ResolveOptions = {}): Promise<RootResolution> {
    return Promise.resolve(this.#resolve(loadFilePath, options));
  }

  #resolve(loadFilePath: string, options: ResolveOptions): RootResolution {
    const checked = resolveLoadPath(loadFilePath, { rooted: options.rooted ?? 'refuse' });
    if (!checked.ok) return { ok: false, code: 'path_refused', reason: checked.detail };
    const below = options.below === undefined || options.below === '' ? [] : [options.below];
    const path = [...below, ...checked.segments].join('/');
    if (this.#byPath.has(path)) return { ok: true, path };
    this.#byFolded ??= Map.groupBy(this.#archive.members, (member) => foldName(member.path));
    const found = this.#byFolded.get(foldName(path)) ?? [];
    const [only] = found;
    if (only === undefined) return { ok: false, code: 'missing', reason: 'The archive has no such member.' };
    if (found.length > 1) {
      const reason = `${found.length} members differ from the path, and from each other, by case only.`;
      return { ok: false, code: 'path_ambiguous', reason };
    }
    return { ok: true, path: only.path };
  }

  async close(): Promise<void> {
    await this.#bytes.close();
    await this.workspace.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
