import { existsSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadFileProblem } from '../problems.ts';
import type { LfpLine, LfpRecord } from './lfp.ts';
import { lfpPath, readLfp, writeLfp } from './lfp.ts';
import type { OpticonLine, OpticonPage } from './opticon.ts';
import { groupOpticonDocuments, readOpticon, writeOpticon } from './opticon.ts';

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};

const opticon = async (bytes: string | Uint8Array, chunkBytes = 1000) => {
  const problems: LoadFileProblem[] = [];
  const report = (problem: LoadFileProblem): void => void problems.push(problem);
  const source = [typeof bytes === 'string' ? Buffer.from(bytes) : bytes];
  const lines: OpticonLine[] = (
    await collect(readOpticon(source, { onProblem: report, limits: { chunkBytes } }))
  ).flat();
  const documents = await collect(groupOpticonDocuments([lines], report));
  return { lines, documents, codes: problems.map(({ code, line }) => `${code}@${line}`) };
};

const lfp = async (text: string) => {
  const problems: LoadFileProblem[] = [];
  const batches = readLfp([Buffer.from(text)], { onProblem: (problem) => problems.push(problem) });
  const lines: LfpLine[] = (await collect(batches)).flat();
  return { records: lines.map(({ record }) => record), codes: problems.map(({ code, line }) => `${code}@${line}`) };
};

const sample = new URL('../../../../../shared/data/relativity-samples/Opticon_01.opt', import.meta.url);

describe('Opticon', () => {
  it.skipIf(!existsSync(sample))(
    'reads the Relativity sample: one document of 5 pages (needs ../shared/data)',
    async () => {
      const { documents, codes, lines } = await opticon(readFileSync(sample));
      expect(codes).toEqual([]);
      expect(lines).toHaveLength(5);
      expect(documents).toHaveLength(1);
      expect(documents[0]).toMatchObject({ key: 'SYM-00011001_REV', line: 1, statedPages: 5 });
      expect(documents[0]?.pages[4]).toEqual({
        pageId: 'SYM-00011001_0004_REV',
        volume: 'VOL01',
        path: '.\\VOL01\\IMAGES\\IMG001\\SYM-00011001_0004_REV.tif',
        documentBreak: false,
        folderBreak: false,
        boxBreak: false,
        pageCount: null,
      });
    },
  );

  it('reports what is wrong by line and goes on', async () => {
    const { lines, documents, codes } = await opticon(
      [
        'A1,V,1.tif,,,,',
        'A2,V,2.tif,Y,,,3',
        'A3,V,a,b.tif,,,,',
        ',V,4.tif,,,,',
        'A5,V,,,,,',
        'A6,V,6.tif,X,,,',
        'A7,V,7.tif,Y,,,two',
        'A8',
        '',
      ].join('\n'),
    );
    expect(codes).toEqual([
      'too_many_cells@3',
      'missing_key@4',
      'missing_path@5',
      'invalid_flag@6',
      'invalid_number@7',
      'too_few_cells@8',
      'page_without_document@1',
      'page_count_mismatch@2',
    ]);
    expect(lines.filter(({ page }) => page !== undefined)).toHaveLength(3);
    expect(documents.map(({ key, pages }) => [key, pages.length])).toEqual([
      ['A1', 1],
      ['A2', 2],
    ]);
  });

  it('reads back what it writes, for any chunk size', async () => {
    const word = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 8 })
      .filter((v) => !/[,\r\n\uFEFF]/u.test(v) && !/^\p{Cc}/u.test(v) && v.trim() === v && v.isWellFormed());
    const page: fc.Arbitrary<OpticonPage> = fc.record({
      pageId: word,
      volume: fc.oneof(fc.constant(''), word),
      path: word,
      documentBreak: fc.boolean(),
      folderBreak: fc.boolean(),
      boxBreak: fc.boolean(),
      pageCount: fc.option(fc.nat(999_999_999)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(page, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 50 }),
        async (pages, chunkBytes) => {
          const bytes = Buffer.concat(await collect(writeOpticon(pages)));
          // Short files of many control characters look binary; the encoding is stated as an importer may.
          const back = (await collect(readOpticon([bytes], { limits: { chunkBytes }, encoding: 'utf-8' }))).flat();
          expect(back.map((line) => line.page)).toEqual(pages);
        },
      ),
    );
    const bad = { ...(await opticon('A1,V,1.tif,Y,,,1\n')).lines[0]?.page } as OpticonPage;
    await expect(collect(writeOpticon([{ ...bad, path: 'a,b.tif' }]))).rejects.toMatchObject({
      code: 'load_file_value_unwritable',
    });
  });
});

