/** The one place where errors of the file system become errors of the taxonomy. */
import { CaseboundError } from '@casebound/contract';

export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

export const isErrno = (error: unknown, ...codes: readonly string[]): boolean => {
  const code = errnoOf(error);
  return code !== undefined && codes.includes(code);
};

/**
 * @param doing what failed, to complete "The object store could not ...": `write case_1/a.txt`.
 * @param root the folder of the store, for the reader who has to free space or change permissions.
 */
export const classifyFileError = (error: unknown, doing: string, root: string): unknown => {
  const code = errnoOf(error);
  if (error instanceof CaseboundError || code === undefined) return error;
  const cause = { cause: error };
  const failed = `The object store could not ${doing}`;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new CaseboundError(
        'object_store_full',
        `${failed}: the disk or quota of ${root} is full (${code}). Free space there; nothing was half-stored.`,
        cause,
      );
    case 'EROFS':
      return new CaseboundError(
        'object_store_denied',
        `${failed}: the file system of ${root} is read-only (${code}). Mount it for writing.`,
        cause,
      );
    case 'EACCES':
    case 'EPERM':
      return new CaseboundError(
        'object_store_denied',
        `${failed}: this process may not do that in ${root} (${code}). Give its user access to the folder and all in it.`,
        cause,
      );
    case 'ELOOP':
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EEXIST':
      return new CaseboundError(
        'object_store_denied',
        `${failed}: something in ${root} is not the file or folder that the store made (${code}). Remove what does not belong there.`,
        cause,
      );
    case 'EFBIG':
      return new CaseboundError(
        'object_store_denied',
        `${failed}: it is larger than the file system of ${root}, or a limit of this process, allows (${code}).`,
        cause,
      );
    case 'EMFILE':
    case 'ENFILE':
      return new CaseboundError(
        'object_store_unavailable',
        `${failed}: too many files are open (${code}). Try again; raise the limit of open files if it goes on.`,
        cause,
      );
    default:
      return new CaseboundError(
        'object_store_unavailable',
        `${failed}: the file system of ${root} answered ${code}. Check the disk; then try again.`,
        cause,
      );
  }
};
