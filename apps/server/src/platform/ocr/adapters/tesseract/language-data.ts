/** Finds the data of languages on this machine. Nothing is ever fetched. */
import { CaseboundError } from '@casebound/contract';
import { access, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder that holds `{code}.traineddata.gz` of every language. */
export interface LanguageData {
  readonly folder: string;
  dispose(): Promise<void>;
}

/** The integer models of the best quality: smaller than the other set, and as exact. */
const MODELS = '4.0.0_best_int';

const missing = (language: string, place: string): CaseboundError =>
  new CaseboundError(
    'ocr_language_missing',
    `The data of the language \`${language}\` is not in ${place}: install \`@tesseract.js-data/${language}\`, or remove it from \`ocr.languages\`.`,
  );

const fileOf = (language: string): string => `${language}.traineddata.gz`;

const installedFolder = (language: string): string => {
  try {
    const manifest = createRequire(import.meta.url).resolve(`@tesseract.js-data/${language}/package.json`);
    return path.join(path.dirname(manifest), MODELS);
  } catch {
    throw missing(language, 'the installed packages');
  }
};

const requireFile = async (folder: string, language: string): Promise<void> => {
  try {
    await access(path.join(folder, fileOf(language)));
  } catch {
    throw missing(language, `the folder \`${folder}\``);
  }
};

/** Throws `ocr_language_missing`. */
export const findLanguageData = async (
  languages: readonly string[],
  configured: string | undefined,
): Promise<LanguageData> => {
  const keep = async (): Promise<void> => Promise.resolve();
  const folders = languages.map((language) => configured ?? installedFolder(language));
  for (const [at, language] of languages.entries()) await requireFile(folders[at] ?? '', language);
  const [first = ''] = folders;
  if (folders.every((folder) => folder === first)) return { folder: first, dispose: keep };
  // Each language is a package, and Tesseract reads one folder.
  const folder = await mkdtemp(path.join(tmpdir(), 'casebound-ocr-'));
  for (const [at, language] of languages.entries())
    await symlink(path.join(folders[at] ?? '', fileOf(language)), path.join(folder, fileOf(language)));
  return { folder, dispose: async () => rm(folder, { recursive: true, force: true }) };
};
