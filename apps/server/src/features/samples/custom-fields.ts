/**
 * The custom fields of a sample: all input types in turn, with names, choices and fill rates as review databases have them.
 *
 * - A field's definition depends on its position alone, so that two samples with as many fields have the same ones.
 */
import type { Random } from './random.ts';
import { writeOrder, writeParagraph, writeProduct, writeSite, topics } from './story/prose.ts';

export type SampleFieldType = 'text' | 'long-text' | 'date' | 'number' | 'yes-no' | 'single-choice' | 'multi-choice';

export interface SampleField {
  readonly name: string;
  readonly type: SampleFieldType;
  /** Share of documents with a value, 0 to 1. */
  readonly fillRate: number;
  /** Empty but for choices. */
  readonly choices: readonly string[];
}

const named: readonly (readonly [name: string, type: SampleFieldType, choices?: readonly string[]])[] = [
  ['Business Unit', 'text'],
  ['Reviewer Summary', 'long-text'],
  ['Review Completed On', 'date'],
  ['Claim Amount', 'number'],
  ['Key Exhibit', 'yes-no'],
  ['Review Stage', 'single-choice', ['First pass', 'Second pass', 'Escalated', 'Done']],
  ['Affected Lots', 'multi-choice', ['Lot 7741-C', 'Lot 7742-A', 'Lot 7755-F', 'Lot 7760-B', 'Lot 7803-D']],
  ['Purchase Orders', 'text'],
  ['Privilege Basis', 'long-text'],
  ['Delivery Due', 'date'],
  ['Units Affected', 'number'],
  ['Translation Needed', 'yes-no'],
  ['Deposition Status', 'single-choice', ['Not started', 'Scheduled', 'Taken', 'Errata signed']],
  ['Claims', 'multi-choice', ['Breach of warranty', 'Negligence', 'Misrepresentation', 'Setoff', 'Indemnity']],
  ['Product Line', 'text'],
  ['Second Review Remarks', 'long-text'],
  ['Notice Given On', 'date'],
  ['Confidence Score', 'number'],
  ['Foreign Language', 'yes-no'],
  ['Quality Control', 'single-choice', ['Passed', 'Failed', 'Sampled', 'Waived']],
  ['Witnesses', 'multi-choice', ['Okafor', 'Raman', 'Amsel', 'Tanabe', 'Expert']],
];

const types: readonly [SampleFieldType, ...SampleFieldType[]] = [
  'text',
  'long-text',
  'date',
  'number',
  'yes-no',
  'single-choice',
  'multi-choice',
];

const otherChoices: readonly string[] = ['Alpha', 'Beta', 'Gamma', 'Delta', 'Epsilon'];

const fillRates: readonly number[] = [0.85, 0.08, 0.45, 0.3, 0.6, 0.75, 0.35, 0.5, 0.04, 0.2, 0.15, 0.9, 0.12, 0.25];

/** The first `count` custom fields. */
export const listSampleFields = (count: number): readonly SampleField[] =>
  Array.from({ length: count }, (_, at) => {
    const [name, type, choices = otherChoices] = named[at] ?? [
      `Coding Field ${String(at + 1).padStart(2, '0')}`,
      types[at % types.length] ?? 'text',
    ];
    const isChoice = type === 'single-choice' || type === 'multi-choice';
    return {
      name,
      type,
      fillRate: fillRates[at % fillRates.length] ?? 0.5,
      choices: isChoice ? choices : [],
    };
  });

const two = (value: number): string => String(value).padStart(2, '0');

/** Text of a field is of one sort. */
const textOf = (name: string): ((random: Random) => string) => {
  if (name.includes('Order')) return writeOrder;
  return name.includes('Product') ? writeProduct : writeSite;
};

const valueOf = ({ name, type, choices }: SampleField, random: Random): string => {
  switch (type) {
    case 'text':
      return textOf(name)(random);
    case 'long-text':
      return Array.from({ length: random.between(2, 4) }, () =>
        writeParagraph(random.pick(topics), random, random.between(3, 5)),
      ).join('\n');
    case 'date':
      return `${random.between(2021, 2024)}-${two(random.between(1, 12))}-${two(random.between(1, 28))}`;
    case 'number':
      return random.chance(0.3) ? `${random.below(100_000)}.${two(random.below(100))}` : String(random.below(100_000));
    case 'yes-no':
      return random.chance(0.35) ? 'Yes' : 'No';
    case 'single-choice':
      return choices[random.below(choices.length)] ?? '';
    case 'multi-choice':
      return random
        .shuffle(choices)
        .slice(0, random.chance(0.6) ? random.between(2, 3) : 1)
        .join('; ');
  }
};

/** The cells of a document's custom fields, in order; empty where it has no value. */
export const fillFields = (fields: readonly SampleField[], random: Random): string[] =>
  fields.map((field) => (random.chance(field.fillRate) ? valueOf(field, random) : ''));
