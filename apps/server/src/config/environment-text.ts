/**
 * Settings as the text of an environment variable or a flag, and back.
 *
 * - The schema's leaf decides what text means; text that cannot mean anything to it is passed on for the schema to refuse.
 * - `decodeText(leaf, encodeText(leaf, value))` is `value` for everything that a leaf can hold.
 * - Numbers in decimal; true/false, yes/no, on/off, 1/0; lists with commas between, or as JSON; mappings as JSON. A text stands
 *   for itself; one that is empty or that would read as something else is written as a JSON string, in double quotes.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { LeafNode } from './schema-tree.ts';

type TextKind = 'number' | 'boolean' | 'text' | 'null' | 'list' | 'mapping';

const everyKind: readonly TextKind[] = ['number', 'boolean', 'text', 'null', 'list', 'mapping'];

const kindOfValue = (value: unknown): TextKind => {
  if (value === null) return 'null';
  return typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'text';
};

const kindsOf = (schema: z.core.SomeType): readonly TextKind[] => {
  if (schema instanceof z.ZodPipe)
    return kindsOf(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in);
  if (schema instanceof z.ZodUnion) return schema.def.options.flatMap(kindsOf);
  if (schema instanceof z.ZodNullable) return ['null', ...kindsOf(schema.def.innerType)];
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNonOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodCatch
  ) {
    return kindsOf(schema.def.innerType);
  }
  if (schema instanceof z.ZodLiteral) return [...schema.values].map(kindOfValue);
  if (schema instanceof z.ZodEnum) return schema.options.map(kindOfValue);
  switch (schema._zod.def.type) {
    case 'number':
      return ['number'];
    case 'boolean':
      return ['boolean'];
    case 'null':
      return ['null'];
    case 'string':
    case 'template_literal':
    case 'date':
      return ['text'];
    case 'array':
    case 'tuple':
    case 'set':
      return ['list'];
    case 'record':
    case 'object':
    case 'map':
      return ['mapping'];
    default:
      return everyKind;
  }
};

const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const truths: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['yes', true],
  ['no', false],
  ['on', true],
  ['off', false],
  ['1', true],
  ['0', false],
]);

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

const decodeScalar = (kinds: ReadonlySet<TextKind>, text: string): unknown => {
  const word = text.trim();
  if (kinds.has('null') && word === 'null') return null;
  if (kinds.has('number') && decimal.test(word)) return Number(word);
  if (kinds.has('boolean')) {
    const truth = truths.get(word.toLowerCase());
    // Where the leaf also takes texts or numbers, only the two plain words can mean a boolean.
    if (truth !== undefined && (kinds.size === 1 || word === String(truth))) return truth;
  }
  if (!kinds.has('text')) return text;
  const quoted = text.length > 1 && text.startsWith('"') && text.endsWith('"') ? parseJson(text) : undefined;
  return typeof quoted === 'string' ? quoted : text;
};

const elementOf = (schema: z.core.SomeType): z.core.SomeType | undefined => {
  if (schema instanceof z.ZodPipe)
    return elementOf(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in);
  return schema instanceof z.ZodArray ? schema.def.element : undefined;
};

/** The value that `text` means to the leaf. Not validated: the schema does that. */
export const decodeText = (leaf: LeafNode, text: string): unknown => {
  const kinds = new Set(kindsOf(leaf.inner));
  if (leaf.nullable) kinds.add('null');
  // A secret is taken as it is, whatever characters it has.
  if (leaf.secret && kinds.has('text')) return text;
  if (
    (kinds.has('mapping') && text.trimStart().startsWith('{')) ||
    (kinds.has('list') && text.trimStart().startsWith('['))
  ) {
    return parseJson(text) ?? text;
  }
  const element = elementOf(leaf.inner);
  if (kinds.has('list') && element !== undefined && !(kinds.has('null') && text.trim() === 'null')) {
    const itemKinds = new Set(kindsOf(element));
    return text.split(',').map((item) => decodeScalar(itemKinds, item.trim()));
  }
  return decodeScalar(kinds, text);
};

const plainText = (value: unknown): string => {
  if (typeof value === 'string') return value;
  if (Object.is(value, -0)) return '-0';
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (Array.isArray(value)) return value.map(plainText).join(',');
  return JSON.stringify(value);
};

/** The text that means `value` (as given to the schema, not as it comes out of it) to the leaf. */
export const encodeText = (leaf: LeafNode, value: unknown): string => {
  const plain = plainText(value);
  // An empty variable counts as not set, so no value may be written as nothing.
  return plain !== '' && isDeepStrictEqual(decodeText(leaf, plain), value) ? plain : JSON.stringify(value);
};
