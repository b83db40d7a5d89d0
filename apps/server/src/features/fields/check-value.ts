/**
 * Whether a value fits a custom field, and what a cell of a load file says in a field of some type.
 *
 * - A value that does not fit is refused with the reason; nothing is rounded, cut or guessed.
 */
import { type FieldType, type FieldValue } from './field-values.ts';

export interface FieldDefinition {
  readonly title: string;
  readonly inputType: FieldType;
  /** What a choice field offers; an empty list offers anything. */
  readonly choices: readonly string[];
}

export type Checked =
  | { readonly ok: true; readonly value: FieldValue }
  | { readonly ok: false; readonly reason: string };

const maxTextLength = 10_000_000;
const refused = (reason: string): Checked => ({ ok: false, reason });
const accepted = (value: FieldValue): Checked => ({ ok: true, value });

const dateForm = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/;
const numberForm = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const yes = new Set(['yes', 'y', 'true', 't', '1', 'x']);
const no = new Set(['no', 'n', 'false', 'f', '0']);

const isRealDate = (text: string): boolean => {
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split('-').map(Number);
  const date = new Date(Date.UTC(year, month - 1, day));
  return (
    date.getUTCFullYear() === year &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    (text.length === 10 || !Number.isNaN(Date.parse(text)))
  );
};

const checkText = (value: unknown): Checked => {
  if (typeof value !== 'string') return refused('is not text');
  if (value.includes('\0')) return refused('holds a NUL character');
  return value.length > maxTextLength ? refused(`is longer than ${maxTextLength} characters`) : accepted(value);
};

const checkChoices = (definition: FieldDefinition, values: readonly string[]): Checked | null => {
  if (definition.choices.length === 0) return null;
  const unknown = values.find((value) => !definition.choices.includes(value));
  return unknown === undefined ? null : refused(`is not one of the choices: ${unknown.slice(0, 100)}`);
};

/** Checks a value as the API takes it. */
export const checkValue = (definition: FieldDefinition, value: unknown): Checked => {
  switch (definition.inputType) {
    case 'text':
    case 'long_text':
      return checkText(value);
    case 'date':
      return typeof value === 'string' && dateForm.test(value) && isRealDate(value)
        ? accepted(value)
        : refused('is not a date (YYYY-MM-DD) or instant (YYYY-MM-DDThh:mm:ssZ)');
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? accepted(value) : refused('is not a number');
    case 'yes_no':
      return typeof value === 'boolean' ? accepted(value) : refused('is not true or false');
    case 'single_choice': {
      const text = checkText(value);
      return text.ok && typeof text.value === 'string' ? (checkChoices(definition, [text.value]) ?? text) : text;
    }
    case 'multi_choice': {
      if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
        return refused('is not a list of texts');
      const distinct = [...new Set(value)];
      return checkChoices(definition, distinct) ?? accepted(distinct);
    }
  }
};

/** What a cell says in a field of the given type; dates must be in their written form already. */
export const readCell = (
  definition: FieldDefinition,
  cell: string,
  splitMultiValue: (cell: string) => readonly string[],
): Checked => {
  const text = cell.trim();
  switch (definition.inputType) {
    case 'text':
    case 'long_text':
      return checkValue(definition, cell);
    case 'number': {
      const plain = text.replaceAll(/,(?=\d{3}(\D|$))/g, '');
      return numberForm.test(plain) ? checkValue(definition, Number(plain)) : refused('is not a number');
    }
    case 'yes_no': {
      const word = text.toLowerCase();
      if (yes.has(word)) return accepted(true);
      return no.has(word) ? accepted(false) : refused('is neither yes nor no');
    }
    case 'multi_choice':
      return checkValue(definition, splitMultiValue(cell));
    case 'date':
    case 'single_choice':
      return checkValue(definition, text);
  }
};
