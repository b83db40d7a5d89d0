/** A value as a layer of the configuration gives it, with the place it was written, so that any error can say where. */
import type { Origin } from './effective-config.ts';

export type Located =
  | { readonly type: 'mapping'; readonly members: ReadonlyMap<string, LocatedMember>; readonly origin: Origin }
  | { readonly type: 'list'; readonly items: readonly Located[]; readonly origin: Origin }
  | { readonly type: 'scalar'; readonly value: unknown; readonly origin: Origin }
  /** Text of an environment variable or flag, which means what the schema's leaf makes of it. */
  | { readonly type: 'text'; readonly text: string; readonly origin: Origin };

export interface LocatedMember {
  readonly value: Located;
  /** Where the key stands, which for a mapping is not where its first member stands. */
  readonly keyOrigin: Origin;
}

/** The plain value. Own properties only, so that no key of the input can reach a prototype. */
export const toPlain = (located: Located): unknown => {
  switch (located.type) {
    case 'mapping':
      return Object.fromEntries([...located.members].map(([key, member]) => [key, toPlain(member.value)]));
    case 'list':
      return located.items.map(toPlain);
    case 'scalar':
      return located.value;
    case 'text':
      return located.text;
  }
};

/** What stands at `path` below `located`, or the deepest part of the way that exists. */
export const locate = (located: Located, path: readonly PropertyKey[]): Located => {
  const [step, ...rest] = path;
  if (step === undefined) return located;
  const next =
    located.type === 'mapping'
      ? located.members.get(String(step))?.value
      : located.type === 'list' && typeof step === 'number'
        ? located.items[step]
        : undefined;
  return next === undefined ? located : locate(next, rest);
};

export const describeOrigin = (origin: Origin): string => {
  switch (origin.kind) {
    case 'default':
      return 'default';
    case 'file':
      return `${origin.file}:${origin.line}`;
    case 'environment':
      return `environment ${origin.variable}`;
    case 'flag':
      return `flag ${origin.flag}`;
  }
};
