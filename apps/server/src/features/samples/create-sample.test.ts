import {
  coreFields,
  familiesFromParentIds,
  familiesFromRanges,
  inspectLoadFile,
  isCoreField,
  proposeMapping,
} from '@casebound/loadfile';
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSample, type SampleOptions, type SampleSummary } from './index.ts';
import { fingerprint, readLinked, readSample, type ReadSample, readTruth } from './testing/read-sample.ts';

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'casebound-sample-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

const place = (name: string): string => path.join(scratch, name);
const make = (name: string, options: SampleOptions): Promise<SampleSummary> => createSample(place(name), options);

describe('a sample', () => {
  it('has the same bytes for the same seed, and others for another', async () => {
    await make('one', { documents: 60, fields: 9, seed: 'a' });
    await make('two', { documents: 60, fields: 9, seed: 'a' });
    await make('three', { documents: 60, fields: 9, seed: 'b' });
    const one = fingerprint(place('one'));
    expect(Object.keys(one).length).toBeGreaterThan(120);
    expect(fingerprint(place('two'))).toEqual(one);
    expect(fingerprint(place('three'))['MERIDIAN.dat']).not.toBe(one['MERIDIAN.dat']);
  });

  it('starts as a smaller sample of its seed does', async () => {
    await make('few', { documents: 5, fields: 3, flaws: false });
    await make('more', { documents: 12, fields: 3, flaws: false });
    const [few, more] = [fingerprint(place('few')), fingerprint(place('more'))];
    const files = Object.entries(few).filter(([name]) => name.startsWith('VOL001'));
    expect(files.length).toBeGreaterThan(8);
    for (const [name, hash] of files) expect(more[name], name).toBe(hash);
  });

  it('has numbers of the prefix asked for, and the same documents', async () => {
    await make('prefixed', { documents: 12, fields: 3, flaws: false, prefix: 'HAL-' });
    await make('plain', { documents: 12, fields: 3, flaws: false });
    const [prefixed, plain] = [await readSample(place('prefixed')), await readSample(place('plain'))];
    expect(prefixed.rows.map((row) => row['BEGBATES'])).toEqual(
      plain.rows.map((row) => row['BEGBATES']?.replace('MH', 'HAL-')),
    );
    for (const column of ['SHA256HASH', 'ISSUES', 'CONFIDENTIALITY', 'Business Unit'])
      expect(prefixed.rows.map((row) => row[column])).toEqual(plain.rows.map((row) => row[column]));
    expect(prefixed.images.map(({ key }) => key)).toEqual(plain.images.map(({ key }) => key.replace('MH', 'HAL-')));
    for (const prefix of ['', 'mh', 'A1', 'A/B', 'X'.repeat(21)])
      await expect(make('never', { documents: 1, prefix })).rejects.toThrow(/prefix/u);
  });

  it('has exactly as many documents as asked for', async () => {
    for (const documents of [1, 2, 3, 17]) {
      const summary = await make(`count-${documents}`, { documents, fields: 0 });
      const { rows } = await readSample(place(`count-${documents}`));
      expect(rows).toHaveLength(documents);
      expect(summary).toMatchObject({ documents, flaws: [] });
    }
  });
});

