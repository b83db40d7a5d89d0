/** What every search index must do; each adapter's test runs it. */
import { createHash } from 'node:crypto';
import { CaseId } from '@casebound/contract';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IndexDocument, SearchIndex } from './Port.ts';

const one = CaseId.parse(1);
const two = CaseId.parse(2);

const page = (position: number, text: string): IndexDocument['pages'][number] => ({
  position,
  text,
  sha256: createHash('sha256').update(text).digest('hex'),
});

const exhibit = (
  exhibitId: number,
  texts: readonly string[],
  fields: IndexDocument['fields'] = {},
  batchId = 7,
): IndexDocument => ({
  exhibitId,
  batchId,
  controlNumber: `ACME${exhibitId}`,
  fields,
  pages: texts.map((text, at) => page(at + 1, text)),
});

export const searchIndexConformance = (
  open: () => Promise<{ index: SearchIndex; close: () => Promise<void> }>,
): void => {
  describe('search index', () => {
    let index: SearchIndex;
    let close: () => Promise<void>;
    beforeEach(async () => {
      ({ index, close } = await open());
    });
    afterEach(async () => close());
    const ids = async (text: string): Promise<readonly number[]> => index.search(one, { text }, { limit: 100 });

    it('finds words of pages and fields, whatever their case and accents, all of them in one exhibit', async () => {
      await index.put(one, [
        exhibit(1, ['Pay the Secret amount', 'to Jané Doe'], { subject: 'Quarterly merger' }),
        exhibit(2, ['The secret garden']),
      ]);
      expect(await ids('secret')).toEqual([1, 2]);
      expect(await ids('SECRET jane')).toEqual([1]);
      expect(await ids('secret merger')).toEqual([1]);
      expect(await ids('"secret garden"')).toEqual([2]);
      expect(await ids('"garden secret"')).toEqual([]);
      expect(await ids('ACME2')).toEqual([2]);
      expect(await ids('NEAR( "broken syntax OR *')).toEqual([]);
    });

    it('filters by equality and by range, of numbers, texts and lists', async () => {
      await index.put(one, [
        exhibit(1, [], { pageCount: 3, dateSent: '2020-01-05T00:00:00Z', custodian: ['Ann', 'Bob'] }),
        exhibit(2, [], { pageCount: 12, dateSent: '2021-06-01T00:00:00Z', custodian: ['Bob'] }),
      ]);
      const found = async (
        ...filters: Parameters<SearchIndex['search']>[1]['filters'] & object
      ): Promise<readonly number[]> => index.search(one, { filters }, { limit: 10 });
      expect(await found({ field: 'pageCount', from: 4 })).toEqual([2]);
      expect(await found({ field: 'pageCount', from: 3, to: 3 })).toEqual([1]);
      expect(await found({ field: 'custodian', equals: 'Ann' })).toEqual([1]);
      expect(await found({ field: 'custodian', equals: 'Bob' })).toEqual([1, 2]);
      expect(await found({ field: 'dateSent', from: '2020-06', to: '2022' })).toEqual([2]);
      expect(await found({ field: 'custodian', equals: 'Bob' }, { field: 'pageCount', to: 5 })).toEqual([1]);
      await expect(found({ field: 'pageCount' })).rejects.toMatchObject({ code: 'search_query_invalid' });
      await expect(found({ field: 'pageCount', from: 1, to: '2' })).rejects.toMatchObject({
        code: 'search_query_invalid',
      });
      await expect(ids('... !')).rejects.toMatchObject({ code: 'search_query_invalid' });
    });

    it('replaces a document whole: nothing of the old text is found', async () => {
      await index.put(one, [exhibit(1, ['alpha', 'beta'], { subject: 'gamma' })]);
      await index.put(one, [exhibit(1, ['delta'])]);
      for (const gone of ['alpha', 'beta', 'gamma']) expect(await ids(gone)).toEqual([]);
      expect(await ids('delta')).toEqual([1]);
      expect(await index.digests(one, [1, 5])).toEqual([
        { exhibitId: 1, controlNumber: 'ACME1', pages: [{ position: 1, sha256: page(1, 'delta').sha256 }] },
      ]);
      expect(await index.count(one)).toBe(1);
    });

    it('removes documents, batches and cases, and keeps cases apart', async () => {
      await index.put(one, [exhibit(1, ['alpha']), exhibit(2, ['alpha'], {}, 8), exhibit(3, ['alpha'], {}, 8)]);
      await index.put(two, [exhibit(1, ['alpha'])]);
      await index.remove(one, [1, 99]);
      expect(await ids('alpha')).toEqual([2, 3]);
      expect(await index.removeBatch(one, 8)).toBe(2);
      expect(await index.count(one)).toBe(0);
      expect(await index.search(two, { text: 'alpha' }, { limit: 5 })).toEqual([1]);
      await index.drop(two);
      await index.drop(two);
      expect(await index.count(two)).toBe(0);
    });

    const filtered = async (
      ...filters: Parameters<SearchIndex['search']>[1]['filters'] & object
    ): Promise<readonly number[]> => index.search(one, { filters }, { limit: 100 });

    it('keeps phrases within one page', async () => {
      await index.put(one, [exhibit(1, ['ends with alpha', 'beta begins'], { subject: 'gamma' })]);
      expect(await ids('"with alpha"')).toEqual([1]);
      expect(await ids('"alpha beta"')).toEqual([]);
      expect(await ids('"gamma ends"')).toEqual([]);
      expect(await ids('alpha gamma begins')).toEqual([1]);
    });

    it('compares whole values as they are written: case, accents, blanks, signs and length', async () => {
      const long = 'x'.repeat(70_000);
      await index.put(one, [
        exhibit(1, [], { note: 'Ann', path: String.raw`C:\Mail "1"`, long }),
        exhibit(2, [], { note: 'ann', path: '', long: `${long}y` }),
        exhibit(3, [], { note: 'Änn', path: ' ', long: 'x' }),
        exhibit(4, [], { note: 'Ann ', path: 'tab\there\u0000end', long: '\u{1F600}'.repeat(100) }),
      ]);
      for (const [at, note] of ['Ann', 'ann', 'Änn', 'Ann '].entries())
        expect(await filtered({ field: 'note', equals: note })).toEqual([at + 1]);
      expect(await filtered({ field: 'note', equals: 'nn' })).toEqual([]);
      expect(await filtered({ field: 'Note', equals: 'Ann' })).toEqual([]);
      expect(await filtered({ field: 'path', equals: String.raw`C:\Mail "1"` })).toEqual([1]);
      expect(await filtered({ field: 'path', equals: '' })).toEqual([2]);
      expect(await filtered({ field: 'path', equals: 'tab\there\u0000end' })).toEqual([4]);
      expect(await filtered({ field: 'long', equals: long })).toEqual([1]);
      expect(await filtered({ field: 'long', equals: `${long}y` })).toEqual([2]);
      expect(await filtered({ field: 'long', from: 'x' })).toEqual([1, 2, 3, 4]);
      expect(await filtered({ field: 'long', from: 'x', to: 'x' })).toEqual([3]);
      expect(await filtered({ field: 'long', from: 'x'.repeat(300), to: 'x'.repeat(300) })).toEqual([1, 2]);
    });

    it('finds a number by its text, and no text by a number', async () => {
      await index.put(one, [exhibit(1, [], { pageCount: 5 }), exhibit(2, [], { pageCount: '5' })]);
      expect(await filtered({ field: 'pageCount', equals: '5' })).toEqual([1, 2]);
      expect(await filtered({ field: 'pageCount', equals: 5 })).toEqual([1]);
      expect(await filtered({ field: 'pageCount', from: 0 })).toEqual([1]);
      expect(await filtered({ field: 'pageCount', equals: '05' })).toEqual([]);
    });

    it('finds what a plain comparison of numbers and of texts finds', async () => {
      const number = fc.oneof(
        fc.integer(),
        fc.double({ noNaN: true }),
        fc.constantFrom(0, -0, 1, -1, 0.1, 1e300, Infinity, -Infinity),
      );
      const text = fc.oneof(
        fc.string({ unit: 'binary', maxLength: 6 }),
        fc.constantFrom('', 'a', 'A', 'ab', 'é', '\u{1F600}', '\uFFFF'),
      );
      const numbers = (left: number, right: number): number => Number(left > right) - Number(left < right);
      const texts = (left: string, right: string): number => Buffer.from(left).compare(Buffer.from(right));
      const check = async <T extends string | number>(
        values: readonly T[],
        [a, b]: readonly [T, T],
        compare: (left: T, right: T) => number,
      ): Promise<void> => {
        const documents = values.map((measure, at) => exhibit(at + 1, [], { measure }));
        await index.removeBatch(one, 7);
        await index.put(one, documents);
        const [from, to]: readonly [T, T] = compare(a, b) <= 0 ? [a, b] : [b, a];
        const expected = (fits: (value: T) => boolean): number[] =>
          values.flatMap((value, at) => (fits(value) ? [at + 1] : []));
        expect(await filtered({ field: 'measure', from, to })).toEqual(
          expected((value) => compare(value, from) >= 0 && compare(value, to) <= 0),
        );
        expect(await filtered({ field: 'measure', from })).toEqual(expected((value) => compare(value, from) >= 0));
        expect(await filtered({ field: 'measure', to })).toEqual(expected((value) => compare(value, to) <= 0));
        expect(await filtered({ field: 'measure', equals: from })).toEqual(
          expected((value) => compare(value, from) === 0),
        );
      };
      const options = { numRuns: 25 };
      await fc.assert(
        fc.asyncProperty(fc.array(number, { maxLength: 12 }), fc.tuple(number, number), async (values, bounds) =>
          check<number>([...values, ...bounds], bounds, numbers),
        ),
        options,
      );
      await fc.assert(
        fc.asyncProperty(fc.array(text, { maxLength: 12 }), fc.tuple(text, text), async (values, bounds) =>
          check<string>([...values, ...bounds], bounds, texts),
        ),
        options,
      );
    }, 60_000);

    it('takes all conditions together, page by page', async () => {
      await index.put(
        one,
        Array.from({ length: 60 }, (_, at) =>
          exhibit(at + 1, [at % 2 === 0 ? 'even page' : 'odd page'], { third: at % 3, at, stage: `Stage ${at % 2}` }),
        ),
      );
      const query = {
        text: 'page even',
        filters: [
          { field: 'third', equals: 0 },
          { field: 'stage', equals: 'Stage 0' },
          { field: 'at', from: 10, to: 50 },
        ],
      };
      const expected = [13, 19, 25, 31, 37, 43, 49];
      expect(await index.search(one, query, { limit: 100 })).toEqual(expected);
      expect(await index.search(one, query, { limit: 3 })).toEqual(expected.slice(0, 3));
      expect(await index.search(one, query, { limit: 3, after: 25 })).toEqual(expected.slice(3, 6));
      expect(await index.search(one, query, { limit: 3, after: 49 })).toEqual([]);
      const many = Array.from({ length: 300 }, () => 'page').join(' ');
      expect(await index.search(one, { text: many }, { limit: 2 })).toEqual([1, 2]);
      expect(await index.search(one, { text: 'pa\u0000ge' }, { limit: 2 })).toEqual([]);
      expect(await index.search(one, {}, { limit: 2, after: 58 })).toEqual([59, 60]);
    });

    it('forgets values with the document that had them', async () => {
      await index.put(one, [exhibit(2, ['x'], { pageCount: 3 }), exhibit(1, ['x'], { pageCount: 4, tag: ['a', 'a'] })]);
      await index.put(one, [exhibit(2, ['x'], { pageCount: 9 }), exhibit(2, ['y'], { pageCount: 5 })]);
      expect(await filtered({ field: 'pageCount', from: 3 })).toEqual([1, 2]);
      expect(await filtered({ field: 'pageCount', to: 4 })).toEqual([1]);
      expect(await filtered({ field: 'pageCount', equals: 9 })).toEqual([]);
      expect(await ids('x')).toEqual([1]);
      await index.remove(one, [1]);
      expect(await filtered({ field: 'pageCount', from: 0 })).toEqual([2]);
      expect(await filtered({ field: 'tag', equals: 'a' })).toEqual([]);
      await index.removeBatch(one, 7);
      expect(await filtered({ field: 'pageCount', from: 0 })).toEqual([]);
      expect(await index.removeBatch(one, 7)).toBe(0);
    });

    it('takes large documents and many fields', async () => {
      const filler = Array.from({ length: 2_600 }, (_, at) => `w${at % 97}`).join(' ');
      const pages = Array.from({ length: 100 }, (_, at) => `${filler} page${at} last`);
      const fields = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`Field ${at}`, `value ${at}`]));
      await index.put(one, [exhibit(1, pages, fields), exhibit(2, ['page3'])]);
      expect(await ids('page3 page99 "value 199"')).toEqual([1]);
      expect(await ids('"page42 last"')).toEqual([1]);
      expect(await ids('page3')).toEqual([1, 2]);
      const all = Object.entries(fields).map(([field, equals]) => ({ field, equals }));
      expect(await filtered(...all)).toEqual([1]);
      const [digest] = await index.digests(one, [1]);
      expect(digest?.pages.map(({ sha256 }) => sha256)).toEqual(pages.map((text) => page(1, text).sha256));
    });

    it('serves calls that are made at the same time, each whole', async () => {
      await Promise.all(
        Array.from({ length: 20 }, async (_, call) =>
          index.put(
            one,
            Array.from({ length: 30 }, (__, at) => exhibit(call * 30 + at + 1, [`call${call}`])),
          ),
        ),
      );
      expect(await index.count(one)).toBe(600);
      expect(await ids('call7')).toHaveLength(30);
    });

    it('takes all or none of a call', async () => {
      await index.put(one, [exhibit(1, ['alpha'])]);
      const broken = { ...exhibit(3, []), pages: [{ position: 1, text: 'beta', sha256: 'none' }] };
      await expect(index.put(one, [exhibit(1, ['beta']), exhibit(2, ['beta']), broken])).rejects.toThrow('SHA-256');
      expect(await ids('alpha')).toEqual([1]);
      expect(await ids('beta')).toEqual([]);
      expect(await index.count(one)).toBe(1);
    });

    it('gives digests in the order in which they were asked for', async () => {
      await index.put(one, [exhibit(1, ['a']), exhibit(2, []), exhibit(3, ['c', 'd'])]);
      const digests = await index.digests(one, [3, 9, 1, 2]);
      expect(digests.map(({ exhibitId, pages }) => [exhibitId, pages.map(({ position }) => position)])).toEqual([
        [3, [1, 2]],
        [1, [1]],
        [2, []],
      ]);
    });

    it('answers nothing after it was closed', async () => {
      await index.close();
      await expect(index.count(one)).rejects.toMatchObject({ code: 'search_index_unavailable' });
      await expect(index.put(one, [exhibit(1, [])])).rejects.toMatchObject({ code: 'search_index_unavailable' });
    });

    it('answers in pages', async () => {
      await index.put(
        one,
        Array.from({ length: 25 }, (_, at) => exhibit(at + 1, ['alpha'])),
      );
      const first = await index.search(one, { text: 'alpha' }, { limit: 10 });
      const second = await index.search(one, { text: 'alpha' }, { limit: 100, after: first.at(-1) ?? 0 });
      expect([...first, ...second]).toEqual(Array.from({ length: 25 }, (_, at) => at + 1));
    });
  });
};
