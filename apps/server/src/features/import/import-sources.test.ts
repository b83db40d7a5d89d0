/** What productions and loose files become, and what is told of what is wrong with them. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type CaseId, ImportRequest, JobId } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSample } from '../samples/index.ts';
import { readTruth } from '../samples/testing/read-sample.ts';
import { previewImport } from './create-import.ts';
import { getImport, resumeImport } from './look-at-imports.ts';
import { buildZip } from './sources/testing/build-zip.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';

const relativity = process.env['CASEBOUND_SAMPLES'] ?? path.resolve('..', 'shared', 'data', 'relativity-samples');

let test: TestImport;
let folder: TemporaryFolder;

beforeAll(async () => {
  test = await openTestImport({ chunkRows: 50 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

interface Described {
  readonly exhibit: Record<string, unknown>;
  readonly document: Record<string, unknown>;
  readonly values: Record<string, unknown> | null;
}

let made = 0;
/** A folder with files; contents by path. */
const source = async (files: Readonly<Record<string, string | Buffer>>): Promise<string> => {
  made += 1;
  const root = path.join(folder.path, `s${made}`);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
  return root;
};

/** Imports into a case, by default a new one. */
const bring = async (from: string, more: Partial<Omit<ImportRequest, 'path'>> & { readonly into?: CaseId } = {}) => {
  made += 1;
  const { into = await test.makeCase(`case ${made}`), ...request } = more;
  const job = await test.import(into, { path: from, ocr: 'off', ...request });
  const { rows, imported, duplicates, overlaid, rejected } = job.counts;
  if (job.state === 'finished' || job.state === 'finished_with_errors')
    expect(rows).toBe(imported + duplicates + overlaid + rejected);
  const problems = await test.problems(into, job.jobId);
  const described = await describeCase(test, into);
  return {
    caseId: into,
    job,
    problems,
    codes: problems.map(({ code }) => code),
    described,
    exhibits: described.exhibits as Record<string, Described>,
  };
};

const csv = (...lines: readonly string[]): string => `${lines.join('\r\n')}\r\n`;

