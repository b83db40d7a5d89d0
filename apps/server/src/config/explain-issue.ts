/** Turns what the schema refuses into problems that say key, value, expectation and place. */
import type { z } from 'zod';
import type { ConfigProblem } from './config-problem.ts';
import { describeLeaf } from './describe-schema.ts';
import { decodeText } from './environment-text.ts';
import { variableOf } from './environment-name.ts';
import { locate, toPlain, type Located } from './located-value.ts';
import { shownValue } from './mask-value.ts';
import type { MergedLayers } from './merge-layers.ts';
import type { LeafNode, SchemaNode } from './schema-tree.ts';

interface FoundLeaf {
  readonly path: readonly string[];
  readonly leaf: LeafNode;
  /** The rest of the issue's path, within the leaf's value. */
  readonly below: readonly PropertyKey[];
}

const member = (from: unknown, key: string): unknown =>
  typeof from === 'object' && from !== null && Object.hasOwn(from, key) ? Reflect.get(from, key) : undefined;

/** The leaf at or above `path`; undefined when the path ends at an object or union. */
const findLeaf = (
  node: SchemaNode,
  input: unknown,
  path: readonly PropertyKey[],
  walked: readonly string[] = [],
): FoundLeaf | undefined => {
  if (node.type === 'leaf') return { path: walked, leaf: node, below: path };
  const [step, ...rest] = path;
  if (step === undefined) return undefined;
  const members =
    node.type === 'object' ? node.members : node.variants.get(String(member(input, node.discriminator)))?.members;
  const next = members?.get(String(step));
  return next === undefined ? undefined : findLeaf(next, member(input, String(step)), rest, [...walked, String(step)]);
};

/** zod's own messages begin with these words; anything else was written by the schema's author for people. */
const zodsOwn = /^(?:Invalid |Too |Unrecognized |Expected )/;

const expectation = (issue: z.core.$ZodIssue, found: FoundLeaf): string => {
  if (!zodsOwn.test(issue.message)) return issue.message.replace(/^expected /i, '').replace(/\.$/, '');
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options))
    return `one of ${issue.options.map(String).join(', ')}`;
  if (found.below.length === 0) return describeLeaf(found.leaf);
  return issue.message.replace(/^[^:]*: (?:expected )?/, '');
};

const itemPath = (below: readonly PropertyKey[]): string =>
  below.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('');

const explainLeaf = (issue: z.core.$ZodIssue, found: FoundLeaf, located: Located | undefined): ConfigProblem => {
  const { leaf, below } = found;
  const path = [...found.path.slice(0, -1), `${found.path.at(-1) ?? ''}${itemPath(below)}`];
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => key.slice(0, 100)).join(', ');
    const origin = located === undefined ? undefined : locate(located, [...below, issue.keys[0] ?? '']).origin;
    return { path, message: `has keys that are not known: ${keys}`, origin };
  }
  const expected = expectation(issue, found);
  if (located === undefined) {
    const message =
      issue.code === 'custom'
        ? expected
        : `is required; expected ${expected}; set it in the file or as ${variableOf(found.path)}`;
    return { path, message, origin: undefined };
  }
  const exact = locate(located, below);
  const value = located.type === 'text' ? decodeText(leaf, located.text) : toPlain(exact);
  const shown = shownValue(value, leaf.secret);
  const because = issue.code === 'custom' && !leaf.secret ? expected : `expected ${expected}`;
  return { path, message: `${shown} is not allowed; ${because}`, origin: exact.origin };
};

/** Issues at paths that the merge already has reported (a `kind` that is not known) are left out. */
export const explainIssues = (
  schema: SchemaNode,
  merged: MergedLayers,
  issues: readonly z.core.$ZodIssue[],
): readonly ConfigProblem[] => {
  const reported = merged.problems.map(({ path }) => path.join('.'));
  return issues.flatMap((issue): ConfigProblem[] => {
    const dotted = issue.path.map(String).join('.');
    if (reported.some((path) => path === dotted || dotted.startsWith(`${path}.`))) return [];
    const found = findLeaf(schema, merged.input, issue.path);
    if (found !== undefined) return [explainLeaf(issue, found, merged.given.get(found.path.join('.')))];
    return [{ path: issue.path.map(String), message: issue.message, origin: undefined }];
  });
};
