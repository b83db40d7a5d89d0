/** Writes what an import reads, for tests. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Files below a folder, by their path. @returns the folder */
export const writeSource = async (root: string, files: Readonly<Record<string, string | Buffer>>): Promise<string> => {
  await mkdir(root, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
  return root;
};

/** A Concordance DAT: every cell qualified, lines end with CRLF. */
export const dat = (...rows: readonly (readonly string[])[]): string =>
  rows.map((cells) => `${cells.map((cell) => `\u00FE${cell}\u00FE`).join('\u0014')}\r\n`).join('');
