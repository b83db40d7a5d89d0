/** What a leaf accepts, in words that complete "expected ...". */
import { z } from 'zod';
import { describeShape } from '../platform/secrets/Port.ts';
import type { LeafNode } from './schema-tree.ts';

type JsonSchema = z.core.JSONSchema.JSONSchema;

const range = (schema: JsonSchema): string => {
  const whole = schema.type === 'integer';
  const first = whole && typeof schema.exclusiveMinimum === 'number' ? schema.exclusiveMinimum + 1 : schema.minimum;
  const least = first !== undefined && first > Number.MIN_SAFE_INTEGER ? first : undefined;
  const most = schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER ? schema.maximum : undefined;
  const parts: string[] = [];
  if (least !== undefined && most !== undefined) parts.push(`from ${least} to ${most}`);
  else if (least !== undefined) parts.push(`of at least ${least}`);
  else if (most !== undefined) parts.push(`of at most ${most}`);
  if (schema.exclusiveMinimum !== undefined && !whole) parts.push(`greater than ${schema.exclusiveMinimum}`);
  if (schema.exclusiveMaximum !== undefined) parts.push(`less than ${schema.exclusiveMaximum}`);
  if (schema.multipleOf !== undefined) parts.push(`in steps of ${schema.multipleOf}`);
  return parts.map((part) => ` ${part}`).join('');
};

const formats: ReadonlyMap<string, string> = new Map([
  ['uri', 'a URL'],
  ['email', 'an e-mail address'],
  ['uuid', 'a UUID'],
  ['ipv4', 'an IPv4 address'],
  ['ipv6', 'an IPv6 address'],
  ['date-time', 'a date and time such as 2030-01-31T12:00:00Z'],
  ['date', 'a date such as 2030-01-31'],
  ['duration', 'a duration such as PT30S'],
]);

const text = (schema: JsonSchema): string => {
  const format = schema.format === undefined ? undefined : formats.get(schema.format);
  if (format !== undefined) return format;
  const parts = ['a text'];
  if (schema.minLength === 1) parts.push('that is not empty');
  else if (schema.minLength !== undefined) parts.push(`of at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) parts.push(`of at most ${schema.maxLength} characters`);
  return parts.join(' ');
};

const orList = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1) ?? ''}`;

const describe = (schema: JsonSchema | boolean): string => {
  if (typeof schema === 'boolean') return 'a value';
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum !== undefined) return orList(schema.enum.map(String));
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) {
    const words = options.map(describe);
    return words.every((word) => word.startsWith('a mapping')) ? 'a mapping' : orList(words);
  }
  switch (schema.type) {
    case 'integer':
      return `a whole number${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    case 'string':
      return text(schema);
    case 'array': {
      const of = schema.items === undefined || Array.isArray(schema.items) ? '' : `, each ${describe(schema.items)}`;
      return `a list${schema.minItems === undefined ? '' : ` of at least ${schema.minItems}`}${of}`;
    }
    case 'object': {
      const keys = Object.keys(schema.properties ?? {});
      return keys.length === 0 ? 'a mapping' : `a mapping of ${keys.join(', ')}`;
    }
    default:
      return 'a value';
  }
};

const secretShapeOf = (leaf: LeafNode): string | undefined => {
  const shape = leaf.inner.meta()?.['secretShape'];
  return shape === undefined ? undefined : describeShape(shape as Parameters<typeof describeShape>[0]);
};

export const describeLeaf = (leaf: LeafNode): string => {
  const secret = secretShapeOf(leaf);
  if (secret !== undefined) return `${secret}, or a reference secret://name to one`;
  const words = describe(z.toJSONSchema(leaf.inner, { io: 'input', unrepresentable: 'any' }));
  return leaf.nullable ? `${words} or null` : words;
};
