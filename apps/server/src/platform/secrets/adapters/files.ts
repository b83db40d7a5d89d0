/**
 * Secrets in a folder, one file each, as Docker and Kubernetes mount them and as embedded mode keeps its own.
 *
 * - A file outside of the folder is never read, wherever symbolic links lead; links within the folder (Kubernetes swaps
 *   `..data` on rotation) are followed anew on each read.
 * - A file that anyone may read is refused unless the settings allow it; one that anyone may write always is.
 * - A created secret appears whole or not at all, readable by the owner only, and never replaces one that is there.
 * - One newline at the end is not part of the secret.
 */
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, realpath, stat, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { randomUUID } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import type { SecretStore } from '../Port.ts';
import { isSecretName } from '../secret-setting.ts';
import { SecretValue } from '../secret-value.ts';

/** Kills the process at a named step. */
export type SecretCrashPoint = (name: 'secrets.create.written' | 'secrets.create.linked') => void | Promise<void>;

interface FilesSecretStoreOptions {
  /** Absolute. */
  readonly folder: string;
  readonly readableByOthers: boolean;
  readonly generateMissing: boolean;
  /** Called between the steps of a creation, for tests that stop the process there. */
  readonly crashPoint?: SecretCrashPoint;
  /** Called when a name was resolved and before its file is opened, for tests that rotate at that moment. */
  readonly onResolved?: () => Promise<void>;
}

/** Bytes. AWS allows as much as this for a secret, Kubernetes and Docker little more. */
const maxSecretBytes = 64 * 1024;
/** Rotations between resolving a link and opening its target that are waited out before one counts as a missing file. */
const maxResolutions = 5;
/** Not a name of a secret, so it is never read as one. */
const temporaryPrefix = '.tmp-';
const temporaryMaxAgeMs = 3_600_000;

const systemCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';

export class FilesSecretStore implements SecretStore {
  readonly description: string;
  readonly create?: (name: string, value: SecretValue) => Promise<SecretValue>;
  readonly #options: FilesSecretStoreOptions;

  constructor(options: FilesSecretStoreOptions) {
    this.#options = options;
    this.description = `the folder ${options.folder}`;
    if (options.generateMissing) this.create = (name, value) => this.#create(name, value);
  }

  locate(name: string): string {
    return `the file ${this.#fileOf(name)}`;
  }

  async read(name: string): Promise<SecretValue | undefined> {
    const file = this.#fileOf(name);
    for (let resolution = 1; ; resolution++) {
      try {
        return await this.#readResolved(file);
      } catch (error) {
        if (error instanceof CaseboundError) throw error;
        const code = systemCode(error);
        // ELOOP: a link took the place of the target after it was resolved.
        if (code === 'ENOENT' || code === 'ELOOP') {
          if (resolution < maxResolutions && (await isThere(file))) continue;
          if (code === 'ENOENT') return undefined;
        }
        if (code === 'ENOTDIR') return undefined;
        throw this.#failure(`read the file ${file}`, code);
      }
    }
  }

  async probe(): Promise<void> {
    const { folder, generateMissing } = this.#options;
    try {
      if (!(await stat(folder)).isDirectory()) {
        throw new CaseboundError('secret_store_denied', `${folder}, the folder of the secrets, is not a folder.`);
      }
      await readdir(folder);
    } catch (error) {
      if (error instanceof CaseboundError) throw error;
      // The folder is made with the first secret that is created in it.
      if (generateMissing && systemCode(error) === 'ENOENT') return;
      throw this.#failure(`read the folder ${folder}`, systemCode(error));
    }
  }

  async close(): Promise<void> {}

  #fileOf(name: string): string {
    if (!isSecretName(name)) throw new RangeError('not a name of a secret');
    return join(this.#options.folder, ...name.split('/'));
  }

  async #readResolved(file: string): Promise<SecretValue> {
    const root = await realpath(this.#options.folder);
    const target = await realpath(file);
    if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) {
      throw new CaseboundError(
        'secret_invalid',
        `The file ${file} is a link that leads out of the folder of the secrets.`,
      );
    }
    await this.#options.onResolved?.();
    const handle = await open(target, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    try {
      const found = await handle.stat();
      if (!found.isFile()) throw new CaseboundError('secret_invalid', `${file} is not a regular file.`);
      this.#checkMode(file, found.mode);
      const buffer = Buffer.alloc(maxSecretBytes + 1);
      let length = 0;
      while (length < buffer.length) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      if (length > maxSecretBytes) {
        throw new CaseboundError('secret_invalid', `The file ${file} is larger than ${maxSecretBytes / 1024} KiB.`);
      }
      return decode(buffer.subarray(0, length), file);
    } finally {
      await handle.close();
    }
  }

  #checkMode(file: string, mode: number): void {
    const permissions = (mode & 0o777).toString(8).padStart(4, '0');
    if ((mode & 0o002) !== 0) {
      throw new CaseboundError(
        'secret_invalid',
        `Any user may write the file ${file} (mode ${permissions}); take that away with "chmod o-w".`,
      );
    }
    if ((mode & 0o004) !== 0 && !this.#options.readableByOthers) {
      throw new CaseboundError(
        'secret_invalid',
        `Any user may read the file ${file} (mode ${permissions}); use "chmod o-r", or set readableByOthers for this store.`,
      );
    }
  }

  async #create(name: string, value: SecretValue): Promise<SecretValue> {
    const { crashPoint = () => undefined } = this.#options;
    const file = this.#fileOf(name);
    const folder = dirname(file);
    const temporary = join(folder, `${temporaryPrefix}${randomUUID()}`);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await sweep(folder);
      const handle = await open(temporary, 'wx', 0o600);
      try {
        await handle.writeFile(value.reveal(), 'utf8');
        await handle.sync();
      } finally {
        await handle.close();
      }
      await crashPoint('secrets.create.written');
      try {
        // Unlike a rename, a link fails when the name is taken.
        await link(temporary, file);
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error;
      }
      await crashPoint('secrets.create.linked');
      await unlink(temporary);
      await syncFolder(folder);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      if (error instanceof CaseboundError) throw error;
      throw this.#failure(`create the file ${file}`, systemCode(error));
    }
    const kept = await this.read(name);
    if (kept === undefined) throw this.#failure(`read the file ${file} again`, 'ENOENT');
    return kept;
  }

  #failure(action: string, code: string): CaseboundError {
    const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ELOOP' || code === 'ENOENT';
    return new CaseboundError(
      denied ? 'secret_store_denied' : 'secret_store_unavailable',
      `This process could not ${action} (${code}); check that it is there, and its owner and permissions.`,
    );
  }
}

const decode = (bytes: Buffer, file: string): SecretValue => {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CaseboundError(
      'secret_invalid',
      `The file ${file} is not UTF-8 text; store binary secrets in base64 or hex.`,
    );
  }
  return new SecretValue(text.replace(/\r?\n$/, ''));
};

const isThere = async (file: string): Promise<boolean> => {
  try {
    await stat(file);
    return true;
  } catch {
    return false;
  }
};

/** Removes what a process left that was killed while it created a secret. */
const sweep = async (folder: string): Promise<void> => {
  for (const entry of await readdir(folder)) {
    if (!entry.startsWith(temporaryPrefix)) continue;
    const file = join(folder, entry);
    const found = await stat(file).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > temporaryMaxAgeMs)
      await unlink(file).catch(() => undefined);
  }
};

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