describe('the load files of a sample', () => {
  let sample: ReadSample;
  let summary: SampleSummary;
  const folder = (): string => place('production');
  beforeAll(async () => {
    summary = await make('production', { documents: 400, fields: 21, flaws: false, seed: 'load files' });
    sample = await readSample(folder());
  });

  it('are read without a problem', () => {
    expect(sample.problems).toEqual([]);
    expect(sample.rows).toHaveLength(400);
    expect(summary).toMatchObject({ documents: 400, fields: 21, custodians: 12, flaws: [] });
    expect(summary.duplicates).toBeGreaterThan(3);
    expect(existsSync(path.join(folder(), '.incomplete'))).toBe(false);
  });

  it('map to core fields and custom fields of the right types', async () => {
    const report = await inspectLoadFile(createReadStream(path.join(folder(), 'MERIDIAN.dat')), {
      fileName: 'MERIDIAN.dat',
    });
    expect(report.problems).toEqual([]);
    const mapping = proposeMapping(report.delimited?.columns ?? []);
    const core = mapping.slice(0, -21);
    for (const column of core) expect(column, column.column).toMatchObject({ target: 'core', warning: null });
    expect(core.flatMap((column) => (column.target === 'core' ? [column.field] : [])).every(isCoreField)).toBe(true);
    expect(new Set(core.map((column) => (column.target === 'core' ? coreFields[column.field].kind : '')))).toContain(
      'hash',
    );
    const fields = sample.truth.filter((line) => line.kind === 'field');
    const found = new Map(mapping.map((column) => [column.column, column]));
    expect(fields).toHaveLength(21);
    for (const { name, type } of fields) {
      // A single choice is a text to whoever does not know the choices.
      const expected = type === 'single-choice' ? 'text' : type;
      expect(found.get(name), name).toMatchObject({ target: 'custom', type: expected });
    }
  });

  it('fill custom fields as often as the truth says', () => {
    for (const line of sample.truth) {
      if (line.kind !== 'field') continue;
      const share = sample.rows.filter((row) => row[line.name] !== '').length / sample.rows.length;
      expect(Math.abs(share - line.fillRate), line.name).toBeLessThan(0.1);
      for (const row of sample.rows)
        if (line.choices.length > 0 && row[line.name] !== '')
          for (const value of row[line.name]?.split('; ') ?? []) expect(line.choices).toContain(value);
    }
  });

  it('state families that agree whichever way they are read', () => {
    const of = (row: ReadSample['rows'][number]) => ({
      controlNumber: row['BEGBATES'] ?? '',
      parentId: row['PARENTID'] ?? '',
      attachmentBegin: row['BEGATTACH'] ?? '',
      attachmentEnd: row['ENDATTACH'] ?? '',
    });
    const rows = sample.rows.map(of);
    const byParent = familiesFromParentIds(rows);
    const byRange = familiesFromRanges(rows);
    expect(byParent.problems).toEqual([]);
    expect(byRange.problems).toEqual([]);
    expect(byParent.parentOf.size).toBeGreaterThan(30);
    expect([...byRange.parentOf]).toEqual([...byParent.parentOf]);
    for (const row of sample.rows) {
      const children = (row['ATTCHIDS'] ?? '').split('; ').filter((id) => id !== '');
      for (const child of children) expect(byParent.parentOf.get(child)).toBe(row['BEGBATES']);
      if (row['ATTCOUNT'] !== '') expect(row['ATTCOUNT']).toBe(String(children.length));
    }
  });

  it('number pages without gaps', () => {
    let next = 1;
    for (const row of sample.rows) {
      expect(Number(row['BEGBATES']?.slice(2))).toBe(next);
      next += Number(row['PGCOUNT']);
      expect(Number(row['ENDBATES']?.slice(2))).toBe(next - 1);
    }
    expect(next - 1).toBe(summary.pages);
  });

  it('name files that are there, with the hashes and sizes they have', () => {
    const linked = new Set(['MERIDIAN.dat', 'MERIDIAN.opt', 'TRUTH.jsonl']);
    const see = (link: string): void => void linked.add(link.replaceAll('\\', '/'));
    const images = new Map(sample.images.map((document) => [document.key, document]));
    for (const row of sample.rows) {
      for (const column of ['NATIVELINK', 'TEXTLINK', 'PDFLINK', 'ANNOTATIONSLINK']) {
        const link = row[column] ?? '';
        if (link === '') continue;
        expect(readLinked(folder(), link).length).toBeGreaterThan(0);
        see(link);
      }
      const paper = images.get(row['BEGBATES'] ?? '');
      for (const page of paper?.pages ?? []) see(page.path);
      if (paper !== undefined) expect(paper.pages).toHaveLength(Number(row['PGCOUNT']));
      const [first] = paper?.pages ?? [];
      const bytes = readLinked(folder(), row['NATIVELINK'] === '' ? (first?.path ?? '') : (row['NATIVELINK'] ?? ''));
      expect(row['FILESIZE']).toBe(String(bytes.length));
      for (const kind of ['md5', 'sha1', 'sha256'] as const)
        expect(row[`${kind.toUpperCase()}HASH`]).toBe(createHash(kind).update(bytes).digest('hex'));
    }
    expect(Object.keys(fingerprint(folder())).toSorted()).toEqual([...linked].toSorted());
  });

  it('find the same bytes with more than one custodian', () => {
    const rows = new Map(sample.rows.map((row) => [row['BEGBATES'], row]));
    const duplicates = sample.truth.filter((line) => line.kind === 'duplicate');
    expect(duplicates).toHaveLength(summary.duplicates);
    for (const { document, of } of duplicates) {
      const [copy, original] = [rows.get(document), rows.get(of)];
      expect(copy?.['SHA256HASH']).toBe(original?.['SHA256HASH']);
      expect(copy?.['CUSTODIAN']).not.toBe(original?.['CUSTODIAN']);
    }
  });

  it('have work product of every kind', () => {
    for (const [kind, count] of Object.entries(summary.annotations)) expect(count, kind).toBeGreaterThan(0);
    const values = (column: string): Set<string> =>
      new Set(sample.rows.flatMap((row) => (row[column] ?? '').split('; ')).filter((value) => value !== ''));
    expect(values('CONFIDENTIALITY').size).toBe(4);
    expect(values('ISSUES').size).toBeGreaterThan(8);
    expect([...values('ISSUES')].every((label) => label.includes('\\'))).toBe(true);
    expect(Math.max(...sample.rows.map((row) => row['FOLDERPATH']?.split('\\').length ?? 0))).toBeGreaterThan(3);
    expect(values('PRIVILEGE')).toContain('Attorney-Client');
    expect(Object.keys(summary.documentsByKind)).toHaveLength(11);
  });
});

