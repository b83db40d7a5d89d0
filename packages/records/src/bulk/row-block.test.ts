import { expect, test } from 'vitest';
import fc from 'fast-check';
import type { Table } from '../derive/model.ts';
import { type BoundRow, columnsOfRows } from '../plan/bound-columns.ts';
import { libraryModel, resourceAt } from '../testing/open-library.ts';
import { compileFlatPlan, oneNameEach } from '../write/flat-plan.ts';
import { type FlatDocument, flattenDocument } from '../write/flatten-document.ts';
import { ReferentialIds } from '../write/referential-ids.ts';
import { bindRow } from '../write/write-items.ts';
import { RowBlock } from './row-block.ts';

const plan = compileFlatPlan(resourceAt(libraryModel(), 'works'), oneNameEach());

/** Works of every shape, of which some have a day that no month has or no title, which is part of the identity. */
const work = fc.record(
  {
    authorReference: fc.record({ authorKey: fc.constantFrom('a', 'b', 'c') }),
    title: fc.constantFrom('One', 'Two', 'Three'),
    languageDescriptor: fc.constantFrom('uri://x#en', 'uri://x#EN', 'uri://x#de'),
    pages: fc.integer({ min: 0, max: 9 }),
    registeredAt: fc.constantFrom('2020-02-29T18:29:59Z', '2020-02-30T18:29:59Z'),
    subjects: fc.array(fc.constantFrom('s', 't', 'u'), { maxLength: 3 }),
    contributors: fc.array(fc.record({ authorReference: fc.record({ authorKey: fc.constantFrom('a', 'd') }) }), {
      maxLength: 3,
    }),
    editions: fc.array(
      fc.record(
        {
          number: fc.integer({ min: 1, max: 3 }),
          printings: fc.array(fc.record({ printedOn: fc.constantFrom('2000-01-01', '2001-02-31') }), { maxLength: 2 }),
        },
        { requiredKeys: ['number'] },
      ),
      { maxLength: 2 },
    ),
    _ext: fc.record({ archive: fc.record({ signature: fc.constantFrom('S', 'T') }, { requiredKeys: [] }) }),
  },
  { requiredKeys: ['authorReference', 'languageDescriptor'] },
);

const isKept = (flat: FlatDocument): boolean => [...flat.rows.values()].some((rows) => rows.length > 0);

/** Tables without a row are the same as tables that are not there. */
const withoutEmpty = (flat: FlatDocument): FlatDocument => ({
  ...flat,
  rows: new Map([...flat.rows].filter(([, rows]) => rows.length > 0)),
});

test('a document of a block is the document by itself, whatever stands around it and was taken back', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ document: work, isWrong: fc.boolean() }), { maxLength: 12 }), (items) => {
      const block = new RowBlock(plan, new ReferentialIds());
      const kept: FlatDocument[] = [];
      for (const { document, isWrong } of items) {
        const alone = flattenDocument(plan, document);
        expect(block.add(document, isWrong)).toEqual(alone.ok ? [] : alone.errors);
        if (alone.ok && !isWrong) kept.push(alone.flat);
        expect(block.size).toBe(kept.length);
      }
      expect(kept.every(isKept)).toBe(true);
      for (const [at, flat] of kept.entries()) expect(withoutEmpty(block.documentAt(at))).toEqual(withoutEmpty(flat));
    }),
  );
});

test('bound columns are the rows of the chosen documents in their order, with ids for what they refer to', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ document: work, isChosen: fc.boolean() }), { maxLength: 12 }), (items) => {
      const ids = new ReferentialIds();
      const block = new RowBlock(plan, ids);
      const documentIds: number[] = [];
      const expected = new Map<Table, BoundRow[]>();
      const slotOf = (id: string): number => Array.from({ length: ids.size }, (_, slot) => ids.idOf(slot)).indexOf(id);
      for (const { document, isChosen } of items) {
        if (block.add(document, false).length > 0) continue;
        const documentId = isChosen ? 1_000 + block.size : 0;
        documentIds.push(documentId);
        if (!isChosen) continue;
        const resolution = { get: (id: string): number => 5_000 + slotOf(id) };
        for (const [table, rows] of block.documentAt(block.size - 1).rows) {
          const { referring } = plan.tables.find((one) => one.table === table) ?? { referring: [] };
          const bound = rows.map((row) => bindRow(referring, documentId, row, resolution));
          expected.set(table, [...(expected.get(table) ?? []), ...bound]);
        }
      }
      const documentOfSlot = Array.from({ length: ids.size }, (_, slot) => 5_000 + slot);
      const columns = block.bind(documentIds, documentOfSlot);
      expect([...columns.keys()].sort(byName)).toEqual([...expected.keys()].sort(byName));
      for (const [table, bound] of columns) {
        // A column of references that no chosen row has may be one of NULLs.
        const cells = bound.cells.map((column) => (column?.some((cell) => cell !== null) === true ? column : null));
        expect({ ...bound, cells }).toEqual(columnsOfRows(table, expected.get(table) ?? []));
      }
    }),
  );
});

const byName = (a: Table, b: Table): number => a.name.localeCompare(b.name);
