/**
 * Sentences about the dispute: Meridian Logistics bought pressure sensors of Halcyon Instruments for its refrigerated trailers; some
 * failed, cargo spoiled, and each side blames the other.
 *
 * - Characters are those of Windows-1252, so that every format can show them. There are no semicolons, which separate values in load files.
 */
import type { Random } from '../random.ts';
import { everybody } from './cast.ts';

type Words = readonly [string, ...string[]];

/** A text with slots, taken apart. */
type Template = readonly (string | { readonly slot: Slot })[];
type Templates = readonly [Template, ...Template[]];

/** What a family of documents is about, and the issue label a reviewer gives it. */
export interface Topic {
  readonly name: string;
  readonly category: string;
  readonly label: string;
  readonly subjects: Templates;
  readonly sentences: Templates;
}

const vocabulary = {
  product: [
    'HX-40 pressure sensor',
    'HX-42 pressure sensor',
    'HX-40R probe',
    'TempGuard controller',
    'HX gateway unit',
  ],
  lot: ['lot 7741-C', 'lot 7742-A', 'lot 7755-F', 'lot 7760-B', 'lot 7803-D', 'lot 7811-A'],
  site: ['Rotterdam', 'Dayton', 'Gävle', 'the Tilburg depot', 'the Malmö plant', 'the Columbus cross-dock', 'bay 14'],
  clause: ['Section 4.3', 'Section 7.1', 'Section 9.2', 'Section 11.4', 'Schedule B', 'Exhibit 3', 'Annex II'],
  cargo: ['vaccines', 'fresh salmon', 'cut flowers', 'insulin', 'dairy products', 'frozen berries'],
  weekday: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday'],
  month: ['January', 'February', 'March', 'April', 'May', 'June', 'September', 'October', 'November'],
  team: ['procurement', 'the quality team', 'production', 'finance', 'the calibration lab', 'operations', 'legal'],
  cause: [
    'moisture in the housing',
    'a cracked solder joint',
    'a drifted reference',
    'the wrong firmware',
    'a loose seal',
  ],
  adjective: ['preliminary', 'final', 'revised', 'internal', 'independent', 'signed', 'outstanding'],
} as const satisfies Record<string, Words>;

type Slot = keyof typeof vocabulary | 'amount' | 'count' | 'percent' | 'date' | 'person' | 'order';

const isSlot = (name: string): name is Slot =>
  Object.hasOwn(vocabulary, name) || ['amount', 'count', 'percent', 'date', 'person', 'order'].includes(name);

const compile = (text: string): Template =>
  text.split(/\{([a-z]+)\}/u).flatMap((part, at): Template => {
    if (at % 2 === 0) return part === '' ? [] : [part];
    return isSlot(part) ? [{ slot: part }] : [`{${part}}`];
  });

/** 1234567 -> `1,234,567`, whatever the locale of the machine. */
const groupThousands = (value: number): string => String(value).replaceAll(/\B(?=(?:\d{3})+$)/gu, ',');

const fill = (slot: Slot, random: Random): string => {
  switch (slot) {
    case 'amount':
      return `$${groupThousands(random.between(9, 4_200) * 250)}`;
    case 'count':
      return String(random.between(3, 480));
    case 'percent':
      return `${random.between(2, 98)} %`;
    case 'date':
      return `${random.between(1, 28)} ${random.pick(vocabulary.month)} ${random.between(2021, 2023)}`;
    case 'person':
      return random.pick(everybody).name;
    case 'order':
      return `PO-${random.between(80_000, 89_999)}`;
    default:
      return random.pick(vocabulary[slot]);
  }
};

const all = (first: string, ...rest: readonly string[]): Templates => [compile(first), ...rest.map(compile)];