describe('the flaws of a sample', () => {
  it('are the ones that the truth lists, and no others', async () => {
    const options = { documents: 80, fields: 0, seed: 'flaws' };
    const summary = await make('flawed', options);
    await make('sound', { ...options, flaws: false });
    expect([...summary.flaws].toSorted()).toEqual(['corrupt_pdf', 'fake_tiff', 'hash_mismatch', 'missing_native']);
    const flaws = readTruth(place('flawed')).filter((line) => line.kind === 'flaw');
    const file = (flaw: string): string => flaws.find((line) => line.flaw === flaw)?.file ?? '';
    const [flawed, sound] = [fingerprint(place('flawed')), fingerprint(place('sound'))];
    const different = Object.keys(sound).filter((name) => name.startsWith('VOL001') && flawed[name] !== sound[name]);
    expect(different.toSorted()).toEqual([file('missing_native'), file('corrupt_pdf'), file('fake_tiff')].toSorted());
    expect(flawed[file('missing_native')]).toBeUndefined();
    expect(readLinked(place('flawed'), file('fake_tiff')).toString('latin1')).toContain('could not be converted');
    const wrong = flaws.find(({ flaw }) => flaw === 'hash_mismatch');
    const { rows } = await readSample(place('flawed'));
    const row = rows.find((one) => one['BEGBATES'] === wrong?.document);
    const bytes = readLinked(place('flawed'), row?.['NATIVELINK'] ?? '');
    expect(row?.['MD5HASH']).not.toBe(createHash('md5').update(bytes).digest('hex'));
    expect(row?.['SHA256HASH']).toBe(createHash('sha256').update(bytes).digest('hex'));
  });
});

describe('other shapes of a sample', () => {
  it('is a load file alone', async () => {
    const summary = await make('rows', { documents: 1000, fields: 4, loadFileOnly: true });
    expect(readdirSync(place('rows')).toSorted()).toEqual(['MERIDIAN.dat', 'TRUTH.jsonl']);
    expect(summary).toMatchObject({ documents: 1000, files: 0, imageList: undefined });
    const report = await inspectLoadFile(createReadStream(path.join(place('rows'), 'MERIDIAN.dat')));
    expect(report).toMatchObject({ rows: 1000, rejected: 0, problems: [] });
    const columns = new Map(report.delimited?.columns.map((column) => [column.name, column.filled]));
    for (const name of ['NATIVELINK', 'TEXTLINK', 'PDFLINK', 'ANNOTATIONSLINK']) expect(columns.get(name)).toBe(0);
    expect(columns.get('MD5HASH')).toBe(1000);
  });

  it('is a zip that holds what the folder would', async () => {
    const { open } = await import('yauzl');
    const options = { documents: 60, fields: 5, seed: 'zip' };
    await make('folder', options);
    await make('zip-1', { ...options, zip: true });
    await make('zip-2', { ...options, zip: true });
    expect(readdirSync(place('zip-1')).toSorted()).toEqual(['MERIDIAN.zip', 'TRUTH.jsonl']);
    expect(fingerprint(place('zip-2'))).toEqual(fingerprint(place('zip-1')));
    const entries: Record<string, string> = {};
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    open(path.join(place('zip-1'), 'MERIDIAN.zip'), { lazyEntries: true }, (error, zip) => {
      if (error !== null) return reject(error);
      zip.on('end', resolve).on('error', reject);
      zip.on('entry', (entry: { readonly fileName: string }) => {
        zip.openReadStream(entry as never, (failed, stream) => {
          if (failed !== null) return reject(failed);
          const hash = createHash('sha256');
          stream.on('data', (piece: Buffer) => hash.update(piece)).on('error', reject);
          stream.on('end', () => {
            entries[entry.fileName] = hash.digest('hex');
            zip.readEntry();
          });
        });
      });
      zip.readEntry();
      return undefined;
    });
    await promise;
    const { 'TRUTH.jsonl': truth, ...expected } = fingerprint(place('folder'));
    expect(truth).toBe(fingerprint(place('zip-1'))['TRUTH.jsonl']);
    expect(entries).toEqual(expected);
  });
});

