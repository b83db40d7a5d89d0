/** Whether other accounts of this machine can get at a folder: tests that run something as one of them need that. */
import { statSync } from 'node:fs';
import path from 'node:path';

const OTHERS_MAY_ENTER = 0o001;

/** False when the folder or one above it is closed to other accounts, as all is in a clone below `/root`. */
export function othersCanEnter(folder: string): boolean {
  for (let current = path.resolve(folder); ; current = path.dirname(current)) {
    if ((statSync(current).mode & OTHERS_MAY_ENTER) === 0) return false;
    if (current === path.dirname(current)) return true;
  }
}
