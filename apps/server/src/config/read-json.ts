/** JSON (RFC 8259: no comments, no trailing commas) to located values. Bounds and key rules: see read-config-file.ts. */
// The package is UMD: Node sees its exports only on the default, whatever its types say.
// oxlint-disable import/default, import/no-named-as-default-member
import jsonc, { type Node, type ParseError } from 'jsonc-parser';
import { assertDepth, assertKey, ConfigSyntaxError } from './config-syntax.ts';
import type { Origin } from './effective-config.ts';
import type { Located, LocatedMember } from './located-value.ts';

const sentence = (code: string): string => {
  switch (code) {
    case 'PropertyNameExpected':
      return 'expected a key in double quotes; there may be a comma too many';
    case 'ValueExpected':
      return 'expected a value';
    case 'ColonExpected':
      return 'expected ":"';
    case 'CommaExpected':
      return 'expected ","';
    case 'CloseBraceExpected':
      return 'expected "}"';
    case 'CloseBracketExpected':
      return 'expected "]"';
    case 'EndOfFileExpected':
      return 'expected nothing more';
    case 'InvalidCommentToken':
    case 'UnexpectedEndOfComment':
      return 'comments are not allowed in JSON; use a YAML file for them';
    case 'UnexpectedEndOfString':
      return 'a text is not closed with a double quote';
    case 'InvalidNumberFormat':
    case 'UnexpectedEndOfNumber':
      return 'a number is not complete';
    case 'InvalidUnicode':
    case 'InvalidEscapeCharacter':
      return 'there is an unknown escape sequence in a text';
    default:
      return 'there is a character or word that JSON does not know';
  }
};

export const readJson = (text: string, originAt: (offset: number) => Origin): Located | undefined => {
  if (text.trim() === '') return undefined;
  const errors: ParseError[] = [];
  let root: Node | undefined;
  try {
    root = jsonc.parseTree(text, errors, { disallowComments: true, allowTrailingComma: false });
  } catch (error) {
    // The parser recurses; a hundred thousand brackets exhaust the stack.
    if (error instanceof RangeError) throw new ConfigSyntaxError(0, 'the nesting is too deep');
    throw error;
  }
  const [problem] = errors;
  if (problem !== undefined)
    throw new ConfigSyntaxError(problem.offset, sentence(jsonc.printParseErrorCode(problem.error)));
  return root === undefined ? undefined : locateNode(root, originAt, 1);
};

const locateNode = (node: Node, originAt: (offset: number) => Origin, depth: number): Located => {
  assertDepth(depth, node.offset);
  const origin = originAt(node.offset);
  if (node.type === 'object') {
    const members = new Map<string, LocatedMember>();
    for (const property of node.children ?? []) {
      const [key, value] = property.children ?? [];
      if (key === undefined || value === undefined)
        throw new ConfigSyntaxError(property.offset, sentence('ValueExpected'));
      const name = String(key.value);
      assertKey(name, members, key.offset);
      members.set(name, { keyOrigin: originAt(key.offset), value: locateNode(value, originAt, depth + 1) });
    }
    return { type: 'mapping', members, origin };
  }
  if (node.type === 'array') {
    return { type: 'list', items: (node.children ?? []).map((item) => locateNode(item, originAt, depth + 1)), origin };
  }
  return { type: 'scalar', value: node.value, origin };
};
