/**
 * The subset of JSONPath that API schemas use: `$`, `.member` and `[*]`, nothing else.
 *
 * - A parsed path is a list of steps; `'*'` as a step of kind `each` stands for every element of an array.
 * - A *concrete* path names one place in one document (`$.addresses[2].city`) and is what error messages carry.
 */

export type PathStep = { readonly kind: 'member'; readonly name: string } | { readonly kind: 'each' };

/** Parses `$.a.b[*].c`; null when the text is not of this form. */
export const parsePath = (text: string): readonly PathStep[] | null => {
  if (!text.startsWith('$')) return null;
  const steps: PathStep[] = [];
  let at = 1;
  while (at < text.length) {
    if (text.startsWith('[*]', at)) {
      steps.push({ kind: 'each' });
      at += 3;
    } else if (text[at] === '.') {
      const rest = /[.[]/.exec(text.slice(at + 1));
      const end = rest === null ? text.length : at + 1 + rest.index;
      if (end === at + 1) return null;
      steps.push({ kind: 'member', name: text.slice(at + 1, end) });
      at = end;
    } else return null;
  }
  return steps;
};

/** The path of the object that holds the last member: `$.a[*].b` for `$.a[*].b.c`. */
export const parentPath = (path: string): string => {
  const cut = Math.max(path.lastIndexOf('.'), path.lastIndexOf('['));
  return cut <= 0 ? '$' : path.slice(0, cut);
};

/** The name of the last member: `c` for `$.a[*].b.c`. */
export const lastMember = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

/** A JSON pointer of a validator (`/addresses/0/city`) as a concrete JSON path (`$.addresses[0].city`). */
export const pathFromPointer = (pointer: string): string =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : `${path}.${part}`), '$');