describe('a production', () => {
  it('of a generator comes in whole, with the flaws that were planted told and no others', async () => {
    const sample = await createSample(path.join(folder.path, 'sample'), { documents: 80, seed: 'whole', flaws: true });
    const { job, problems, exhibits, described, caseId } = await bring(sample.folder);
    expect(job.counts).toMatchObject({ rows: 80, imported: 80, rejected: 0 });
    const flaws = readTruth(sample.folder).flatMap((line) => (line.kind === 'flaw' ? [line] : []));
    const told = (code: string): readonly (number | null)[] =>
      problems.filter((found) => found.code === code).map(({ row }) => row);
    const rowOf = (flaw: string): number =>
      Object.keys(exhibits).indexOf(flaws.find((one) => one.flaw === flaw)?.document ?? '') + 1;
    expect(told('native_missing')).toEqual([rowOf('missing_native')]);
    expect(told('hash_mismatch')).toEqual([rowOf('hash_mismatch')]);
    expect(told('image_invalid')).toEqual([rowOf('fake_tiff')]);
    expect(told('pdf_damaged')).toEqual([rowOf('corrupt_pdf')]);
    expect(problems.filter(({ severity }) => severity === 'error').map(({ row }) => row)).toSatisfy(
      (rows: readonly (number | null)[]) => new Set(rows).size === 4,
    );
    expect(problems.filter(({ code }) => code === 'unreferenced_file').map((found) => found.path)).toEqual([
      'TRUTH.jsonl',
    ]);
    expect(described.leftovers).toEqual([]);
    const children = Object.values(exhibits).filter(({ exhibit }) => 'parentExhibitReference' in exhibit);
    expect(children.length).toBeGreaterThan(0);
    for (const { exhibit } of children) {
      const parent = (exhibit['parentExhibitReference'] as { controlNumber: string }).controlNumber;
      expect(exhibits[parent]).toBeDefined();
    }
    const redacted = readTruth(sample.folder).flatMap((line) => (line.kind === 'redaction' ? [line.document] : []));
    for (const number of new Set(redacted)) expect(exhibits[number]?.exhibit).toMatchObject({ redacted: true });
    expect(await test.parts.index.count(caseId)).toBe(80);
  }, 120_000);

  it.skipIf(!existsSync(relativity))(
    'of Relativity names the hash mismatches and the image that is text',
    async () => {
      const { job, problems, exhibits } = await bring(relativity);
      expect(job.counts).toMatchObject({ rows: 5, imported: 5, rejected: 0 });
      expect(problems.filter(({ code }) => code === 'hash_mismatch').length).toBeGreaterThan(0);
      expect(problems).toContainEqual(
        expect.objectContaining({
          code: 'content_mismatch',
          path: 'VOL01/IMAGES/IMG001/TextAsTiffFile.tif',
          reason: expect.stringContaining('text/plain') as string,
        }),
      );
      const images = exhibits['SYM-00011001_REV'];
      expect(images?.document).toMatchObject({ pageCount: 5 });
      expect(images?.exhibit['pages']).toHaveLength(5);
      expect(images?.document['variants']).toContainEqual(expect.objectContaining({ type: 'pdf' }));
      expect(images?.document['variants']).toContainEqual(expect.objectContaining({ type: 'text' }));
    },
    60_000,
  );

  it('links families whose parent stands after its children, and takes a child of nobody as a root', async () => {
    const { exhibits, codes } = await bring(
      await source({
        'load.csv': csv('BEGDOC,PARENTID,NATIVELINK', 'C1,P1,', 'C2,P1,', 'P1,,', 'X1,GONE,', 'L1,L2,', 'L2,L1,'),
      }),
    );
    expect(exhibits['C1']?.exhibit).toMatchObject({
      parentExhibitReference: { controlNumber: 'P1' },
      familyReference: { controlNumber: 'P1' },
    });
    expect(exhibits['X1']?.exhibit).not.toHaveProperty('parentExhibitReference');
    expect(exhibits['L1']?.exhibit).not.toHaveProperty('parentExhibitReference');
    expect(codes.toSorted()).toEqual(['parent_cycle', 'parent_cycle', 'parent_missing']);
  });

  it('keeps its good rows and tells of each bad one, by line, field and value', async () => {
    const { job, problems, exhibits } = await bring(
      await source({
        'load.csv': csv(
          'BEGDOC,DATESENT,MD5HASH,NATIVELINK,TEXTLINK,Score',
          'A1,2024-02-30,,,,1',
          'A2,2024-01-05,xyz,,,2',
          'A3,2024-01-05,,..\\..\\etc\\passwd,C:\\x.txt,3',
          'A1,2024-01-05,,,,4',
          'A4,2024-01-05,,n/gone.pdf,t/gone.txt,5',
          ',2024-01-05,,,,6',
          'A5,2024-01-05,,,,7,too,many',
          'A6,2024-01-05,,,,8',
        ),
      }),
    );
    expect(job).toMatchObject({ state: 'finished_with_errors' });
    expect(Object.keys(exhibits)).toEqual(['A1', 'A2', 'A3', 'A4', 'A6']);
    const told = problems.map(({ code, line, rejected }) => [code, line, rejected]);
    expect(told).toContainEqual(['date_invalid', 2, false]);
    expect(told).toContainEqual(['hash_invalid', 3, false]);
    expect(problems.filter(({ line }) => line === 4).map(({ code, field }) => [field, code])).toEqual([
      ['nativePath', 'path_refused'],
      ['textPath', 'path_refused'],
    ]);
    expect(told).toContainEqual(['duplicate_control_number', 5, true]);
    expect(told).toContainEqual(['native_missing', 6, false]);
    expect(told).toContainEqual(['text_missing', 6, false]);
    expect(told).toContainEqual(['control_number_missing', 7, true]);
    expect(problems.some(({ line, rejected }) => line === 8 && rejected)).toBe(true);
    for (const found of problems) expect(found.path ?? 'load.csv').toBe('load.csv');
  });

  it('does not guess dates that can be read in two orders, and reads them as it is told', async () => {
    const load = await source({ 'load.csv': csv('BEGDOC,DATESENT,NATIVELINK', 'A1,03/04/2024,', 'A2,05/06/2024,') });
    const guessed = await bring(load);
    expect(guessed.exhibits['A1']?.document).not.toHaveProperty('dateSent');
    expect(guessed.codes.filter((code) => code === 'ambiguous_date')).toHaveLength(3);
    const told = await bring(load, {
      mapping: { columns: {}, dateOrder: 'day-first', timeZone: '+02:00', dialect: {} },
    });
    expect(told.codes).toEqual([]);
    expect(told.exhibits['A1']?.document).toMatchObject({ dateSent: '2024-04-02T22:00:00Z' });
  });

  it('keeps the children of a row that the case does not take, as roots', async () => {
    const { job, exhibits, problems, described } = await bring(
      await source({
        'load.csv': csv(
          'BEGDOC,PARENTID,DOCEXT,NATIVELINK',
          `P1,,${'x'.repeat(500)},`,
          'C1,P1,txt,',
          'C2,P1,txt,',
          'D1,,txt,',
        ),
      }),
    );
    expect(job.counts).toMatchObject({ rows: 4, imported: 3, rejected: 1 });
    expect(Object.keys(exhibits)).toEqual(['C1', 'C2', 'D1']);
    expect(problems.map(({ code, line, rejected }) => [code, line, rejected])).toEqual([
      ['validation_failed', 2, true],
      ['parent_missing', 3, false],
      ['parent_missing', 4, false],
    ]);
    expect(described.leftovers).toEqual([]);
  });

  it('takes pages and originals of an IPRO list', async () => {
    const { exhibits, codes, job } = await bring(
      await source({
        'load.csv': csv('BEGDOC,NATIVELINK', 'A1,'),
        'load.lfp': [
          'IM,A1,D,0,@V1;img;a1.tif;2',
          'OF,A1,@V1;nat;a1.txt',
          'IM,B1,D,0,@V1;img;b1.tif;2',
          'OF,B1,@V1;nat;gone.txt',
          '',
        ].join('\r\n'),
        'img/a1.tif': Buffer.from('II*\u0000 not much of an image', 'latin1'),
        'img/b1.tif': Buffer.from('II*\u0000 not much of an image', 'latin1'),
        'nat/a1.txt': 'the original',
      }),
    );
    expect(job.counts).toMatchObject({ rows: 2, imported: 2 });
    expect(exhibits['A1']?.document).toMatchObject({ fileName: 'a1.txt', fileSize: 12 });
    expect(exhibits['B1']?.exhibit['pages']).toHaveLength(1);
    expect(codes).toEqual(expect.arrayContaining(['image_document', 'native_missing']));
  });

  it('puts the pages of a document that its list names twice behind each other, and takes the first of its originals', async () => {
    const image = Buffer.from('II*\u0000 not much of an image', 'latin1');
    const { exhibits, problems } = await bring(
      await source({
        'load.csv': csv('BEGDOC,NATIVELINK', 'A1,', 'B1,'),
        'load.lfp': [
          'IM,A1,D,0,@V1;img;a1.tif;2',
          'IM,A2, ,0,@V1;img;a2.tif;2',
          'OF,A1,@V1;nat;first.txt',
          'IM,B1,D,0,@V1;img;b1.tif;2',
          'IM,A1,D,0,@V1;img;a3.tif;2',
          'IM,A4, ,0,@V1;img;a4.tif;2',
          'OF,A1,@V1;nat;second.txt',
          '',
        ].join('\r\n'),
        ...Object.fromEntries(['a1', 'a2', 'a3', 'a4', 'b1'].map((name) => [`img/${name}.tif`, image])),
        'nat/first.txt': 'the first',
        'nat/second.txt': 'not the first',
      }),
    );
    const pages = exhibits['A1']?.exhibit['pages'] as readonly { readonly batesNumber: string }[];
    expect(pages.map(({ batesNumber }) => batesNumber)).toEqual(['A1', 'A2', 'A1', 'A4']);
    expect(exhibits['A1']?.document).toMatchObject({ fileName: 'first.txt' });
    expect(exhibits['B1']?.exhibit['pages']).toHaveLength(1);
    const told = problems.filter(({ code }) => code.endsWith('_twice')).map(({ code, line }) => [code, line]);
    expect(told).toEqual([
      ['image_document_twice', 5],
      ['original_twice', 7],
    ]);
  });

  it('that is wrong in every row is told of row by row, in the order of the file', async () => {
    const count = 12_000;
    const lines = Array.from({ length: count }, (_, index) => (index % 2 === 0 ? `N${index},x,more` : `N${index}`));
    const { job, caseId } = await bring(await source({ 'load.csv': csv('BEGDOC,NATIVELINK', ...lines) }));
    expect(job.counts).toMatchObject({ rows: count, imported: 0, rejected: count });
    const { rows } = await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
      tx.query<{ code: string; line: string }>(
        `SELECT code, line FROM import_problem WHERE code LIKE 'too_%' ORDER BY problem_id`,
      ),
    );
    expect(rows.map(({ line }) => Number(line))).toEqual(lines.map((_, index) => index + 2));
    expect(new Set(rows.map(({ code }) => code))).toEqual(new Set(['too_many_cells', 'too_few_cells']));
  });

  it('in EDRM XML brings documents with tags, files, families and custodians', async () => {
    const xml = [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<Root MajorVersion="1" MinorVersion="2" DataInterchangeType="Update"><Batch><Documents>',
      '<Document DocID="E1" DocType="Message" MimeType="message/rfc822"><Tags>',
      '<Tag TagName="#Subject" TagDataType="Text" TagValue="Hello"/><Tag TagName="#From" TagValue="ann@example.com"/>',
      '<Tag TagName="Issue" TagValue="red"/><Tag TagName="Issue" TagValue="blue"/></Tags>',
      '<Files><File FileType="Native"><ExternalFile FilePath="nat" FileName="e1.txt" Hash="00000000000000000000000000000000"/></File>',
      '<File FileType="Text"><ExternalFile FilePath="txt" FileName="e1.txt"/></File></Files>',
      '<Locations><Location><Custodian>Smith</Custodian><LocationURI>Inbox</LocationURI></Location></Locations></Document>',
      '<Document DocID="E2" DocType="File"><Files><File FileType="Native"><ExternalFile FilePath="nat" FileName="gone.txt"/></File></Files></Document>',
      '</Documents><Relationships><Relationship Type="Attachment" ParentDocID="E1" ChildDocID="E2"/></Relationships></Batch></Root>',
    ].join('\n');
    const { job, exhibits, codes, caseId } = await bring(
      await source({ 'production.xml': xml, 'nat/e1.txt': 'the native', 'txt/e1.txt': 'words of the message' }),
    );
    expect(job.counts).toMatchObject({ rows: 2, imported: 2, rejected: 0 });
    expect(exhibits['E1']).toMatchObject({
      document: { subject: 'Hello', from: 'ann@example.com', sourcePath: 'Inbox', fileSize: 10 },
      exhibit: { custodians: [{ custodianReference: { name: 'Smith' } }] },
    });
    expect(JSON.stringify(exhibits['E1'])).toContain('blue');
    expect(exhibits['E2']?.exhibit).toMatchObject({ parentExhibitReference: { controlNumber: 'E1' } });
    expect(codes).toEqual(expect.arrayContaining(['hash_mismatch', 'native_missing']));
    expect(await test.parts.index.search(caseId, { text: 'message words' }, { limit: 5 })).toHaveLength(1);
  });

  it('that is strict leaves nothing when a row is bad', async () => {
    const { job, described } = await bring(
      await source({ 'load.csv': csv('BEGDOC,NATIVELINK', 'A1,', 'A1,', 'A2,') }),
      { strict: true },
    );
    expect(job).toMatchObject({ state: 'failed', counts: { imported: 0 }, error: { code: 'validation_failed' } });
    expect(described).toMatchObject({ exhibits: {}, objects: [], leftovers: [] });
  });

  it('does not take a number that the case has', async () => {
    const load = await source({ 'load.csv': csv('BEGDOC,NATIVELINK', 'A1,', 'A2,') });
    const { caseId } = await bring(load);
    const again = await bring(await source({ 'load.csv': csv('BEGDOC,NATIVELINK', 'A2,', 'A3,') }), { into: caseId });
    expect(again.job.counts).toMatchObject({ rows: 2, imported: 1, rejected: 1 });
    expect(again.problems).toMatchObject([{ code: 'control_number_exists', value: 'A2', rejected: true }]);
  });
});

