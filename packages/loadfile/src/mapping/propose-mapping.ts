/**
 * Which core field each column of a file is, by its name and by what it holds.
 *
 * - At most one column maps to a core field; the others stay custom fields, with the reason.
 * - A column whose values cannot be what its name says is not mapped on its name alone.
 */
import type { ColumnProfile } from '../profile/profile-column.ts';
import type { ValueType } from '../profile/classify-value.ts';
import type { CoreField, CoreFieldKind } from './core-fields.ts';
import { coreFields, createCoreFieldIndex, normalizeColumnName } from './core-fields.ts';

/** Input types of custom fields. */
export type CustomFieldType = 'text' | 'long-text' | 'date' | 'number' | 'yes-no' | 'multi-choice';

export type ColumnMapping =
  | {
      readonly column: string;
      readonly index: number;
      readonly target: 'core';
      readonly field: CoreField;
      readonly reason: string;
      /** Something to look at before importing. */
      readonly warning: string | null;
    }
  | {
      readonly column: string;
      readonly index: number;
      readonly target: 'custom';
      readonly type: CustomFieldType;
      readonly reason: string;
      readonly warning: string | null;
    };

/** Types that values of a kind may have; a kind that is not here takes any. */
const fitting: Partial<Readonly<Record<CoreFieldKind, readonly ValueType[]>>> = {
  date: ['date', 'datetime'],
  time: ['time'],
  integer: ['integer'],
  hash: ['md5', 'sha1', 'sha256'],
};

/** Custom field type of a column without a core field. */
const customTypeOf = (profile: ColumnProfile): CustomFieldType => {
  if (profile.type === 'date' || profile.type === 'datetime') return 'date';
  if (profile.type === 'integer' || profile.type === 'decimal') return 'number';
  if (profile.type === 'boolean') return 'yes-no';
  if (profile.maxLength > 4000) return 'long-text';
  if (profile.multiValue !== null && profile.multiValue.cells >= profile.filled / 4 && profile.maxLength <= 1000) {
    return 'multi-choice';
  }
  return profile.maxLength > 255 ? 'long-text' : 'text';
};

const looksLikeFolder = (profile: ColumnProfile, word: RegExp): boolean =>
  profile.type === 'path' && profile.samples.some((sample) => word.test(sample));

/** What a name means that depends on the values: a path to the production's own file, or one on the custodian's disk. */
const settle = (
  field: CoreField,
  profile: ColumnProfile,
): { readonly field: CoreField; readonly reason: string } | undefined => {
  const inVolume = /^\.[\\/]|(?:^|[\\/])NATIVES?(?:[\\/]|\d)/iu;
  if (field === 'originalPath' && looksLikeFolder(profile, inVolume)) {
    return { field: 'nativePath', reason: 'its values are paths within the production' };
  }
  if (field === 'extractedText' && profile.type === 'path') {
    return { field: 'textPath', reason: 'its values are paths, not text' };
  }
  if (field === 'md5Hash' && profile.type === 'sha1')
    return { field: 'sha1Hash', reason: 'its values are SHA-1 hashes' };
  if (field === 'md5Hash' && profile.type === 'sha256') {
    return { field: 'sha256Hash', reason: 'its values are SHA-256 hashes' };
  }
  return undefined;
};

/** How good a name is for its field: the field's own first names beat the rarer ones. */
const rankOf = (field: CoreField, column: string): number => {
  const normalized = normalizeColumnName(column);
  const at = coreFields[field].names.findIndex((name) => normalizeColumnName(name) === normalized);
  return at < 0 ? 0 : at;
};

const warningOf = (field: CoreField, profile: ColumnProfile): string | null => {
  const types = fitting[coreFields[field].kind];
  const { type, exceptions, date } = profile;
  if (date !== null && (date.order === 'ambiguous' || date.order === 'conflicting')) {
    return `The order of day and month is ${date.order}; the mapping must state it.`;
  }
  if (types !== undefined && type !== 'empty' && !types.includes(type)) {
    return `Values are ${type}, not ${types.join(' or ')}.`;
  }
  return exceptions === null
    ? null
    : `${exceptions.count} values are not ${type}, the first at line ${exceptions.line}.`;
};

/** Proposes what each column is. Pure: the same profiles give the same proposal. */
export const proposeMapping = (profiles: readonly ColumnProfile[]): ColumnMapping[] => {
  const coreFieldOf = createCoreFieldIndex();
  const candidates = profiles.map((profile) => {
    const byName = coreFieldOf(profile.name);
    if (byName === undefined) return { profile, field: undefined, reason: '', rank: 0 };
    const settled = settle(byName, profile);
    const reason = `The name is known${settled === undefined ? '' : `, and ${settled.reason}`}.`;
    // Where the values moved a name to another field, that field's own names come first.
    return {
      profile,
      field: settled?.field ?? byName,
      reason,
      rank: settled === undefined ? rankOf(byName, profile.name) : 1000,
    };
  });
  const best = new Map<CoreField, { readonly index: number; readonly rank: number }>();
  for (const { profile, field, rank } of candidates) {
    if (field === undefined) continue;
    // A filled column beats an empty one of a better name.
    const effective = rank + (profile.filled === 0 ? 10_000 : 0);
    const known = best.get(field);
    if (known === undefined || effective < known.rank) best.set(field, { index: profile.index, rank: effective });
  }
  return candidates.map(({ profile, field, reason }) => {
    const { name: column, index } = profile;
    if (field !== undefined && best.get(field)?.index === index) {
      return { column, index, target: 'core', field, reason, warning: warningOf(field, profile) };
    }
    const type = customTypeOf(profile);
    const other = field === undefined ? 'The name is not known.' : `Another column is a better ${field}.`;
    return { column, index, target: 'custom', type, reason: other, warning: null };
  });
};