describe('the folder of a sample', () => {
  it('must be empty, unless a sample in it is to be replaced', async () => {
    await make('kept', { documents: 8, seed: 'old' });
    await expect(make('kept', { documents: 3 })).rejects.toThrow(/is not empty/u);
    writeFileSync(path.join(place('kept'), 'mine.txt'), 'not of a sample');
    const before = readFileSync(path.join(place('kept'), 'MERIDIAN.dat'));
    await make('kept', { documents: 3, force: true });
    expect(readFileSync(path.join(place('kept'), 'mine.txt'), 'utf8')).toBe('not of a sample');
    expect(readFileSync(path.join(place('kept'), 'MERIDIAN.dat'))).not.toEqual(before);
    await make('fresh', { documents: 3 });
    const { 'mine.txt': mine, ...rest } = fingerprint(place('kept'));
    expect(mine).toBeDefined();
    expect(rest).toEqual(fingerprint(place('fresh')));
  });

  it('keeps its marker when the making is given up', async () => {
    const controller = new AbortController();
    const making = make('given-up', {
      documents: 100_000,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(making).rejects.toMatchObject({ code: 'request_aborted' });
    expect(readdirSync(place('given-up'))).toContain('.incomplete');
    await expect(make('given-up', { documents: 3 })).rejects.toThrow(/was not finished/u);
    await make('given-up', { documents: 3, force: true });
    expect(fingerprint(place('given-up'))).toEqual(fingerprint(place('fresh')));
  });

  it('says which file could not be written, and keeps its marker', async () => {
    const making = make('blocked', {
      documents: 5000,
      onProgress: () => writeFileSync(path.join(place('blocked'), 'VOL001', 'TEXT', '003'), ''),
    });
    await expect(making).rejects.toMatchObject({ code: 'data_folder_unusable' });
    await expect(making).rejects.toThrow(/TEXT\/003\/MH\d+\.txt` cannot be written/u);
    expect(readdirSync(place('blocked'))).toContain('.incomplete');
  });

  it('refuses what cannot be', async () => {
    writeFileSync(place('a-file'), '');
    await expect(make('a-file', { documents: 1 })).rejects.toMatchObject({ code: 'validation_failed' });
    await expect(make('never', { documents: 0 })).rejects.toThrow(/documents is a whole number from 1/u);
    await expect(make('never', { documents: 1, fields: 10_001 })).rejects.toThrow(/custom fields/u);
    await expect(make('never', { documents: 1, mailOnly: true, loadFileOnly: true })).rejects.toThrow(/choose one/u);
    await expect(make('never', { documents: 1, mailOnly: true, flaws: true })).rejects.toThrow(/Flaws/u);
    expect(existsSync(place('never'))).toBe(false);
  });
});

it('needs no more memory for more documents', { timeout: 120_000 }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used: number[] = [];
  await make('large', {
    documents: 2500,
    fields: 50,
    onProgress: () => {
      collect();
      // Not `external`: it counts what zlib gives back when it likes.
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      used.push((heapUsed + arrayBuffers) / 1_000_000);
    },
  });
  const half = Math.floor(used.length / 2);
  expect(used.length).toBeGreaterThan(3);
  // Files that are being written come and go, so the least of each half is compared.
  expect(Math.min(...used.slice(half))).toBeLessThan(Math.min(...used.slice(0, half)) + 4);
});
