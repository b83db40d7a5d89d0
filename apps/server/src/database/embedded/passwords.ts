/** Secrets that an embedded data folder makes for itself: 256 random bits in hexadecimal, one a file, mode 0600. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { writeFileAtomically } from './write-file-atomically.ts';
import { isCode } from './data-folder.ts';

/** Reads `<secrets>/<name>`, or makes it. */
export async function readOrMakePassword(secretsDir: string, name: string): Promise<string> {
  const file = path.join(secretsDir, name);
  try {
    const text = (await readFile(file, 'utf8')).trim();
    if (/^[0-9a-f]{64}$/.test(text)) return text;
    throw new CaseboundError(
      'secret_invalid',
      `${file} does not hold 64 hexadecimal digits; restore it from a backup.`,
    );
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
  const password = randomBytes(32).toString('hex');
  await writeFileAtomically(file, `${password}\n`, 0o600);
  return password;
}