export const topics: readonly [Topic, ...Topic[]] = [
  {
    name: 'defects',
    category: 'Liability',
    label: 'Notice of defect',
    subjects: all(
      'Failures in {lot}',
      'Field returns from {site}',
      'Defect notice under {clause}',
      '{product}: drift in service',
    ),
    sentences: all(
      'We have {count} units of the {product} back from {site}, and {percent} of them show {cause}.',
      'The returns belong to {lot}, which was shipped in {month}.',
      'Under {clause} we have to give notice within ten business days of discovery.',
      '{person} opened three units and found {cause} in each of them.',
      'The trailer log shows readings outside tolerance for almost {count} hours.',
      'Please treat this message as formal notice that the {product} does not conform to the specification.',
      'The seals of the units from {site} look different from the drawing.',
      'Replacements for {count} units were promised for {month} and have not arrived.',
      'Drivers switched the {product} off and on again before the readings returned.',
      'Is {cause} covered by {clause}, or is that wear?',
      'Photographs of the housings are with {team}.',
      'No unit of {lot} may leave {site} before this is understood.',
    ),
  },
  {
    name: 'testing',
    category: 'Liability',
    label: 'Test results',
    subjects: all(
      'Test protocol for {lot}',
      'Norvane results, {adjective}',
      'Re-test of the {product}',
      'Calibration at {site}',
    ),
    sentences: all(
      'The {adjective} report of Norvane covers {count} samples of {lot}.',
      '{percent} of the samples passed at minus twenty degrees, and the rest drifted within an hour.',
      'The test bench in {site} was recalibrated on {date}.',
      '{person} asked whether the acceptance limit had been changed after {lot}.',
      'Nobody signed the protocol for {lot}, although production had released it.',
      'The firmware on the bench was not the one that shipped with the {product}.',
      '{person} repeated the series in {site} and got {percent}.',
      'The reference sensor itself was last checked in {month}.',
      'We released {lot} on {date} because {team} asked for it.',
      'Samples were taken by {person} and sealed on {date}.',
      'The curve between minus ten and zero is the part that matters for {cargo}.',
      'An {adjective} summary without the raw data helps nobody.',
    ),
  },
  {
    name: 'payments',
    category: 'Damages',
    label: 'Lost profits',
    subjects: all(
      'Invoice for {order}',
      'Spoiled cargo: claim of {amount}',
      'Credit note, {adjective}',
      'Withheld payments',
    ),
    sentences: all(
      'The claim for the spoiled {cargo} comes to {amount} before insurance.',
      'Finance withheld {amount} on {order} until the question of {lot} is settled.',
      'Our customer has cancelled {count} loads for {month}, worth about {amount}.',
      'The {adjective} credit note does not mention {clause} at all.',
      '{person} confirmed that the insurer will cover {percent} at most.',
      'Please send the freight bills for {site} so that the figure can be proved.',
      'Interest since {date} is not in the {adjective} figure.',
      'The margin on {cargo} is about {percent} in a good month.',
      '{order} was paid twice by mistake, on {date} and a week later.',
      'Please book the reserve of {amount} before the quarter closes.',
      '{person} needs receipts for the {cargo} that was destroyed in {site}.',
      'We set off {amount} against {order} and told them so.',
    ),
  },
  {
    name: 'contract',
    category: 'Contract',
    label: 'Negotiation and drafting',
    subjects: all('Supply agreement, {adjective} draft', 'Comments on {clause}', 'Warranty period', 'Amendment no. 2'),
    sentences: all(
      'In the {adjective} draft {clause} limits liability to the price of the units delivered.',
      'We never agreed to strike the warranty from {clause}.',
      '{person} sent the signature pages on {date} without {clause}.',
      'The order {order} refers to the general terms of {month}, not to the agreement.',
      'A cap of {amount} was discussed in {site} and rejected.',
      'Both sides understood that the {product} would be used for {cargo}.',
      'The word reasonable in {clause} was added at the last minute.',
      'Their lawyers struck {clause} and put it back in the {adjective} version.',
      'The price list of {month} is part of {clause}, whatever the order says.',
      'Who signed for Halcyon, and did {person} have the power to do so?',
      'The warranty runs from delivery in {site}, not from installation.',
      'An amendment needs the signature of both sides under {clause}.',
    ),
  },
  {
    name: 'planning',
    category: 'Business',
    label: 'Production planning',
    subjects: all('Deliveries for {month}', 'Capacity in {site}', 'Schedule for {order}', 'Agenda for {weekday}'),
    sentences: all(
      'The next {count} units leave {site} on {weekday}.',
      'We are short of housings, so {order} slips to {month}.',
      '{team} would like to split the delivery between {site} and the depot.',
      'The forecast for {month} is {percent} above plan.',
      'Let us meet on {weekday} at ten to go through {order}.',
      '{person} will bring the {adjective} schedule.',
      'Trailers for {cargo} have priority over the rest.',
      'The night shift in {site} can build {count} more units a week.',
      '{order} is complete except for the {product}.',
      'We keep {count} units of {lot} in reserve until {month}.',
      'The customs papers for {site} were signed on {date}.',
      'Storage in {site} costs {amount} a month.',
    ),
  },
  {
    name: 'advice',
    category: 'Privilege review',
    label: 'Legal advice',
    subjects: all(
      'Privileged: notice under {clause}',
      'Litigation hold',
      'Draft response to Halcyon',
      'Question on {clause}',
    ),
    sentences: all(
      'You asked whether the notice under {clause} was given in time.',
      'In our view the limitation of {clause} does not cover gross negligence.',
      'Please keep everything that concerns {lot} and do not delete mail or chat messages.',
      'The {adjective} letter should not mention the tests in {site} yet.',
      'A settlement around {amount} would be within the range we discussed.',
      'This advice is confidential, so please do not forward it to {team}.',
      'The burden of proof for {cause} lies with the buyer under {clause}.',
      'A court would look at what {person} knew on {date}.',
      'We recommend an {adjective} expert before any talk about {amount}.',
      '{person} should not be asked about {lot} without counsel present.',
      'The file note of {date} is protected if it stays within {team}.',
      'Let us prepare {person} for the deposition in {month}.',
    ),
  },
];

