/**
 * The schema as the loader needs it: which keys exist, which variants a `kind` chooses among, what the leaves are.
 *
 * - Reads zod schemas through their public definitions and never parses with them, but for defaults.
 * - A leaf is whatever is set as a whole: scalars, lists, records, and unions that no discriminator decides.
 */
import { z } from 'zod';

export interface LeafNode {
  readonly type: 'leaf';
  /** Complete, with its defaults. */
  readonly schema: z.ZodType;
  /** Without defaults and optionality. */
  readonly inner: z.ZodType;
  readonly nullable: boolean;
  readonly optional: boolean;
  /** The default, before parsing; undefined when there is none. */
  readonly fallback: unknown;
  readonly secret: boolean;
  readonly description: string | undefined;
}

export interface ObjectNode {
  readonly type: 'object';
  readonly members: ReadonlyMap<string, SchemaNode>;
  readonly optional: boolean;
  readonly fallback: unknown;
  readonly description: string | undefined;
}

export interface UnionNode {
  readonly type: 'union';
  readonly discriminator: string;
  readonly variants: ReadonlyMap<string, ObjectNode>;
  readonly optional: boolean;
  readonly fallback: unknown;
  readonly description: string | undefined;
}

export type SchemaNode = LeafNode | ObjectNode | UnionNode;

interface Unwrapped {
  readonly inner: z.ZodType;
  readonly optional: boolean;
  readonly nullable: boolean;
  readonly fallback: unknown;
  readonly secret: boolean;
  readonly description: string | undefined;
}

/** zod types its definitions' members by the core class; every schema that we meet is of the classic one. */
const asSchema = (schema: z.core.SomeType): z.ZodType => schema as z.ZodType;

const wrapped = (schema: z.ZodType): z.ZodType | undefined => {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNonOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodCatch
  ) {
    return asSchema(schema.def.innerType);
  }
  return schema instanceof z.ZodLazy ? asSchema(schema.def.getter()) : undefined;
};

/** For a pipe the side that reads input, so that `z.strictObject(...).transform(...)` still is an object. */
const inputSide = (schema: z.ZodType): z.ZodType => {
  if (!(schema instanceof z.ZodPipe)) return schema;
  const { in: first, out } = schema.def;
  return inputSide(asSchema(first instanceof z.ZodTransform ? out : first));
};

const unwrap = (schema: z.ZodType): Unwrapped => {
  const meta = schema.meta();
  const secret = meta?.['secret'] === true;
  const child = wrapped(schema);
  if (child === undefined) {
    return {
      inner: schema,
      optional: false,
      nullable: false,
      fallback: undefined,
      secret,
      description: meta?.description,
    };
  }
  const below = unwrap(child);
  const fallback =
    schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault ? schema.def.defaultValue : below.fallback;
  return {
    inner: below.inner,
    optional: schema instanceof z.ZodOptional || (below.optional && !(schema instanceof z.ZodNonOptional)),
    nullable: schema instanceof z.ZodNullable || below.nullable,
    fallback,
    secret: secret || below.secret,
    description: meta?.description ?? below.description,
  };
};

/** Whether a value of the schema can hold a secret at any depth. */
const holdsSecret = (schema: z.ZodType): boolean => {
  const { inner, secret } = unwrap(schema);
  if (secret) return true;
  const side = inputSide(inner);
  if (side instanceof z.ZodArray) return holdsSecret(asSchema(side.def.element));
  if (side instanceof z.ZodRecord) return holdsSecret(asSchema(side.def.valueType));
  if (side instanceof z.ZodUnion) return side.def.options.some((option) => holdsSecret(asSchema(option)));
  if (side instanceof z.ZodObject) return Object.values(side.shape).some((member) => holdsSecret(asSchema(member)));
  return false;
};

const objectNode = (object: z.ZodObject, around: Unwrapped): ObjectNode => ({
  type: 'object',
  members: new Map(Object.entries(object.shape).map(([key, member]) => [key, readSchema(asSchema(member))])),
  optional: around.optional,
  fallback: around.fallback,
  description: around.description,
});

const unionNode = (union: z.ZodDiscriminatedUnion, around: Unwrapped): UnionNode => {
  const { discriminator, options } = union.def;
  const variants = new Map<string, ObjectNode>();
  for (const option of options) {
    const variant = unwrap(asSchema(option));
    const object = inputSide(variant.inner);
    if (!(object instanceof z.ZodObject))
      throw new TypeError(`a variant of a union over "${discriminator}" is no object`);
    const kinds = object.shape[discriminator]?._zod.values ?? new Set();
    for (const kind of kinds) variants.set(String(kind), objectNode(object, variant));
  }
  return {
    type: 'union',
    discriminator,
    variants,
    optional: around.optional,
    fallback: around.fallback,
    description: around.description,
  };
};

export const readSchema = (schema: z.ZodType): SchemaNode => {
  const around = unwrap(schema);
  const side = inputSide(around.inner);
  if (side instanceof z.ZodObject && !around.secret) return objectNode(side, around);
  if (side instanceof z.ZodDiscriminatedUnion && !around.secret) return unionNode(side, around);
  return {
    type: 'leaf',
    schema,
    inner: around.inner,
    nullable: around.nullable,
    optional: around.optional,
    fallback: around.fallback,
    secret: holdsSecret(schema),
    description: around.description,
  };
};

/** A leaf's place in the schema. Variants of a union may each have a leaf of the same path. */
export interface SchemaLeaf {
  readonly path: readonly string[];
  readonly node: LeafNode;
  /** The `kind`s on the way, `database.kind` -> `url`; empty for a leaf that always exists. */
  readonly when: ReadonlyMap<string, string>;
}

/** Every leaf in the order of the schema, for a union variant by variant. */
export const schemaLeaves = (
  node: SchemaNode,
  path: readonly string[] = [],
  when: ReadonlyMap<string, string> = new Map(),
): readonly SchemaLeaf[] => {
  switch (node.type) {
    case 'leaf':
      return [{ path, node, when }];
    case 'object':
      return [...node.members].flatMap(([key, member]) => schemaLeaves(member, [...path, key], when));
    case 'union': {
      const decider = [...path, node.discriminator].join('.');
      return [...node.variants].flatMap(([kind, variant]) =>
        schemaLeaves(variant, path, new Map([...when, [decider, kind]])),
      );
    }
  }
};