describe('duplicates', () => {
  const load = async (): Promise<string> =>
    source({
      'load.csv': csv(
        'BEGDOC,PARENTID,CUSTODIAN,MD5HASH,NATIVELINK',
        `A1,,Smith,${'a'.repeat(32)},`,
        `A2,A1,Smith,${'b'.repeat(32)},`,
        `B1,,Jones,${'a'.repeat(32)},`,
        `B2,B1,Jones,${'b'.repeat(32)},`,
        `C1,,Smith,${'a'.repeat(32)},`,
      ),
    });

  it.each([
    ['none', 5, 0, ['Smith']],
    ['custodian', 4, 1, ['Smith']],
    ['case', 2, 3, ['Smith', 'Jones']],
  ] as const)('by %s', async (deduplicate, imported, duplicates, custodians) => {
    const { job, exhibits } = await bring(await load(), { deduplicate });
    expect(job.counts).toMatchObject({ rows: 5, imported, duplicates });
    expect(exhibits['A1']?.exhibit['custodians']).toMatchObject(
      custodians.map((name) => ({ custodianReference: { name } })),
    );
  });

  it('of what the case has bring their custodian to it', async () => {
    const { caseId } = await bring(await load(), { deduplicate: 'case' });
    const more = await source({
      'load.csv': csv('BEGDOC,CUSTODIAN,MD5HASH,NATIVELINK', `Z1,Miller,${'a'.repeat(32)},`),
    });
    const { job, exhibits } = await bring(more, { into: caseId, deduplicate: 'case' });
    expect(job.counts).toMatchObject({ rows: 1, duplicates: 1 });
    expect(JSON.stringify(exhibits['A1']?.exhibit['custodians'])).toContain('Miller');
  });
});

