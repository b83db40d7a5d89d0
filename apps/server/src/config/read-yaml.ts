/** YAML 1.2 (core schema) to located values. Bounds and key rules: see read-config-file.ts. */
import { isAlias, isMap, isScalar, isSeq, parseDocument, type ErrorCode, type ParsedNode } from 'yaml';
import { assertDepth, assertKey, ConfigSyntaxError } from './config-syntax.ts';
import type { Origin } from './effective-config.ts';
import type { Located, LocatedMember } from './located-value.ts';

/** Our own sentences: the parser's quote the source. */
const sentences: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: 'an alias cannot have a tag or an anchor',
  BAD_ALIAS: 'an anchor or alias has no name that is allowed',
  BAD_COLLECTION_TYPE: 'the tag does not fit the value',
  BAD_DIRECTIVE: 'the directive after "%" is not known',
  BAD_DQ_ESCAPE: 'there is an unknown escape sequence in a text in double quotes',
  BAD_INDENT: 'the indentation does not fit the lines around it, or a bracket is not closed',
  BAD_PROP_ORDER: 'tag or anchor stand in the wrong place',
  BAD_SCALAR_START: 'a text that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'there are two keys in one line; put the second on a line of its own, or quote the value',
  BLOCK_IN_FLOW: 'there is a block inside of brackets',
  DUPLICATE_KEY: 'the key stands twice',
  IMPOSSIBLE: 'the text cannot be read',
  KEY_OVER_1024_CHARS: 'the key is too long',
  MISSING_CHAR: 'a quote, bracket, comma or space is missing',
  MULTILINE_IMPLICIT_KEY: 'a key spreads over several lines; a ":" or a quote may be missing',
  MULTIPLE_ANCHORS: 'a value has two anchors',
  MULTIPLE_DOCS: 'a second document begins; a configuration file holds one',
  MULTIPLE_TAGS: 'a value has two tags',
  NON_STRING_KEY: 'a key is not a text',
  RESOURCE_EXHAUSTION: 'the nesting is too deep',
  TAB_AS_INDENT: 'a tab is used for indentation; use spaces',
  TAG_RESOLVE_FAILED: 'tags (words that begin with "!") are not allowed',
  UNEXPECTED_TOKEN: 'this was not expected here',
};

const coreTags: ReadonlySet<string> = new Set(
  ['map', 'seq', 'str', 'int', 'float', 'bool', 'null'].map((name) => `tag:yaml.org,2002:${name}`),
);

export const readYaml = (text: string, originAt: (offset: number) => Origin): Located | undefined => {
  // The parser compares every key of a mapping with all others (7 s for 128 KiB of keys); the walk below uses a map.
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, merge: false, schema: 'core' });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw new ConfigSyntaxError(problem.pos[0], sentences[problem.code]);
  return document.contents === null ? undefined : locateNode(document.contents, originAt, 1);
};

const locateNode = (node: ParsedNode, originAt: (offset: number) => Origin, depth: number): Located => {
  const [offset] = node.range;
  const origin = originAt(offset);
  assertDepth(depth, offset);
  if (isAlias(node)) throw new ConfigSyntaxError(offset, 'aliases ("*name") are not allowed; write the value again');
  if (node.tag !== undefined && !coreTags.has(node.tag))
    throw new ConfigSyntaxError(offset, sentences.TAG_RESOLVE_FAILED);
  if (isMap(node)) {
    const members = new Map<string, LocatedMember>();
    for (const { key, value } of node.items) {
      const [keyOffset] = key.range;
      if (!isScalar(key) || typeof key.value !== 'string') {
        throw new ConfigSyntaxError(keyOffset, 'a key must be a text; put it in quotes');
      }
      assertKey(key.value, members, keyOffset);
      const keyOrigin = originAt(keyOffset);
      members.set(key.value, {
        keyOrigin,
        value:
          value === null ? { type: 'scalar', value: null, origin: keyOrigin } : locateNode(value, originAt, depth + 1),
      });
    }
    return { type: 'mapping', members, origin };
  }
  if (isSeq(node))
    return { type: 'list', items: node.items.map((item) => locateNode(item, originAt, depth + 1)), origin };
  return { type: 'scalar', value: node.value, origin };
};
