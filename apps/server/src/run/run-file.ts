/**
 * `<data>/run/server.json`: how a command finds the server of a data folder, and proves that it may use it.
 *
 * Invariants:
 * - The file is readable by its owner alone and written whole (temporary file, then rename). It holds a token that lives as long
 *   as the server process; whoever can read the file owns the data folder anyway.
 * - It may outlive a killed server. A reader trusts it only when the process is alive and answers.
 */
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

const RunFile = z.object({
  pid: z.number().int().positive(),
  startedAt: z.iso.datetime(),
  address: z.url(),
  token: z.string().min(20),
  version: z.string(),
});
export type RunFile = z.infer<typeof RunFile>;

const ANSWER_WITHIN_MS = 2_000;

const fileOf = (dataDir: string): string => path.join(dataDir, 'run', 'server.json');

export const writeRunFile = async (dataDir: string, content: RunFile): Promise<void> => {
  const file = fileOf(dataDir);
  const temporary = `${file}.${content.pid}.tmp`;
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await chmod(temporary, 0o600);
  await rename(temporary, file);
};

/** Removes the file, unless a successor has written its own. */
export const removeRunFile = async (dataDir: string, pid: number): Promise<void> => {
  const found = await parseRunFile(dataDir);
  if (found === undefined || found.pid === pid) await rm(fileOf(dataDir), { force: true });
};

const parseRunFile = async (dataDir: string): Promise<RunFile | undefined> => {
  try {
    return RunFile.parse(JSON.parse(await readFile(fileOf(dataDir), 'utf8')));
  } catch {
    return undefined;
  }
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

/** The server that runs on this data folder and answers; undefined when there is none. */
export const findRunningServer = async (dataDir: string): Promise<RunFile | undefined> => {
  const found = await parseRunFile(dataDir);
  if (found === undefined || !isAlive(found.pid)) return undefined;
  try {
    const answer = await fetch(new URL('/health/live', found.address), {
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    await answer.body?.cancel();
    return answer.ok ? found : undefined;
  } catch {
    return undefined;
  }
};