describe('bad sources', () => {
  it('an empty load file, and one that is no table, are refused', async () => {
    for (const content of ['', '\u0000\u0001\u0002', '{"a":1}']) {
      const { job } = await bring(path.join(await source({ 'load.dat': content }), 'load.dat'));
      expect(job).toMatchObject({ state: 'failed', error: { code: 'import_source_invalid' } });
    }
  });

  it('mixed encodings and qualifiers that are not closed cost their lines only', async () => {
    const mixed = Buffer.concat([
      Buffer.from('BEGDOC,SUBJECT,NATIVELINK\r\nA1,caf\u00e9,\r\n', 'utf8'),
      Buffer.from('A2,caf\u00e9,\r\n', 'latin1'),
      Buffer.from('A3,"never closed,\r\nA4,fine,\r\nA5,fine,\r\n', 'utf8'),
    ]);
    const { job, exhibits, problems } = await bring(await source({ 'load.csv': mixed }));
    expect(exhibits['A1']?.document).toMatchObject({ subject: 'caf\u00e9' });
    expect(exhibits['A2']?.document).toMatchObject({ subject: 'caf\u00e9' });
    expect(Object.keys(exhibits)).toEqual(expect.arrayContaining(['A1', 'A2', 'A4', 'A5']));
    expect(job.counts.rejected).toBeLessThanOrEqual(1);
    expect(problems.length).toBeGreaterThan(0);
  });

  it('ten thousand columns come in', async () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `Field ${index}`);
    const { job, exhibits } = await bring(
      await source({
        'load.csv': csv(`BEGDOC,NATIVELINK,${names.join(',')}`, `A1,,${names.map((_, at) => `v${at}`).join(',')}`),
      }),
    );
    expect(job.counts).toMatchObject({ rows: 1, imported: 1 });
    expect(Object.keys(exhibits['A1']?.values ?? {})).toHaveLength(10_000);
  }, 120_000);

  it('several load files are a question, not a guess', async () => {
    const { job } = await bring(await source({ 'a.dat': 'þBEGDOCþ\r\nþA1þ', 'b.dat': 'þBEGDOCþ\r\nþB1þ' }));
    expect(job.error?.detail).toContain('name the one to import');
  });

  it('more imports of a case than may be are refused until one has ended', async () => {
    const caseId = await test.makeCase('crowded');
    const load = await source({ 'load.csv': csv('BEGDOC,NATIVELINK', 'A1,') });
    const jobs = [];
    for (let index = 0; index < 4; index += 1) jobs.push(await test.accept(caseId, { path: load, batch: `b${index}` }));
    await expect(test.accept(caseId, { path: load })).rejects.toMatchObject({
      code: 'too_many_jobs',
      retryAfterSeconds: 30,
    });
    await test.run(caseId, JobId.parse(jobs[0]?.jobId));
    await expect(test.accept(caseId, { path: load, batch: 'again' })).resolves.toMatchObject({ state: 'accepted' });
  });
});

