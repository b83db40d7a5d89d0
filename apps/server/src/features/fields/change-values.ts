/**
 * What changes of custom fields come to: pure functions over values.
 *
 * - What has no value has no member; a change that changes nothing is none.
 */
import { CaseboundError } from '@casebound/contract';
import { checkValue, type FieldDefinition } from './check-value.ts';
import { type FieldValue, type FieldValues, isEmptyValue } from './field-values.ts';

/** Title -> new value; null removes it. */
export type ValueChanges = Readonly<Record<string, FieldValue | null>>;

/**
 * How an overlay meets a value that is there. `append`: only a field without a value gets one. `replace`: the given value takes its place,
 * and an empty one removes it. `merge`: lists are joined, others replaced; an empty value changes nothing.
 */
export const overlayModes = ['append', 'replace', 'merge'] as const;
export type OverlayMode = (typeof overlayModes)[number];

const sameValue = (a: FieldValue | null, b: FieldValue | null): boolean =>
  a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, at) => one === b[at]));

/** Values after changes. */
export const applyChanges = (before: FieldValues, changes: ValueChanges): FieldValues =>
  Object.fromEntries(
    Object.entries({ ...before, ...changes }).filter((entry): entry is [string, FieldValue] => !isEmptyValue(entry[1])),
  );

const overlaid = (mode: OverlayMode, old: FieldValue | null, given: FieldValue | null): FieldValue | null => {
  switch (mode) {
    case 'append':
      return isEmptyValue(old) ? given : old;
    case 'replace':
      return given;
    case 'merge':
      if (isEmptyValue(given)) return old;
      return Array.isArray(old) && Array.isArray(given) ? [...new Set([...old, ...given])] : given;
  }
};

/** What an overlay makes of the values that are there. */
export const applyOverlay = (mode: OverlayMode, before: FieldValues, given: ValueChanges): FieldValues =>
  applyChanges(
    before,
    Object.fromEntries(
      Object.entries(given).map(([title, value]) => [title, overlaid(mode, ownValue(before, title), value)]),
    ),
  );

/** A title may be the name of a member that every object has. */
const ownValue = (values: FieldValues, title: string): FieldValue | null =>
  Object.hasOwn(values, title) ? (values[title] ?? null) : null;

/** Changed titles with old and new value. */
export const differences = (
  before: FieldValues,
  after: FieldValues,
): Readonly<Record<string, readonly [FieldValue | null, FieldValue | null]>> => {
  const changed: [string, readonly [FieldValue | null, FieldValue | null]][] = [];
  for (const title of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [ownValue(before, title), ownValue(after, title)];
    if (!sameValue(old, now)) changed.push([title, [old, now]]);
  }
  return Object.fromEntries(changed);
};

/** What changed titles are now. */
export const newValues = (changes: ReturnType<typeof differences>): ValueChanges =>
  Object.fromEntries(Object.entries(changes).map(([title, [, now]]) => [title, now]));

/** Values that fit their fields. Errors: `validation_failed` with each that does not. */
export const checkChanges = (definitions: ReadonlyMap<string, FieldDefinition>, values: ValueChanges): ValueChanges => {
  const errors: { path: string; message: string }[] = [];
  const checked: [string, FieldValue | null][] = [];
  for (const [title, value] of Object.entries(values)) {
    const definition = definitions.get(title);
    const path = `$.values[${JSON.stringify(title)}]`;
    if (definition === undefined) {
      errors.push({ path, message: 'There is no custom field of this title.' });
      continue;
    }
    if (value === null) {
      checked.push([title, null]);
      continue;
    }
    const result = checkValue(definition, value);
    if (result.ok) checked.push([title, result.value]);
    else errors.push({ path, message: `The value ${result.reason}.` });
  }
  if (errors.length > 0) throw new CaseboundError('validation_failed', 'Custom-field values do not fit.', { errors });
  return Object.fromEntries(checked);
};
