/**
 * The folder of a sample.
 *
 * - Nothing is written to a folder that holds anything, unless a sample is to be replaced; then only what a sample consists of is removed.
 * - A marker lies in the folder from before the first file until after the last: a folder with it holds no sample.
 */
import { CaseboundError } from '@casebound/contract';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { VOLUME } from './load-columns.ts';

/** Capitals sort before the folders of a volume, so that who lists a production meets its load files first. */
export const fileNames = {
  loadFile: 'MERIDIAN.dat',
  imageList: 'MERIDIAN.opt',
  truth: 'TRUTH.jsonl',
  mail: 'mail',
  mailbox: 'MERIDIAN.mbox',
  archive: 'MERIDIAN.zip',
  marker: '.incomplete',
  spool: '.spool',
} as const;

const ours: readonly string[] = [...Object.values(fileNames), VOLUME];

const refuse = (detail: string, cause?: unknown): CaseboundError =>
  new CaseboundError('validation_failed', detail, { cause });

/** Makes the folder ready and sets the marker. @throws CaseboundError `validation_failed` */
export const prepareFolder = async (folder: string, force: boolean): Promise<void> => {
  let found: readonly string[];
  try {
    await mkdir(folder, { recursive: true });
    found = await readdir(folder);
  } catch (error) {
    throw refuse(`\`${folder}\` is not a folder that can be written to; name another one.`, error);
  }
  if (found.length > 0 && !force) {
    throw refuse(
      found.includes(fileNames.marker)
        ? `\`${folder}\` holds a sample that was not finished; add --force to make it anew, or name another folder.`
        : `\`${folder}\` is not empty; name another folder, or add --force to replace the sample in it.`,
    );
  }
  try {
    await writeFile(path.join(folder, fileNames.marker), 'This sample is being made, or was not finished.\n');
    for (const name of found)
      if (ours.includes(name) && name !== fileNames.marker)
        await rm(path.join(folder, name), { recursive: true, force: true });
  } catch (error) {
    throw refuse(`The folder \`${folder}\` cannot be written to; check its permissions.`, error);
  }
};

/** Says that the sample is whole. */
export const releaseFolder = (folder: string): Promise<void> => rm(path.join(folder, fileNames.marker));
