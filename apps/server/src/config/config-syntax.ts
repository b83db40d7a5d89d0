/** What both file formats check alike. */

/** What is wrong in a file, at an offset in UTF-16 units; the sentence quotes nothing of the file. */
export class ConfigSyntaxError extends Error {
  readonly offset: number;

  constructor(offset: number, sentence: string) {
    super(sentence);
    this.name = 'ConfigSyntaxError';
    this.offset = offset;
  }
}

const maxDepth = 32;

export const assertDepth = (depth: number, offset: number): void => {
  if (depth > maxDepth) throw new ConfigSyntaxError(offset, `the nesting is deeper than ${maxDepth} levels`);
};

/** Refuses a key that stands twice or that means something to JavaScript objects. */
export const assertKey = (key: string, members: ReadonlyMap<string, unknown>, offset: number): void => {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
    throw new ConfigSyntaxError(offset, `the key "${key}" is not allowed`);
  }
  if (members.has(key)) throw new ConfigSyntaxError(offset, 'the key stands twice in the same mapping');
};
