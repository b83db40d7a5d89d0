/** What the columns of a load file become: as the mapping says, else as their names and values propose. */
import { CaseboundError, type ColumnChoice, type ImportRequest } from '@casebound/contract';
import { type ColumnMapping, type ColumnProfile, isCoreField } from '@casebound/loadfile';
import type { FieldType } from '../../fields/index.ts';
import { problem, type RowProblem } from '../import-problem.ts';
import { isStoredCoreField } from './core-targets.ts';
import type { PlannedColumn } from './import-plan.ts';

type Mapping = ImportRequest['mapping'];

const customTypes: Readonly<Record<string, FieldType>> = {
  text: 'text',
  'long-text': 'long_text',
  date: 'date',
  number: 'number',
  'yes-no': 'yes_no',
  'multi-choice': 'multi_choice',
};

export interface PlannedColumns {
  readonly columns: readonly PlannedColumn[];
  /** Of columns as a whole, before any row is taken. */
  readonly problems: readonly RowProblem[];
  /** Why each column is what it is, in the order of `columns`. */
  readonly reasons: readonly { readonly reason: string; readonly warning: string | null; readonly type: string }[];
}

/** Errors: `validation_failed` for a mapping that names what the file does not have. */
export const planColumns = (
  proposed: readonly ColumnMapping[],
  profiles: readonly ColumnProfile[],
  mapping: Mapping,
): PlannedColumns => {
  const problems: RowProblem[] = [];
  const chosen = new Map(Object.entries(mapping.columns).map(([name, choice]) => [name.toLowerCase(), choice]));
  refuseUnknownColumns(proposed, mapping);
  const taken = new Set<string>();
  for (const choice of chosen.values()) if ('core' in choice) taken.add(choice.core);
  const reasons: { reason: string; warning: string | null; type: string }[] = [];
  const columns = proposed.map((column): PlannedColumn => {
    const profile = profiles[column.index];
    const choice = chosen.get(column.column.toLowerCase());
    const planned = choice === undefined ? propose(column, taken) : choose(column, choice);
    const order = 'dateOrder' in planned ? dateOrderOf(column.column, profile, choice, mapping, problems) : null;
    reasons.push({
      reason: choice === undefined ? column.reason : 'the mapping says so',
      warning: column.warning,
      type: profile?.type ?? 'empty',
    });
    return 'dateOrder' in planned ? { ...planned, dateOrder: order } : planned;
  });
  return { columns, problems, reasons };
};

const refuseUnknownColumns = (proposed: readonly ColumnMapping[], mapping: Mapping): void => {
  const known = new Set(proposed.map((column) => column.column.toLowerCase()));
  const unknown = Object.keys(mapping.columns).filter((name) => !known.has(name.toLowerCase()));
  const cores = Object.entries(mapping.columns).filter(([, choice]) => 'core' in choice && !isCoreField(choice.core));
  const twice = Object.values(mapping.columns).flatMap((choice) => ('core' in choice ? [choice.core] : []));
  const repeated = twice.filter((core, index) => twice.indexOf(core) !== index);
  if (unknown.length + cores.length + repeated.length === 0) return;
  throw new CaseboundError('validation_failed', 'The mapping does not fit the load file.', {
    errors: [
      ...unknown.map((name) => ({
        path: `$.mapping.columns[${JSON.stringify(name)}]`,
        message: 'The file has no such column.',
      })),
      ...cores.map(([name]) => ({
        path: `$.mapping.columns[${JSON.stringify(name)}].core`,
        message: 'There is no such core field.',
      })),
      ...repeated.map((core) => ({ path: '$.mapping.columns', message: `Two columns are mapped to ${core}.` })),
    ],
  });
};

const propose = (column: ColumnMapping, taken: ReadonlySet<string>): PlannedColumn => {
  const { index, column: name } = column;
  if (column.target === 'core' && !taken.has(column.field) && isStoredCoreField(column.field)) {
    return { target: 'core', index, column: name, field: column.field, dateOrder: null };
  }
  const type = column.target === 'custom' ? (customTypes[column.type] ?? 'text') : 'long_text';
  return { target: 'custom', index, column: name, title: name.slice(0, 300), type, dateOrder: null };
};

const choose = ({ index, column: name }: ColumnMapping, choice: ColumnChoice): PlannedColumn => {
  if ('skip' in choice) return { target: 'skip', index, column: name };
  if ('core' in choice) return { target: 'core', index, column: name, field: choice.core, dateOrder: null };
  return { target: 'custom', index, column: name, title: choice.custom, type: choice.type ?? 'text', dateOrder: null };
};

/** The order that the values prove, else the one that the mapping states; what neither says is reported and such dates are refused. */
const dateOrderOf = (
  column: string,
  profile: ColumnProfile | undefined,
  choice: ColumnChoice | undefined,
  mapping: Mapping,
  problems: RowProblem[],
): 'month-first' | 'day-first' | null => {
  const stated = (choice !== undefined && 'dateOrder' in choice ? choice.dateOrder : undefined) ?? mapping.dateOrder;
  const order = profile?.date?.order;
  if (order === 'month-first' || order === 'day-first') return stated ?? order;
  if (stated !== undefined) return stated;
  if (order === 'ambiguous' || order === 'conflicting') {
    problems.push(
      problem(
        'warning',
        order === 'ambiguous' ? 'ambiguous_date' : 'conflicting_dates',
        `Day and month of the column ${column} can be read in either order; dates for which it matters are not taken. State "dateOrder" in a mapping.`,
        { field: column },
      ),
    );
  }
  return null;
};
