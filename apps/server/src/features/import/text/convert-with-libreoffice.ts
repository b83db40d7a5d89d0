/**
 * Old Office formats through LibreOffice, when it is installed: another program, so it gets a folder and a profile of its own,
 * a time to finish, and is ended with everything it started when it does not.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';

const names = ['soffice', 'libreoffice'];
const deadProxy = 'http://127.0.0.1:9';

/** The program in `PATH`; null when there is none. */
export const findLibreOffice = async (searchPath: string = process.env['PATH'] ?? ''): Promise<string | null> => {
  for (const folder of searchPath.split(delimiter)) {
    for (const name of names) {
      const candidate = join(folder, name);
      const found = await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (folder !== '' && found) return candidate;
    }
  }
  return null;
};

export type Conversion =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly code: 'extraction_failed' | 'extraction_timeout'; readonly reason: string };

/** Filters that write text; a workbook's is all sheets, a presentation has none and goes through its outline as HTML. */
const targetOf: ReadonlyMap<string, string> = new Map([
  ['doc', 'txt:Text (encoded):UTF8'],
  ['xls', 'csv:Text - txt - csv (StarCalc):9,34,76,1,,0,false,true,false,false,false,-1'],
  ['ppt', 'html:impress_html_Export'],
]);

const run = (
  program: string,
  args: readonly string[],
  timeoutMs: number,
  folder: string,
): Promise<'ended' | 'failed' | 'timeout'> => {
  const { promise, resolve } = Promise.withResolvers<'ended' | 'failed' | 'timeout'>();
  const child = spawn(program, args, {
    cwd: folder,
    // A group of its own: the program starts others, which must end with it.
    detached: true,
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      TMPDIR: folder,
      LANG: 'C.UTF-8',
      // Linked pictures are not fetched: the proxy that is named does not exist.
      http_proxy: deadProxy,
      https_proxy: deadProxy,
    },
  });
  const timer = setTimeout(() => {
    resolve('timeout');
    if (child.pid !== undefined) {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        child.kill('SIGKILL');
      }
    }
  }, timeoutMs);
  child.once('error', () => resolve('failed'));
  child.once('exit', (code) => resolve(code === 0 ? 'ended' : 'failed'));
  return promise.finally(() => clearTimeout(timer));
};

/**
 * @param kind which of the old formats. @param maxBytes of the result that are read.
 */
export const convertWithLibreOffice = async (
  program: string,
  kind: 'doc' | 'xls' | 'ppt',
  source: Readable,
  options: { readonly timeoutMs: number; readonly maxBytes: number; readonly temporaryFolder: string },
): Promise<Conversion> => {
  const folder = await mkdtemp(join(options.temporaryFolder, 'office-'));
  try {
    const input = join(folder, `input.${kind}`);
    await pipeline(source, createWriteStream(input, { mode: 0o600 }));
    const output = join(folder, 'output');
    const args = [
      '--headless',
      '--norestore',
      '--nolockcheck',
      '--nodefault',
      `-env:UserInstallation=${pathToFileURL(join(folder, 'profile')).href}`,
      '--convert-to',
      targetOf.get(kind) ?? 'txt',
      '--outdir',
      output,
      input,
    ];
    const end = await run(program, args, options.timeoutMs, folder);
    if (end === 'timeout') {
      const reason = `LibreOffice took longer than ${options.timeoutMs / 1000} s and was stopped.`;
      return { ok: false, code: 'extraction_timeout', reason };
    }
    const written = end === 'failed' ? [] : await readdir(output).catch((): string[] => []);
    const results = written.filter((name) => /\.(?:txt|csv|html?)$/u.test(name)).toSorted();
    if (results.length === 0) {
      return { ok: false, code: 'extraction_failed', reason: 'LibreOffice could not convert the document.' };
    }
    const chunks: Buffer[] = [];
    let left = options.maxBytes;
    for (const name of results) {
      const handle = await open(join(output, name), 'r');
      try {
        const { size } = await handle.stat();
        const buffer = Buffer.alloc(Math.min(size, left));
        await handle.read(buffer, 0, buffer.length, 0);
        chunks.push(buffer, Buffer.from('\n'));
        left -= buffer.length;
      } finally {
        await handle.close();
      }
    }
    return { ok: true, bytes: Buffer.concat(chunks) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