describe('loose files', () => {
  const mail = [
    'From: Ann <ann@example.com>',
    'To: bob@example.com',
    'Subject: With attachment',
    'Message-ID: <one@example.com>',
    'Date: Tue, 5 Mar 2024 10:00:00 +0100',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'the body of the message',
    '--b',
    'Content-Type: text/plain; name=note.txt',
    'Content-Disposition: attachment; filename=note.txt',
    '',
    'the attached note',
    '--b--',
    '',
  ].join('\r\n');

  it('become exhibits, attachments the children of their message, and can be searched', async () => {
    const root = await source({ 'a.eml': mail, 'b/plain.txt': 'some plain words', 'c/empty.txt': '' });
    await expect(previewImport(test.parts, testActor, ImportRequest.parse({ path: root }))).resolves.toMatchObject({
      kind: 'loose_files',
      rows: 4,
    });
    const { job, exhibits, caseId } = await bring(root, { custodian: 'Ann', controlNumberPrefix: 'L' });
    expect(job.counts).toMatchObject({ rows: 4, imported: 4 });
    expect(exhibits['L-00000001']?.document).toMatchObject({
      subject: 'With attachment',
      dateSent: '2024-03-05T09:00:00Z',
    });
    expect(exhibits['L-00000002']?.exhibit).toMatchObject({ parentExhibitReference: { controlNumber: 'L-00000001' } });
    expect(await test.parts.index.search(caseId, { text: 'attached note' }, { limit: 5 })).toHaveLength(1);
  });

  it('that are hostile cost themselves only', async () => {
    const bomb = buildZip([{ name: 'zeros', content: Buffer.alloc(80 * 1024 * 1024) }]);
    const nested = Array.from({ length: 20 }).reduce<Buffer>(
      (inner) => buildZip([{ name: 'in.zip', content: inner }]),
      buildZip([{ name: 'deep.txt', content: 'deep' }]),
    );
    const { job, problems, exhibits } = await bring(
      await source({
        'a-bomb.zip': bomb,
        'b-nested.zip': nested,
        'c-locked.zip': buildZip([{ name: 'secret.txt', content: 'secret', flags: 0x801 }]),
        'd-escape.zip': buildZip([
          { name: '../../etc/passwd', content: 'root' },
          { name: 'good.txt', content: 'good words' },
        ]),
        'e-cut.pdf': Buffer.from('%PDF-1.7\n1 0 obj\n<< /Type /Cat'),
        'f-broken.eml': 'Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nno end of headers',
        'g-fine.txt': 'fine words',
      }),
    );
    const names = Object.values(exhibits).map(({ document }) => document['fileName']);
    expect(names).toEqual(expect.arrayContaining(['e-cut.pdf', 'f-broken.eml', 'good.txt', 'g-fine.txt']));
    expect(names).not.toContain('secret.txt');
    expect(names).not.toContain('zeros');
    expect(job.state).toBe('finished_with_errors');
    for (const [where, codes] of [
      ['a-bomb.zip', ['bomb']],
      ['b-nested.zip', ['too_deep']],
      ['c-locked.zip', ['encrypted']],
      ['d-escape.zip', ['path_refused']],
    ] as const) {
      const told = problems.filter(({ path: place }) => place?.startsWith(where)).map(({ code }) => code);
      expect(told, where).toEqual(expect.arrayContaining([...codes]));
    }
    expect(problems).toContainEqual(expect.objectContaining({ code: 'pdf_damaged', path: 'e-cut.pdf', row: 3 }));
  }, 60_000);

  it('that are duplicates are not stored', async () => {
    const root = await source({ 'a/x.txt': 'the same words', 'b/x.txt': 'the same words', 'c/y.txt': 'others' });
    const { job, described, exhibits } = await bring(root, { deduplicate: 'case' });
    expect(job.counts).toMatchObject({ rows: 3, imported: 2, duplicates: 1 });
    expect(described.objects.filter((line) => line.includes('/native/'))).toHaveLength(2);
    expect(exhibits['DOC-00000001']?.document).toMatchObject({ allPaths: ['b/x.txt'] });
  });
});

