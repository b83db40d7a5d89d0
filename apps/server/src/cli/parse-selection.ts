/** Which exhibits a command line means: `kind:value`, in words that can be typed. */
import { CaseboundError } from '@casebound/contract';

const forms = 'all, ids:1,2, numbers:A1-A9,B3, label:Category/Name, folder:Path, batch:Name or query:words';

const refuse = (given: string): never => {
  throw new CaseboundError('validation_failed', `--select takes ${forms}; this is \`${given.slice(0, 100)}\`.`);
};

/** A range is two numbers with the same beginning, or any two joined by `..`. */
const rangeOf = (text: string): { from: string; to: string } => {
  const dots = text.split('..');
  if (dots.length === 2) return { from: dots[0] ?? '', to: dots[1] ?? '' };
  const at = text.indexOf('-');
  const [left, right] = [text.slice(0, at), text.slice(at + 1)];
  const beginning = (number: string): string => number.replace(/\d+$/, '');
  if (at > 0 && /\d$/.test(left) && /\d$/.test(right) && beginning(left) === beginning(right))
    return { from: left, to: right };
  return { from: text, to: text };
};

const list = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** The `selection` of a request; what it holds is checked with the request. */
export const parseSelection = (given: readonly string[]): unknown => {
  const [first] = given;
  if (first === undefined) throw new CaseboundError('validation_failed', `Say what travels with --select: ${forms}.`);
  if (first === 'all' && given.length === 1) return { by: 'all' };
  const parts = given.map((one) => /^(ids|numbers|label|folder|batch|query):(.+)$/s.exec(one) ?? refuse(one));
  const kind = parts[0]?.[1];
  const values = parts.map(([, own, value = '']) => (own === kind ? value : refuse(given.join(' '))));
  const [only = ''] = values;
  if (values.length > 1 && kind !== 'ids' && kind !== 'numbers') refuse(given.join(' '));
  switch (kind) {
    case 'ids':
      return { by: 'exhibits', exhibitIds: values.flatMap(list).map(Number) };
    case 'numbers':
      return { by: 'controlNumbers', ranges: values.flatMap(list).map(rangeOf) };
    case 'label': {
      const at = only.indexOf('/');
      return at < 1 ? refuse(first) : { by: 'label', category: only.slice(0, at), name: only.slice(at + 1) };
    }
    case 'folder':
      return { by: 'folder', path: only };
    case 'batch':
      return { by: 'batch', name: only };
    case 'query':
      return { by: 'query', text: only };
    default:
      return refuse(first);
  }
};
