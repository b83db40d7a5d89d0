/** A mailbox in one file (RFC 4155, and mboxrd's quoting of lines that look like its separator): each message is an item. */
import type { Readable } from 'node:stream';
import type { FileType } from './file-type.ts';
import { splitMbox, unquoteFromLines } from './mail/split-mbox.ts';
import { bytesOfSpan } from './random-bytes.ts';
import type { Expansion } from './source-model.ts';
import type { ExpandContext, RandomNode, SourceNode } from './source-node.ts';
import { itemOf, parentOfMembers } from './source-node.ts';

const numberDigits = 6;

export const expandMbox = async function* (
  node: RandomNode,
  type: FileType,
  context: ExpandContext,
): AsyncGenerator<Expansion> {
  yield itemOf(node, type, { kind: 'container' });
  let number = 0;
  for await (const found of splitMbox(node.bytes)) {
    const name = `${++number}`.padStart(numberDigits, '0');
    const quoted = bytesOfSpan(node.bytes, found.span);
    const common: Omit<SourceNode, 'bytes' | 'open' | 'size'> = {
      path: `${node.path}/${name}`,
      fileName: `${name}.eml`,
      parentPath: parentOfMembers(node),
      sourcePath: node.path,
      depth: node.depth + 1,
      modifiedAt: null,
      statedMime: 'message/rfc822',
      attachment: null,
      problems: [],
    };
    if (!found.hasQuotedLines) {
      yield* context.expand({ ...common, size: quoted.size, bytes: quoted, open: () => quoted.open() });
      continue;
    }
    const open = async (): Promise<Readable> => unquoteFromLines(await quoted.open());
    yield* context.expand({ ...common, size: null, bytes: null, open });
  }
};
