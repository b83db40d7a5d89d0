/** The one order of paths below a root: segment by segment, by UTF-16 code units, a folder's files before what is deeper. */

export const compareNames = (left: string, right: string): number => {
  if (left === right) return 0;
  return left < right ? -1 : 1;
};

export const comparePaths = (left: string, right: string): number => {
  const a = left.split('/');
  const b = right.split('/');
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = compareNames(a[index] ?? '', b[index] ?? '');
    if (order !== 0) return order;
  }
  return a.length - b.length;
};

/** Names that a reader on another system takes for the same: without case, and however accents are composed. */
export const foldName = (name: string): string => name.normalize('NFC').toLowerCase();
