/** A message of Outlook in a compound file (.msg; MS-OXMSG): parsed whole, in the parser thread, up to a size. */
import type { FileType } from './file-type.ts';
import { expandOutlookMessage } from './mail/expand-outlook.ts';
import { readSpan } from './random-bytes.ts';
import type { Expansion } from './source-model.ts';
import type { ExpandContext, RandomNode } from './source-node.ts';
import { itemOf } from './source-node.ts';

export const expandMsg = async function* (
  node: RandomNode,
  type: FileType,
  context: ExpandContext,
): AsyncGenerator<Expansion> {
  const { path } = node;
  const { maxWholeFileBytes } = context.limits;
  if (node.bytes.size > maxWholeFileBytes) {
    const reason = `The message has more than ${maxWholeFileBytes} bytes; it is kept whole, attachments are not taken out.`;
    yield itemOf(node, type, { kind: 'document', problems: [{ path, code: 'limit_exceeded', reason }] });
    return;
  }
  const whole = await readSpan(node.bytes, { start: 0, end: node.bytes.size });
  // A buffer of its own, so that it can be handed over instead of copied.
  const bytes = new Uint8Array(whole);
  const parsed = await context.workspace.parser.run('msg', { bytes }, [bytes.buffer]);
  if (!parsed.ok) {
    const problems = [
      { path, code: 'corrupt' as const, reason: `The message cannot be taken apart: ${parsed.reason}` },
    ];
    yield itemOf(node, type, { kind: 'document', problems });
    return;
  }
  yield* expandOutlookMessage(node, type, parsed.value, context);
};
