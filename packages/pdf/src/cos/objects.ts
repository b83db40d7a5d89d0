/**
 * PDF objects (ISO 32000-2, 7.3) as plain values. Generation numbers are not kept: the plain dialect that this package edits
 * has one generation of each object.
 */
export interface CosName {
  readonly kind: 'name';
  readonly name: string;
}
export interface CosString {
  readonly kind: 'string';
  readonly bytes: Uint8Array;
}
export interface CosRef {
  readonly kind: 'ref';
  readonly number: number;
}
export interface CosArray {
  readonly kind: 'array';
  readonly items: readonly CosObject[];
}
export interface CosDict {
  readonly kind: 'dict';
  readonly entries: ReadonlyMap<string, CosObject>;
}
export interface CosStream {
  readonly kind: 'stream';
  readonly dict: CosDict;
  /** As stored: encoded by the filters that the dictionary names. */
  readonly raw: Uint8Array;
}
export type CosObject = null | boolean | number | CosName | CosString | CosRef | CosArray | CosDict | CosStream;

export const name = (text: string): CosName => ({ kind: 'name', name: text });
export const ref = (number: number): CosRef => ({ kind: 'ref', number });
export const array = (items: readonly CosObject[]): CosArray => ({ kind: 'array', items });
export const dict = (entries: Readonly<Record<string, CosObject | undefined>>): CosDict => {
  const map = new Map<string, CosObject>();
  for (const [key, value] of Object.entries(entries)) if (value !== undefined) map.set(key, value);
  return { kind: 'dict', entries: map };
};
export const emptyDict: CosDict = { kind: 'dict', entries: new Map() };

/** The dictionary with some entries set, or removed where the value is undefined. */
export const withEntries = (base: CosDict, changes: Readonly<Record<string, CosObject | undefined>>): CosDict => {
  const entries = new Map(base.entries);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) entries.delete(key);
    else entries.set(key, value);
  }
  return { kind: 'dict', entries };
};

type Compound = Exclude<CosObject, null | boolean | number>;
export const isKind = <K extends Compound['kind']>(
  object: CosObject | undefined,
  kind: K,
): object is Extract<Compound, { kind: K }> => typeof object === 'object' && object !== null && object.kind === kind;

export const isName = (object: CosObject | undefined, text: string): boolean =>
  isKind(object, 'name') && object.name === text;
