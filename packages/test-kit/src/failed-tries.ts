/**
 * Whether a try of a test of this file failed. Such a try stops where it failed and leaves open what it would have closed: that is no leak, and
 * would fail the file though a second try passes.
 */
let failed = false;

/** To be called after each try that failed; `tests/note-failed-tries.ts` does. */
export const noteFailedTry = (): void => {
  failed = true;
};

export const hasFailedTry = (): boolean => failed;
