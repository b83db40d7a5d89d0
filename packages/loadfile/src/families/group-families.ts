/**
 * Families from what load files say about them: ranges (BEGATTACH/ENDATTACH or one FAMLYRNG cell), PARENTID, or a group id.
 *
 * Pure functions over the rows' keys. They hold one small entry a document; a million documents are some hundred megabytes,
 * so the importer may also do the same with sets in the database, and use these as the definition of right.
 */
import {
  compareControlNumbers,
  isInRange,
  parseControlNumber,
  parseRange,
  rangeOf,
} from '../profile/control-number.ts';

/** What a row says about its family; empty cells are empty strings or absent. */
export interface FamilyRow {
  readonly controlNumber: string;
  readonly parentId?: string;
  readonly attachmentBegin?: string;
  readonly attachmentEnd?: string;
  readonly familyRange?: string;
  readonly familyId?: string;
}

export type FamilyProblemCode =
  | 'parent_missing'
  | 'parent_is_self'
  | 'parent_cycle'
  | 'range_invalid'
  | 'range_without_parent'
  | 'range_excludes_self'
  | 'duplicate_control_number';

export interface FamilyProblem {
  readonly code: FamilyProblemCode;
  readonly controlNumber: string;
  readonly value: string;
  readonly message: string;
}

export interface Families {
  /** Control number -> that of its parent. A document that is not here is a root. */
  readonly parentOf: ReadonlyMap<string, string>;
  /** Control number -> that of the root of its family, for every document (a root maps to itself). */
  readonly rootOf: ReadonlyMap<string, string>;
  readonly problems: readonly FamilyProblem[];
}

const key = (text: string): string => text.trim().toLowerCase();

/** Control numbers by comparison key, as first written; reports repeated ones. */
const index = (rows: readonly FamilyRow[], problems: FamilyProblem[]): Map<string, string> => {
  const known = new Map<string, string>();
  for (const { controlNumber } of rows) {
    const name = controlNumber.trim();
    if (known.has(key(name))) {
      problems.push({
        code: 'duplicate_control_number',
        controlNumber: name,
        value: name,
        message: `The control number ${name} occurs more than once.`,
      });
    } else known.set(key(name), name);
  }
  return known;
};

/** Follows parents up to the root of each; a cycle is cut at the document where it was entered and reported. */
const rootsOf = (
  known: ReadonlyMap<string, string>,
  parentOf: Map<string, string>,
  problems: FamilyProblem[],
): Map<string, string> => {
  const rootOf = new Map<string, string>();
  for (const name of known.values()) {
    const path: string[] = [];
    const onPath = new Set<string>();
    let at = name;
    for (;;) {
      const settled = rootOf.get(at);
      if (settled !== undefined) {
        at = settled;
        break;
      }
      onPath.add(at);
      path.push(at);
      const parent = parentOf.get(at);
      if (parent === undefined) break;
      if (onPath.has(parent)) {
        parentOf.delete(at);
        problems.push({
          code: 'parent_cycle',
          controlNumber: at,
          value: parent,
          message: `The parents of ${at} lead back to itself; it is taken as a root.`,
        });
        break;
      }
      at = parent;
    }
    for (const member of path) rootOf.set(member, at);
  }
  return rootOf;
};

const settle = (
  known: ReadonlyMap<string, string>,
  parentOf: Map<string, string>,
  problems: FamilyProblem[],
): Families => ({
  rootOf: rootsOf(known, parentOf, problems),
  parentOf,
  problems,
});

/** Families by PARENTID: each row names its parent's control number, or nothing. */
export const familiesFromParentIds = (rows: readonly FamilyRow[]): Families => {
  const problems: FamilyProblem[] = [];
  const known = index(rows, problems);
  const parentOf = new Map<string, string>();
  for (const { controlNumber, parentId = '' } of rows) {
    const value = parentId.trim();
    const name = known.get(key(controlNumber)) ?? controlNumber.trim();
    if (value === '' || parentOf.has(name)) continue;
    const parent = known.get(key(value));
    // Some tools name a root as its own parent.
    if (parent === name) {
      problems.push({
        code: 'parent_is_self',
        controlNumber: name,
        value,
        message: `${name} names itself as its parent; it is taken as a root.`,
      });
    } else if (parent === undefined) {
      problems.push({
        code: 'parent_missing',
        controlNumber: name,
        value,
        message: `The parent ${value} of ${name} is not in the file.`,
      });
    } else parentOf.set(name, parent);
  }
  return settle(known, parentOf, problems);
};

/**
 * Families by ranges: the document whose control number starts the range is the parent of the others that state it.
 * Reads BEGATTACH and ENDATTACH, or FAMLYRNG where those are empty.
 */
export const familiesFromRanges = (rows: readonly FamilyRow[]): Families => {
  const problems: FamilyProblem[] = [];
  const known = index(rows, problems);
  const parentOf = new Map<string, string>();
  for (const row of rows) {
    const name = known.get(key(row.controlNumber)) ?? row.controlNumber.trim();
    const begin = row.attachmentBegin?.trim() ?? '';
    const end = row.attachmentEnd?.trim() ?? '';
    const cell = row.familyRange?.trim() ?? '';
    if ((begin === '' && end === '' && cell === '') || parentOf.has(name)) continue;
    const value = begin === '' && end === '' ? cell : `${begin} - ${end}`;
    const range =
      begin === '' && end === '' ? parseRange(cell) : rangeOf(begin === '' ? end : begin, end === '' ? begin : end);
    if (typeof range === 'string') {
      problems.push({
        code: 'range_invalid',
        controlNumber: name,
        value,
        message: `The family range of ${name} is no range: ${range.replaceAll('-', ' ')}.`,
      });
      continue;
    }
    const own = parseControlNumber(name);
    if (own === undefined || !isInRange(own, range)) {
      problems.push({
        code: 'range_excludes_self',
        controlNumber: name,
        value,
        message: `The family range of ${name} does not contain it.`,
      });
      continue;
    }
    const parent = known.get(key(range.first.text));
    if (parent === undefined) {
      problems.push({
        code: 'range_without_parent',
        controlNumber: name,
        value,
        message: `The first document of the family range of ${name} is not in the file.`,
      });
    } else if (parent !== name) parentOf.set(name, parent);
  }
  return settle(known, parentOf, problems);
};

/** Families by a group id: the lowest control number of a group is its root and the parent of the others. */
export const familiesFromGroupIds = (rows: readonly FamilyRow[]): Families => {
  const problems: FamilyProblem[] = [];
  const known = index(rows, problems);
  const groups = new Map<string, string[]>();
  for (const { controlNumber, familyId = '' } of rows) {
    if (familyId.trim() === '') continue;
    const name = known.get(key(controlNumber)) ?? controlNumber.trim();
    const group = groups.get(key(familyId));
    if (group === undefined) groups.set(key(familyId), [name]);
    else group.push(name);
  }
  const parentOf = new Map<string, string>();
  for (const [id, members] of groups) {
    // A group named for one of its members has that one as its root.
    const root = members.find((member) => key(member) === id) ?? members.toSorted(byControlNumber)[0];
    for (const member of members) if (root !== undefined && member !== root) parentOf.set(member, root);
  }
  return settle(known, parentOf, problems);
};

const byControlNumber = (a: string, b: string): number => {
  const left = parseControlNumber(a);
  const right = parseControlNumber(b);
  if (left === undefined || right === undefined) return a < b ? -1 : Number(a > b);
  return compareControlNumbers(left, right);
};
