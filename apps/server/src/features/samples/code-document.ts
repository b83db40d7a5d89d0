/** What reviewers decided about a document: confidentiality, privilege, relevancy, labels, notes. */
import type { Coding } from './load-columns.ts';
import type { FamilyPlan, ItemPlan } from './plan-families.ts';
import type { Random } from './random.ts';
import { topics, writeParagraph } from './story/prose.ts';

const confidentialityCodes = {
  confidential: 'Confidential',
  highly: 'Highly Confidential',
  counsel: "Attorneys' Eyes Only",
  source: 'Source Code',
} as const;

const codeConfidentiality = (random: Random): readonly string[] => {
  const draw = random.below(100);
  if (draw < 55) return [];
  if (draw < 80) return [confidentialityCodes.confidential];
  if (draw < 92) return [confidentialityCodes.highly];
  if (draw < 98) return [confidentialityCodes.counsel];
  return [confidentialityCodes.confidential, confidentialityCodes.source];
};

/** Labels beyond the topic's own, which belong to more than one category. */
const furtherLabels: readonly [string, ...string[]] = [
  'Review\\Hot',
  'Review\\Needs second look',
  'Liability\\Causation',
  'Damages\\Mitigation',
  'Witnesses\\For deposition',
];

/** Codes one document. Members of a family share relevancy, as reviewers keep it. */
export const codeDocument = (plan: ItemPlan, family: FamilyPlan, random: Random): Coding => {
  const relevant = family.root.topic !== topics[4];
  const own = random.chance(0.7) ? [`${plan.topic.category}\\${plan.topic.label}`] : [];
  const further = random.chance(0.25) ? random.shuffle(furtherLabels).slice(0, random.between(1, 2)) : [];
  return {
    confidentiality: codeConfidentiality(random),
    privilege: plan.privileged
      ? random.pick(['Attorney-Client', 'Attorney-Client', 'Work Product'])
      : random.chance(0.5)
        ? 'Not Privileged'
        : '',
    relevancy: relevant ? (random.chance(0.1) ? 'Hot' : 'Responsive') : 'Not Responsive',
    labels: [...own, ...further],
    notes: random.chance(0.06) ? writeParagraph(plan.topic, random, random.between(1, 2)) : '',
  };
};
