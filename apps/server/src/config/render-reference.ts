/** docs/configuration.md: every key with type, default, environment variable and meaning, from the schema alone. */
import type { z } from 'zod';
import { describeLeaf } from './describe-schema.ts';
import { reservedVariables, secretVariablePrefix, variableOf } from './environment-name.ts';
import { encodeText } from './environment-text.ts';
import { configSchema } from './schema.ts';
import { readSchema, type LeafNode, type ObjectNode, type SchemaNode, type UnionNode } from './schema-tree.ts';

const introduction = `# Configuration

This page is generated from the schema (\`node tools/generate\`); a test fails when it is stale.

Casebound runs without any configuration. What differs from the defaults comes, later ones over earlier ones, from

1. a file: the one that \`--config\` or \`CASEBOUND_CONFIG\` names, else \`casebound.config.yaml\` (\`.yml\`, \`.json\`) in the working folder,
   else \`config.yaml\` (\`.yml\`, \`.json\`) in the data folder. Two of them at once are an error;
2. environment variables, as listed below;
3. options of the command line.

\`casebound config print\` shows every value with the place it comes from; secrets are masked. Anything that is wrong is reported
at once, each with key, value, what was expected, and file and line, and nothing is started: unknown keys and unknown \`CASEBOUND_\`
variables too.

**Files** are YAML 1.2 or JSON in UTF-8, at most 128 KiB, without aliases and tags; a key stands once.

**Variables** are set as text: numbers in decimal; \`true\`/\`false\`, \`yes\`/\`no\`, \`on\`/\`off\` or \`1\`/\`0\`; lists with commas between, or as JSON;
mappings as JSON. A variable that is set to nothing counts as not set; an empty text is \`""\`. A text that begins and ends with double
quotes is read as a JSON string; secrets are taken as they are.

**\`kind\`** chooses among variants that have keys of their own. The highest place that sets it decides; keys that lower places set for
another kind have no effect (\`config print\` lists them). When nobody sets it, and what is set fits only one kind, that kind is taken:
\`CASEBOUND_DATABASE_URL\` alone is enough to use your own database.

**Secrets** are written as references, \`secret://name\` or \`secret://name#field\`: see [secrets.md](secrets.md).
`;

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ');

const defaultOf = (leaf: LeafNode): string => {
  if (leaf.fallback === undefined) return leaf.optional ? '(not set)' : '**required**';
  const text = encodeText(leaf, leaf.fallback);
  return `\`${text}\``;
};

const row = (path: readonly string[], leaf: LeafNode): string =>
  `| \`${path.join('.')}\` | ${cell(describeLeaf(leaf))} | ${cell(defaultOf(leaf))} | \`${variableOf(path)}\` | ${cell(leaf.description ?? '')} |`;

const table = (rows: readonly string[]): string =>
  rows.length === 0
    ? ''
    : ['| key | value | default | variable | meaning |', '| --- | --- | --- | --- | --- |', ...rows, ''].join('\n');

/** Leaves in one table, then a section for each union below. */
const renderObject = (node: ObjectNode, path: readonly string[], level: number, skip?: string): string => {
  const rows: string[] = [];
  const sections: string[] = [];
  const collect = (object: ObjectNode, at: readonly string[]): void => {
    for (const [key, member] of object.members) {
      const memberPath = [...at, key];
      if (key === skip && at === path) continue;
      if (member.type === 'leaf') rows.push(row(memberPath, member));
      else if (member.type === 'object') collect(member, memberPath);
      else sections.push(renderUnion(member, memberPath, level + 1));
    }
  };
  collect(node, path);
  return [table(rows), ...sections].filter((part) => part !== '').join('\n');
};

const isSameLeaf = (a: SchemaNode | undefined, b: SchemaNode): boolean =>
  a === b || (a?.type === 'leaf' && b.type === 'leaf' && a.schema === b.schema);

/** Members that every variant has, by the very same schema. */
const sharedMembers = (variants: readonly ObjectNode[], discriminator: string): ObjectNode => {
  const [first] = variants;
  const members = [...(first?.members ?? [])].filter(
    ([key, member]) =>
      key !== discriminator && variants.every((variant) => sharesMember(variant.members.get(key), member)),
  );
  return { type: 'object', members: new Map(members), optional: false, fallback: undefined, description: undefined };
};

const sharesMember = (a: SchemaNode | undefined, b: SchemaNode): boolean => {
  if (a?.type !== 'object' || b.type !== 'object') return isSameLeaf(a, b);
  return (
    a.members.size === b.members.size &&
    [...b.members].every(([key, member]) => sharesMember(a.members.get(key), member))
  );
};

const kindDefault = (node: UnionNode): string => {
  const fallback: unknown = node.fallback;
  const kind: unknown =
    typeof fallback === 'object' && fallback !== null ? Reflect.get(fallback, node.discriminator) : undefined;
  return typeof kind === 'string' ? `\`${kind}\`` : '**required**';
};

const renderUnion = (node: UnionNode, path: readonly string[], level: number): string => {
  const { discriminator, variants } = node;
  const kindPath = [...path, discriminator];
  const kinds = [...variants.keys()];
  const heading = '#'.repeat(level);
  const shared = sharedMembers([...variants.values()], discriminator);
  const parts = [
    table([
      `| \`${kindPath.join('.')}\` | ${kinds.join(', ')} | ${kindDefault(node)} | \`${variableOf(kindPath)}\` | ${cell(node.description ?? 'Chooses the variant.')} |`,
    ]),
    renderObject(shared, path, level),
  ];
  for (const [kind, variant] of variants) {
    const own = new Map([...variant.members].filter(([key]) => !shared.members.has(key)));
    const kindLeaf = variant.members.get(discriminator);
    parts.push(`${heading} ${path.join('.')}, kind \`${kind}\`\n`);
    if (kindLeaf?.description !== undefined) parts.push(`${kindLeaf.description}\n`);
    parts.push(renderObject({ ...variant, members: own }, path, level, discriminator));
  }
  return parts.filter((part) => part !== '').join('\n');
};

/** The page for any schema. */
const renderReference = (schema: z.ZodType): string => {
  const tree = readSchema(schema);
  if (tree.type !== 'object') throw new TypeError('the configuration is no object');
  const areas = [...tree.members].map(([area, node]) => {
    const body =
      node.type === 'object'
        ? renderObject(node, [area], 2)
        : node.type === 'union'
          ? renderUnion(node, [area], 3)
          : table([row([area], node)]);
    return `## ${area}\n\n${body}`;
  });
  const others = [
    ...[...reservedVariables].map(([variable, meaning]) => `| \`${variable}\` | ${cell(meaning)} |`),
    `| \`${secretVariablePrefix}<NAME>\` | A secret, where secrets are kept in the environment. |`,
  ];
  return [
    introduction,
    ...areas,
    ['## Other variables\n', '| variable | meaning |', '| --- | --- |', ...others, ''].join('\n'),
  ].join('\n');
};

/** The page for the configuration of the product. */
export const renderConfigurationReference = (): string => renderReference(configSchema);
