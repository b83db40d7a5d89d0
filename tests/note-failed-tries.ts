/** Runs in every test file: tells the checks for leaks that a try failed. */
import { noteFailedTry } from '@casebound/test-kit';
import { afterEach } from 'vitest';

afterEach(({ task }) => {
  if (task.result?.state === 'fail') noteFailedTry();
});
