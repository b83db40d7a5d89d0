/** Keys that are copied while a load file is read for its plan, against those that the stage reads from the source itself. */
import path from 'node:path';
import type { CaseId, ImportRequest, JobId } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancelImport } from '../look-at-imports.ts';
import { runImport } from '../run-import.ts';
import { describeCase } from '../testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from '../testing/open-test-import.ts';
import { dat, writeSource } from '../testing/write-source.ts';

let test: TestImport;
let folder: TemporaryFolder;
let made = 0;

beforeAll(async () => {
  test = await openTestImport();
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

type More = Partial<Omit<ImportRequest, 'path'>>;
const clears = 'DELETE FROM import_row';

const write = async (content: string | Buffer): Promise<string> =>
  writeSource(path.join(folder.path, `s${(made += 1)}`), { 'load.dat': content });

/** Sessions that tell each statement. */
const observing = (onStatement: (text: string) => void): TestImport['parts']['sessions'] => ({
  ...test.parts.sessions,
  withCase: async (caseId, actor, fn, options) =>
    test.parts.sessions.withCase(caseId, actor, fn, { ...options, onStatement }),
});

/** A place at which an import is stopped. */
const stopAt = (point: string) => (name: string) => {
  if (name === point) throw new Error('stopped here');
};

/** Everything that planning and staging leave, apart from ids. */
const lookAt = async (caseId: CaseId) =>
  test.parts.sessions.withCase(caseId, testActor, async (tx) => {
    const read = async (text: string) => (await tx.query(text)).rows;
    return {
      jobs: await read(
        'SELECT state, plan, rows, rejected, duplicates, error_code FROM import_job ORDER BY created_at',
      ),
      rows: await read(`SELECT (to_jsonb(row) - 'job_id')::text AS row FROM import_row AS row ORDER BY row_no`),
      pages: await read(
        `SELECT (to_jsonb(page) - 'job_id')::text AS page FROM import_page AS page ORDER BY doc_key, position`,
      ),
      problems: await read(
        'SELECT stage, severity, code, row_no, line, path, field, value, reason, rejected FROM import_problem ORDER BY problem_id',
      ),
      fields: await read('SELECT title, input_type FROM custom_field ORDER BY title'),
    };
  });

/** How often keys were copied: in one go, and when what was copied ahead was lost. */
const meaning = { '1 2': 'copied ahead', '2 2': 'copied ahead in vain', '1 1': 'read when staged' } as const;

/** Stages a source in one go, and in a case of its own after a stop that loses what was copied ahead. */
const stageTwice = async (at: string, more: More = {}, prepare?: (caseId: CaseId) => Promise<unknown>) => {
  const stage = async (stops: boolean) => {
    const caseId = await test.makeCase('staged');
    await prepare?.(caseId);
    const { jobId } = await test.accept(caseId, { path: at, ocr: 'off', ...more });
    let cleared = 0;
    const sessions = observing((text) => {
      if (text.startsWith(clears)) cleared += 1;
    });
    const run = async (point: string) =>
      test.run(caseId, jobId, { sessions, crashPoint: stopAt(point) }).catch((error: unknown) => {
        expect(error).toMatchObject({ message: 'stopped here' });
      });
    if (stops) await run('import.planned');
    await run('import.staged');
    return { found: await lookAt(caseId), cleared };
  };
  const [ahead, after] = [await stage(false), await stage(true)];
  expect(ahead.found).toEqual(after.found);
  const copied = `${ahead.cleared} ${after.cleared}` as keyof typeof meaning;
  return { ...ahead.found, keys: meaning[copied] };
};

const numbered = (count: number, cells: (at: number) => readonly string[]): readonly (readonly string[])[] =>
  Array.from({ length: count }, (_, at) => [`A${String(at + 1).padStart(5, '0')}`, ...cells(at)]);

describe('the stage of a load file', () => {
  it('is the same whatever rows say, copied ahead or not', async () => {
    const cell = fc.oneof(
      { weight: 3, arbitrary: fc.constant('') },
      fc.constantFrom(
        'A00001',
        'A00002',
        'A00003',
        '1',
        'Smith',
        '.\\NATIVES\\1.pdf',
        'x;y',
        '03/04/2020',
        '31/12/2020',
      ),
      fc.constantFrom('d41d8cd98f00b204e9800998ecf8427e', 'da39a3ee5e6b4b0d3255bfef95601890afd80709'),
    );
    const names = fc.shuffledSubarray(
      [
        'PARENTID',
        'PARENT DOC',
        'BEGATTACH',
        'GROUP ID',
        'CUSTODIAN',
        'CUST',
        'MD5HASH',
        'SHA1HASH',
        'FILEPATH',
        'NATIVELINK',
        'DATESENT',
        'Note',
      ],
      { minLength: 3, maxLength: 7 },
    );
    const sources = names.chain((columns) =>
      fc.record({
        columns: fc.constant(columns),
        rows: fc.array(
          fc.tuple(
            fc.constantFrom('A00001', 'A00002', 'B1', 'B2', ''),
            fc.array(cell, { minLength: columns.length - 1, maxLength: columns.length }),
          ),
          {
            minLength: 1,
            maxLength: 12,
          },
        ),
        deduplicate: fc.constantFrom('none', 'custodian', 'case'),
      }),
    );
    await fc.assert(
      fc.asyncProperty(sources, async ({ columns, rows, deduplicate }) => {
        // More than what is looked at before the file is read.
        const empty = numbered(250, () => [...columns.map(() => ''), 'x'.repeat(300)]);
        const late = dat(
          ['BEGDOC', ...columns, 'Note'],
          ...empty,
          ...rows.map(([number, cells]) => [number, ...cells, '']),
        );
        await stageTwice(await write(late), { deduplicate });
      }),
      { numRuns: 15 },
    );
  }, 240_000);

  it('is copied ahead though late rows change encoding, width, types and date orders', async () => {
    const early = dat(
      ['BEGDOC', 'PARENTID', 'CUSTODIAN', 'MD5HASH', 'Amount', 'Issued', 'NATIVELINK'],
      ...numbered(2_000, (at) => ['', 'Smith', 'd41d8cd98f00b204e9800998ecf8427e', String(at), '03/04/2020', '']),
    );
    const late = dat(
      ['Z1', 'A00007', 'M\u00FCller', '', 'many', '31/12/2020', '.\\n\\1.pdf'],
      ['Z2', 'Z1', '', 'ff'],
      ['Z2', 'gone', '', 'd41d8cd98f00b204e9800998ecf8427e', 'some', '30/12/2020', ''],
      ['Z2', '', '', '', '"', ',', '|'],
    );
    const source = await writeSource(path.join(folder.path, `s${(made += 1)}`), {
      'load.dat': Buffer.concat([Buffer.from(early), Buffer.from(late, 'latin1')]),
      'load.opt': 'A00001,V,i/1.tif,Y,,,1\r\nX1,V,i/2.tif,Y,,,1\r\n',
      'n/1.pdf': '%PDF-1.4 named by a late row',
      'n/2.pdf': '%PDF-1.4 named by none',
      'i/2.txt': 'beside a page',
    });
    const { keys, jobs, problems } = await stageTwice(source, { deduplicate: 'custodian' });
    expect(keys).toBe('copied ahead');
    expect(jobs).toMatchObject([{ state: 'importing', rows: '2005', rejected: '2', duplicates: '2000' }]);
    expect(jobs[0]?.['plan']).toMatchObject({
      columns: expect.arrayContaining([
        expect.objectContaining({ column: 'Issued', type: 'date', dateOrder: 'day-first' }),
      ]) as unknown,
    });
    const codes = problems.map(({ code }) => code);
    expect(problems.filter(({ code }) => code === 'unreferenced_file')).toMatchObject([{ path: 'n/2.pdf' }]);
    expect(codes).toEqual(
      expect.arrayContaining(['mixed_encoding', 'too_few_cells', 'duplicate_control_number', 'parent_missing']),
    );
  });

  it('is made from the source where late rows make another column a key', async () => {
    const note = 'x'.repeat(100);
    const settled = dat(
      ['BEGDOC', 'FILEPATH', 'Note'],
      ...numbered(2_000, (at) => [at < 1_500 ? '' : `.\\NATIVES\\${at}.pdf`, note]),
    );
    expect(await stageTwice(await write(settled))).toMatchObject({ keys: 'copied ahead in vain' });
    const parents = dat(
      ['BEGDOC', 'PARENT DOCUMENT ID', 'PARENTID', 'Note'],
      ...numbered(2_000, (at) => ['A00002', at < 1_500 ? '' : 'A00001', note]),
    );
    const { keys, rows } = await stageTwice(await write(parents));
    expect(keys).toBe('copied ahead in vain');
    expect(JSON.parse(String(rows.at(-1)?.['row']))).toMatchObject({ parent_key: 'A00001', parent_row: 1 });
  });

  it('is made from the source where more is wrong than is kept', async () => {
    const wrong = dat(
      ['BEGDOC', 'SUBJECT', 'Issued'],
      ...numbered(5_200, (at) => (at < 5_100 ? ['x'] : ['x', '03/04/2020'])),
    );
    const { keys, problems, jobs } = await stageTwice(await write(wrong));
    expect(keys).toBe('copied ahead in vain');
    expect(problems[0]).toMatchObject({ stage: 'planning', code: 'ambiguous_date' });
    expect(problems).toHaveLength(5_101);
    expect(jobs).toMatchObject([{ rows: '5200', rejected: '5100' }]);
  }, 30_000);

  it('of an overlay is copied ahead where rows are matched by a core field', async () => {
    const before = await write(dat(['BEGDOC', 'SUBJECT', 'Ref'], ...numbered(30, (at) => ['before', `r${at}`])));
    const prepare = async (caseId: CaseId) => test.import(caseId, { path: before, ocr: 'off' });
    const source = await write(dat(['BEGDOC', 'SUBJECT', 'Ref'], ...numbered(40, (at) => ['after', `r${at}`])));
    const byNumber = await stageTwice(source, { overlay: { mode: 'merge', key: 'controlNumber' } }, prepare);
    expect(byNumber).toMatchObject({ keys: 'copied ahead', jobs: [{}, { rows: '40', rejected: '10' }] });
    const byField = await stageTwice(source, { overlay: { mode: 'merge', key: 'Ref' } }, prepare);
    expect(byField).toMatchObject({ keys: 'read when staged', jobs: [{}, { rows: '40', rejected: '10' }] });
  }, 30_000);
});

describe('what was copied ahead', () => {
  const long = async (): Promise<string> =>
    write(dat(['BEGDOC', 'SUBJECT', 'MD5HASH'], ...numbered(20_000, (at) => ['x'.repeat(400), String(at)])));
  const accepted = async (at: string, more: More = {}): Promise<{ readonly caseId: CaseId; readonly jobId: JobId }> => {
    const caseId = await test.makeCase('ahead');
    return { caseId, jobId: (await test.accept(caseId, { path: at, ocr: 'off', ...more })).jobId };
  };

  const expectStaged = async ({ caseId, jobId }: Awaited<ReturnType<typeof accepted>>): Promise<void> => {
    const crashPoint = stopAt('import.staged');
    await expect(test.run(caseId, jobId, { crashPoint })).rejects.toThrow('stopped here');
    expect(await lookAt(caseId)).toMatchObject({ jobs: [{ state: 'importing', rows: '20000', rejected: '0' }] });
    expect((await lookAt(caseId)).rows).toHaveLength(20_000);
  };

  it('is gone when the plan is refused after all', async () => {
    const hash = (at: number): string => String(at).padStart(at < 300 ? 32 : 40, '0');
    const source = await write(dat(['BEGDOC', 'MD5HASH'], ...numbered(5_000, (at) => [hash(at)])));
    const { caseId, jobId } = await accepted(source, { overlay: { mode: 'merge', key: 'md5Hash' } });
    let cleared = 0;
    const sessions = observing((text) => (cleared += text.startsWith(clears) ? 1 : 0));
    const job = await test.run(caseId, jobId, { sessions });
    expect(job).toMatchObject({ state: 'failed', error: { code: 'import_source_invalid' } });
    // Once for the copy, once by what undoes the import.
    expect(cleared).toBe(2);
    expect(await lookAt(caseId)).toMatchObject({ rows: [], pages: [] });
  });

  it('is taken for nothing when the plan is lost', async () => {
    const { caseId, jobId } = await accepted(await write(dat(['BEGDOC', 'Note'], ...numbered(50, () => ['x']))));
    const sessions = observing((text) => {
      if (text.startsWith('SELECT title FROM custom_field')) throw new Error('lost');
    });
    await expect(test.run(caseId, jobId, { sessions })).rejects.toThrow('lost');
    expect(await lookAt(caseId)).toMatchObject({ jobs: [{ state: 'planning', plan: null }], fields: [] });
    expect((await lookAt(caseId)).rows).toHaveLength(50);
    expect((await test.run(caseId, jobId)).counts).toMatchObject({ rows: 50, imported: 50 });
    expect((await describeCase(test, caseId)).leftovers).toEqual([]);
  });

  it('is read again when the database lost it', async () => {
    const { caseId, jobId } = await accepted(await write(dat(['BEGDOC', 'NATIVELINK'], ...numbered(50, () => ['']))));
    let isPlanned = false;
    const sessions: TestImport['parts']['sessions'] = {
      ...test.parts.sessions,
      withCase: async (id, actor, fn, options) => {
        if (isPlanned) await test.parts.sessions.withCase(id, actor, async (tx) => tx.query(clears));
        isPlanned = false;
        return test.parts.sessions.withCase(id, actor, fn, options);
      },
    };
    const crashPoint = (name: string): void => {
      if (name === 'import.planned') isPlanned = true;
    };
    expect((await test.run(caseId, jobId, { sessions, crashPoint })).counts).toMatchObject({ rows: 50, imported: 50 });
  });

  /** Runs an import, and does something once the keys of its load file are being copied. */
  const runWhile = async (
    { caseId, jobId }: Awaited<ReturnType<typeof accepted>>,
    act: () => Promise<unknown>,
    signal = new AbortController().signal,
  ): Promise<void> => {
    const { promise: isCopying, resolve } = Promise.withResolvers<undefined>();
    const sessions = observing((text) => {
      if (text.startsWith(clears)) resolve(undefined);
    });
    const acted = isCopying.then(act);
    await runImport({ ...test.parts, sessions }, caseId, jobId, signal);
    await acted;
  };

  it('is nobody’s when the import is cancelled meanwhile', async () => {
    const one = await accepted(await long());
    await runWhile(one, async () => {
      await cancelImport(test.parts, testActor, one.caseId, one.jobId);
      await test.run(one.caseId, one.jobId);
    });
    const { jobs, rows, problems, fields } = await lookAt(one.caseId);
    expect(jobs).toMatchObject([{ state: 'cancelled', plan: null }]);
    expect({ rows, problems, fields }).toEqual({ rows: [], problems: [], fields: [] });
  });

  it('is taken back at once when the worker has to stop', async () => {
    const one = await accepted(await long());
    const stop = new AbortController();
    const running = runWhile(one, async () => Promise.resolve(stop.abort(new Error('stopping'))), stop.signal);
    await expect(running).rejects.toThrow('stopping');
    expect(await lookAt(one.caseId)).toMatchObject({ jobs: [{ state: 'planning' }], rows: [] });
    await expectStaged(one);
  }, 60_000);

  it('fails the try, and does not hang, when its connection breaks', async () => {
    const one = await accepted(await long());
    const { withCase } = test.parts.sessions;
    const { promise: isCut, resolve: letGo } = Promise.withResolvers<undefined>();
    const { promise: isThere, resolve: arrive } = Promise.withResolvers<undefined>();
    // COPY waits at a row that somebody else is about to write.
    const inTheWay = withCase(one.caseId, testActor, async (tx) => {
      await tx.query('INSERT INTO import_row (job_id, row_no) VALUES ($1, 10000)', [one.jobId]);
      arrive(undefined);
      await isCut;
      throw new Error('out of the way');
    }).catch(() => undefined);
    await isThere;
    const cut = async (): Promise<void> => {
      for (let found = 0; found === 0;) {
        found = await withCase(one.caseId, testActor, async (tx) => {
          const waiting = `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY import_row%'`;
          const text = `WITH waiting AS MATERIALIZED (${waiting}) SELECT FROM waiting WHERE pg_terminate_backend(pid)`;
          return (await tx.query(text)).rowCount;
        });
      }
    };
    await expect(runWhile(one, cut)).rejects.toMatchObject({ code: 'database_unreachable' });
    letGo(undefined);
    await inTheWay;
    expect(await lookAt(one.caseId)).toMatchObject({ jobs: [{ state: 'planning' }], rows: [] });
    await expectStaged(one);
  }, 60_000);
});
