/** A sample of mail: each message as a file, and all of them as one mailbox. */
import { mboxEntry } from './formats/write-mbox.ts';
import type { FamilyPlan } from './plan-families.ts';
import { fileNames } from './prepare-folder.ts';
import { renderItem } from './render-item.ts';
import type { Parts } from './sample-parts.ts';

const FILE_DIGITS = 8;

/** Writes a message and its attachments as mail alone. */
export const writeMail = async (parts: Parts, family: FamilyPlan, room: number): Promise<void> => {
  const { glyphs, sink, tally, paths } = parts;
  const children = family.children.slice(0, room - 1).map((plan) => renderItem(plan, glyphs));
  const item = renderItem(family.root, glyphs, children);
  const { native } = item;
  if (native === undefined || family.root.message === undefined) return;
  await sink.write(paths.next('MAIL', `${String(tally.families + 1).padStart(FILE_DIGITS, '0')}.eml`), native);
  await sink.append(fileNames.mailbox, mboxEntry(family.root.message, native));
  tally.documents += 1 + children.length;
  tally.pages += 1 + children.length;
  for (const { kind } of [family.root, ...children.map(({ plan }) => plan)])
    tally.byKind[kind] = (tally.byKind[kind] ?? 0) + 1;
};
