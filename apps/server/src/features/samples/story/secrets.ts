/**
 * What reviewers redact: bank details, personal data, a sentence of advice. Each has random digits, so that its words occur nowhere else
 * in the sample but in the document, its duplicates and its text.
 */
import type { Random } from '../random.ts';

export interface Secret {
  /** The words under the redaction, separated by single spaces. */
  readonly words: string;
  /** The sentence they stand in. */
  readonly sentence: string;
  readonly reason: string;
}

const makers: readonly [(random: Random) => Secret, ...((random: Random) => Secret)[]] = [
  (random) => {
    const words = `9${random.digits(2)}-${random.digits(2)}-${random.digits(4)}-${random.digits(3)}`;
    return {
      words,
      sentence: `Identification number on file: ${words} for the payroll record.`,
      reason: 'Personal data',
    };
  },
  (random) => {
    const words = `NX${random.digits(2)} ${random.digits(5)} ${random.digits(5)} ${random.digits(5)}`;
    return { words, sentence: `Please pay to account ${words} at the usual bank.`, reason: 'Bank details' };
  },
  (random) => {
    const words = `Project Heron-${random.digits(6)}`;
    return { words, sentence: `The settlement file is kept under ${words} from now on.`, reason: 'Privilege' };
  },
];

/** None for most documents, one to three for the others. */
export const planSecrets = (random: Random): readonly Secret[] =>
  random.chance(0.3) ? Array.from({ length: random.between(1, 3) }, () => random.pick(makers)(random)) : [];