describe('LFP', () => {
  it('reads images with boundaries, offsets and rotation, originals, and carries the rest', async () => {
    const { records, codes } = await lfp(
      [
        '## comment',
        'VN,VOL01,D:\\',
        'IM,MSC-00014,D,0,@MDEMO;IMAGES\\00\\00;014.TIF;2,1',
        'IM,0002, ,2,@FLD02;IMAGES\\00\\00;0000.PDF;6,1',
        'IM,0003,,0,0003.TIF;2',
        'IM,0004,C,0,@V;I;4.JPG;4',
        'OF,MSC-00014,@MDEMO;NATIVES;014.xls;1,0',
        'TX,whatever',
      ].join('\r\n') + '\r\n',
    );
    expect(codes).toEqual(['unsupported_record@2', 'unsupported_record@8']);
    expect(records.slice(2, 7)).toEqual([
      {
        kind: 'image',
        key: 'MSC-00014',
        boundary: 'document',
        offset: 0,
        location: { volume: 'MDEMO', directory: 'IMAGES\\00\\00', file: '014.TIF' },
        type: 2,
        rotation: 1,
      },
      {
        kind: 'image',
        key: '0002',
        boundary: 'page',
        offset: 2,
        location: { volume: 'FLD02', directory: 'IMAGES\\00\\00', file: '0000.PDF' },
        type: 6,
        rotation: 1,
      },
      {
        kind: 'image',
        key: '0003',
        boundary: 'page',
        offset: 0,
        location: { volume: '', directory: '', file: '0003.TIF' },
        type: 2,
        rotation: null,
      },
      {
        kind: 'image',
        key: '0004',
        boundary: 'child',
        offset: 0,
        location: { volume: 'V', directory: 'I', file: '4.JPG' },
        type: 4,
        rotation: null,
      },
      {
        kind: 'original',
        key: 'MSC-00014',
        location: { volume: 'MDEMO', directory: 'NATIVES', file: '014.xls' },
        rest: ';1,0',
      },
    ]);
    expect(lfpPath({ volume: 'V', directory: 'A\\B', file: 'c.tif' })).toBe('A\\B\\c.tif');
  });

  it('reports what is wrong by line', async () => {
    const { codes, records } = await lfp(
      [
        'IM,,D,0,@V;I;1.TIF;2',
        'IM,K,D,0,@V;I;;2',
        'IM,K,Q,0,@V;I;1.TIF;2',
        'IM,K,D,x,@V;I;1.TIF;2,9',
        'IM,K',
        'OF,,x.doc',
        'free text',
        '',
      ].join('\n'),
    );
    expect(codes).toEqual([
      'missing_key@1',
      'missing_path@2',
      'invalid_flag@3',
      'invalid_number@4',
      'invalid_number@4',
      'too_few_cells@5',
      'missing_path@5',
      'invalid_number@5',
      'missing_key@6',
      'unsupported_record@7',
    ]);
    expect(records.filter((record) => record !== undefined)).toHaveLength(2);
  });

  it('reads back what it writes', async () => {
    const word = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 8 })
      .filter((v) => !/[,;@\r\n\uFEFF]/u.test(v) && !/^\p{Cc}/u.test(v) && v.trim() === v && v.isWellFormed());
    const location = fc.oneof(
      fc.record({ volume: word, directory: fc.oneof(fc.constant(''), word), file: word }),
      fc.record({ volume: fc.constant(''), directory: fc.constant(''), file: word }),
    );
    const record: fc.Arbitrary<LfpRecord> = fc.oneof(
      fc.record({
        kind: fc.constant('image' as const),
        key: word,
        boundary: fc.constantFrom('document', 'child', 'folder', 'box', 'source', 'page' as const),
        offset: fc.nat(999_999_999),
        location,
        type: fc.nat(999),
        rotation: fc.option(fc.nat(3)),
      }),
      fc.record({
        kind: fc.constant('original' as const),
        key: word,
        location,
        rest: fc.constantFrom('', ';1', ',1', ';1,0'),
      }),
      word.map((text) => ({ kind: 'other' as const, command: 'VN', text: `VN,${text}` })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 6 }), async (records) => {
        const bytes = Buffer.concat(await collect(writeLfp(records)));
        const back = (await collect(readLfp([bytes], { encoding: 'utf-8' }))).flat();
        expect(back.map((line) => line.record)).toEqual(records);
      }),
    );
    const location1 = { volume: '', directory: '', file: 'a;b' };
    await expect(collect(writeLfp([{ kind: 'original', key: 'K', location: location1, rest: '' }]))).rejects.toThrow(
      /semicolon/u,
    );
  });

  it('never throws for any bytes', async () => {
    const unit = fc.constantFrom('IM,', 'OF,', 'D', ',', ';', '@', '\n', '\r', '0', 'ü', '\0', 'VN,');
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array(),
          fc.array(unit).map((units) => Buffer.from(units.join(''))),
        ),
        async (bytes) => {
          for (const lines of await collect(readLfp([bytes]))) expect(lines.length).toBeGreaterThan(0);
          for (const lines of await collect(readOpticon([bytes]))) expect(lines.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});
