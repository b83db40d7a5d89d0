/**
 * Takes glyph procedures that no text uses any more out of Type 3 fonts. Such a procedure can be a picture of a whole word, so what
 * it draws must go with the text that used it (ISO 32000-2, 9.6.4).
 */
import { readOperators } from '../content/read-operators.ts';
import { type CosObject, isKind, isName, withEntries } from '../cos/objects.ts';
import type { DocumentEdit } from '../edit/open-edit.ts';
import { listContentStreams } from './content-streams.ts';

/** Codes that each of the fonts still shows. */
const usedCodes = (edit: DocumentEdit, fonts: ReadonlySet<number>): ReadonlyMap<number, ReadonlySet<number>> => {
  const used = new Map([...fonts].map((font) => [font, new Set<number>()]));
  const show = (font: number | undefined, operand: CosObject | undefined): void => {
    const codes = font === undefined ? undefined : used.get(font);
    if (codes === undefined) return;
    const items = isKind(operand, 'array') ? operand.items : [operand];
    for (const item of items) if (isKind(item, 'string')) for (const code of item.bytes) codes.add(code);
  };
  for (const stream of listContentStreams(edit)) {
    const names = edit.file.dict(stream.resources?.entries.get('Font'));
    const bytes = stream.content();
    if (bytes === undefined) continue;
    let font: number | undefined;
    const stack: (number | undefined)[] = [];
    for (const { operator, operands } of readOperators(bytes)) {
      if (operator === 'q') stack.push(font);
      else if (operator === 'Q') font = stack.pop();
      else if (operator === 'Tf') {
        const key = operands.at(-2);
        const object = isKind(key, 'name') ? names?.entries.get(key.name) : undefined;
        font = isKind(object, 'ref') ? object.number : undefined;
      } else if (operator === 'Tj' || operator === 'TJ' || operator === "'" || operator === '"')
        show(font, operands.at(-1));
    }
  }
  return used;
};

/** Prunes the Type 3 fonts among `fonts` (object numbers). */
export const pruneCharProcs = (edit: DocumentEdit, fonts: ReadonlySet<number>): void => {
  const { file } = edit;
  const type3 = new Set(
    [...fonts].filter((number) =>
      isName(file.resolve(file.dict({ kind: 'ref', number })?.entries.get('Subtype')), 'Type3'),
    ),
  );
  if (type3.size === 0) return;
  for (const [number, codes] of usedCodes(edit, type3)) {
    const font = file.dict({ kind: 'ref', number });
    const procedures = file.dict(font?.entries.get('CharProcs'));
    const differences = file.array(file.dict(font?.entries.get('Encoding'))?.entries.get('Differences'))?.items;
    if (font === undefined || procedures === undefined || differences === undefined) continue;
    const names = new Set<string>();
    let code = 0;
    for (const item of differences) {
      const value = file.resolve(item);
      if (typeof value === 'number') code = value;
      else if (isKind(value, 'name')) {
        if (codes.has(code)) names.add(value.name);
        code += 1;
      }
    }
    const kept = new Map([...procedures.entries].filter(([key]) => names.has(key)));
    file.replace({ kind: 'ref', number }, withEntries(font, { CharProcs: { kind: 'dict', entries: kept } }));
  }
};
