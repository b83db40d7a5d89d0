/** A reader sees the old file or the new one, never a part: the text is written beside it, flushed, then renamed. */
import { open, rename, rm } from 'node:fs/promises';

/** Replaces the file at `target`. `mode` is applied whatever the umask. */
export async function writeFileAtomically(target: string, text: string, mode: number): Promise<void> {
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'w', mode);
    try {
      await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