const general: Templates = all(
  'Thank you for the quick answer.',
  'I have copied {person}, who knows the history of {order}.',
  'Could you look at this before {weekday}?',
  'The figures are {adjective} and may still change.',
  'As far as I know {team} has not replied.',
  'I will be in {site} from {weekday} and can check on the spot.',
  'The attached papers show what was agreed on {date}.',
  'We should not let this wait until {month}.',
  'I spoke to {person} by phone and made a note of the call.',
  'It concerns about {count} units, perhaps a few more.',
  'Nothing in {clause} says otherwise.',
  'Please keep me informed about the {product}.',
  'The same question came up with {lot} a year ago.',
  '{team} asks for {amount} to be released by {weekday}.',
  'There is an older version of this paper in the shared folder.',
  'Please do not circulate this before {weekday}.',
  'I would rather discuss the {adjective} version in person.',
  'That is not how I remember the meeting of {date}.',
  '{person} is on leave until {month}.',
  'See the table on the second page for {lot}.',
  'I have no objection as long as {team} agrees.',
  'We paid {amount} for this last year.',
  'The sample from {site} is still with the carrier.',
  'Please confirm receipt.',
  'There will be a call about it on {weekday} at nine.',
  'I attach what I could find from {month}.',
);

const complete = (template: Template, random: Random): string => {
  let result = '';
  for (const part of template) result += typeof part === 'string' ? part : fill(part.slot, random);
  return result.charAt(0).toUpperCase() + result.slice(1);
};

export const writeSubject = (topic: Topic, random: Random): string => complete(random.pick(topic.subjects), random);

/** A paragraph of `sentences` sentences, no two of one template. */
export const writeParagraph = (topic: Topic, random: Random, sentences: number): string => {
  const used = new Set<Template>();
  let text = '';
  while (used.size < sentences) {
    const template = random.pick(random.chance(0.6) ? topic.sentences : general);
    if (used.has(template)) continue;
    used.add(template);
    text += `${text === '' ? '' : ' '}${complete(template, random)}`;
  }
  return text;
};

/** A word or two for names of files and columns of tables. */
export const writeTerm = (random: Random): string =>
  `${random.pick(vocabulary.adjective)} ${random.pick(vocabulary.cargo)}`;

export const writeProduct = (random: Random): string => random.pick(vocabulary.product);
export const writeSite = (random: Random): string => random.pick(vocabulary.site);
export const writeOrder = (random: Random): string => fill('order', random);