describe('a slice of time', () => {
  it('ends with the message that carries the import on, and events that tell of it', async () => {
    const sample = await createSample(path.join(folder.path, 'sliced'), {
      documents: 30,
      seed: 's',
      loadFileOnly: true,
    });
    const sliced = await openTestImport({
      place: test.place,
      chunkRows: 10,
      change: (parts) => ({ ...parts, sliceMs: 0 }),
    });
    try {
      const caseId = await test.makeCase('sliced');
      const { jobId } = await test.accept(caseId, { path: sample.folder, ocr: 'off' });
      let slices = 0;
      for (;;) {
        slices += 1;
        const job = await sliced.run(caseId, jobId);
        if (job.state.startsWith('finished')) break;
        expect(slices).toBeLessThan(20);
      }
      expect(slices).toBe(5);
      const whole = await test.makeCase('not sliced');
      await test.import(whole, { path: sample.folder, ocr: 'off' });
      const [piecewise, atOnce] = [await describeCase(test, caseId), await describeCase(test, whole)];
      // Chunks of ten make more segments.
      expect({ ...piecewise, objects: [] }).toEqual({ ...atOnce, objects: [] });
      const [place] = await test.databases.caseDatabases.list();
      const owner = test.databases.owner(place?.server ?? '', place?.databaseName ?? '');
      const { rows } = await owner.transaction({}, async (tx) =>
        tx.query<{ kind: string; body: string }>(
          'SELECT kind, body FROM messaging.outbox WHERE body LIKE $1 ORDER BY outbox_id',
          [`%${jobId}%`],
        ),
      );
      const types = rows
        .filter((row) => row.kind === 'event')
        .map((row) => (JSON.parse(row.body) as { eventType: string }).eventType);
      expect(types[0]).toBe('IMPORT_INITIATED');
      expect(types.at(-1)).toBe('IMPORT_FINISHED');
      // Accepted, and four times carried on.
      expect(rows.filter((row) => row.kind === 'message')).toHaveLength(5);
    } finally {
      await sliced[Symbol.asyncDispose]();
    }
  }, 60_000);

  it('that was lost is asked for again', async () => {
    const caseId = await test.makeCase('resumed');
    const { jobId } = await test.accept(caseId, {
      path: await source({ 'load.csv': csv('BEGDOC,NATIVELINK', 'A1,') }),
    });
    await expect(resumeImport(test.parts, testActor, caseId, jobId)).resolves.toMatchObject({ state: 'accepted' });
    await test.run(caseId, jobId);
    expect((await getImport(test.parts, testActor, caseId, jobId)).state).toBe('finished');
    await expect(resumeImport(test.parts, testActor, caseId, jobId)).rejects.toMatchObject({ code: 'import_busy' });
  });
});
