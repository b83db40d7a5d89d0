/** What every search index must do; each adapter's test runs it. */
import { createHash } from 'node:crypto';
import { CaseId } from '@casebound/contract';
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
