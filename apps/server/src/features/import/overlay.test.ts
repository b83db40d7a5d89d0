/** Overlays change exhibits that are there, by a key, in sets, and can be taken back. */
import { createHash } from 'node:crypto';
import { writeFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { CaseId } from '@casebound/contract';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectKey } from '../../platform/object-store/Port.ts';
import { readBytes } from '../../platform/object-store/read-bytes.ts';
import { cancelImport } from './look-at-imports.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';

let test: TestImport;
let folder: TemporaryFolder;

beforeAll(async () => {
  test = await openTestImport({ chunkRows: 100 });
  folder = await createTemporaryFolder();
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let made = 0;
/** A CSV with the files it names. @returns its path */
const production = async (lines: readonly string[], files: Readonly<Record<string, string>> = {}): Promise<string> => {
  made += 1;
  const root = path.join(folder.path, `p${made}`);
  await mkdir(root, { recursive: true });
  await writeFile(path.join(root, 'load.csv'), `${lines.join('\r\n')}\r\n`);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
  return path.join(root, 'load.csv');
};

const base = [
  'BEGDOC,CUSTODIAN,SUBJECT,Tags,Score,Reviewer,NATIVELINK,TEXTLINK',
  'A1,Smith,First,red;blue,1,Ann,n/1.txt,t/1.txt',
  'A2,Smith,,red,2,,,',
  'A3,Jones,Third,,3,Bob,,',
];
const mapping = {
  columns: {
    Tags: { custom: 'Tags', type: 'multi_choice' },
    Score: { custom: 'Score', type: 'number' },
    Reviewer: { custom: 'Reviewer', type: 'text' },
  },
} as const;

const filled = async (name: string): Promise<CaseId> => {
  const caseId = await test.makeCase(name);
  const job = await test.import(caseId, {
    path: await production(base, { 'n/1.txt': 'native', 't/1.txt': 'one' }),
    mapping,
  });
  expect(job.counts).toMatchObject({ rows: 3, imported: 3 });
  return caseId;
};

const overlay = async (
  caseId: CaseId,
  mode: 'append' | 'replace' | 'merge',
  lines: readonly string[],
  more: { readonly key?: string; readonly files?: Readonly<Record<string, string>> } = {},
) => {
  const columns = lines[0]?.split(',') ?? [];
  const job = await test.import(caseId, {
    path: await production(lines, more.files),
    mapping: {
      columns: Object.fromEntries(Object.entries(mapping.columns).filter(([name]) => columns.includes(name))),
    },
    overlay: { mode, ...(more.key === undefined ? {} : { key: more.key }) },
  });
  return { job, problems: await test.problems(caseId, job.jobId) };
};

type Described = {
  values: Record<string, unknown>;
  document: Record<string, unknown>;
  exhibit: Record<string, unknown>;
};
const exhibitsOf = async (caseId: CaseId) => (await describeCase(test, caseId)).exhibits as Record<string, Described>;

const audits = async (caseId: CaseId, jobId: string) =>
  test.parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ record_key: string; changes: Record<string, unknown> }>(
      'SELECT record_key, changes FROM model_audit WHERE origin = $1 ORDER BY record_key',
      [`overlay ${jobId}`],
    );
    return Object.fromEntries(rows.map((row) => [row.record_key, row.changes]));
  });

describe('an overlay', () => {
  it('that appends fills what has no value', async () => {
    const caseId = await filled('append');
    const { job } = await overlay(caseId, 'append', [
      'BEGDOC,SUBJECT,Tags,Reviewer',
      'A1,New,green,Eve',
      'A2,Second,,Eve',
      'A3,,green,',
    ]);
    expect(job).toMatchObject({ state: 'finished', counts: { rows: 3, imported: 0, overlaid: 3, rejected: 0 } });
    const { A1, A2, A3 } = await exhibitsOf(caseId);
    expect(A1).toMatchObject({
      document: { subject: 'First' },
      values: { Tags: ['red', 'blue'], Score: 1, Reviewer: 'Ann' },
    });
    expect(A2).toMatchObject({ document: { subject: 'Second' }, values: { Tags: ['red'], Score: 2, Reviewer: 'Eve' } });
    expect(A3).toMatchObject({
      document: { subject: 'Third' },
      values: { Tags: ['green'], Score: 3, Reviewer: 'Bob' },
    });
    expect(await audits(caseId, job.jobId)).toEqual({
      A2: { 'document.subject': [null, 'Second'], Reviewer: [null, 'Eve'] },
      A3: { Tags: [null, ['green']] },
    });
  });

  it('that replaces puts values in place of others, and takes away what is empty', async () => {
    const caseId = await filled('replace');
    const { job } = await overlay(caseId, 'replace', ['BEGDOC,SUBJECT,CUSTODIAN,Tags', 'A1,New,Miller,green', 'A3,,,']);
    expect(job.counts).toMatchObject({ overlaid: 2, rejected: 0 });
    const { A1, A2, A3 } = await exhibitsOf(caseId);
    expect(A1).toMatchObject({
      document: { subject: 'New' },
      exhibit: { custodians: [{ custodianReference: { name: 'Miller' } }] },
      values: { Tags: ['green'], Score: 1 },
    });
    expect(A2).toMatchObject({ values: { Tags: ['red'] } });
    expect(A3?.document).not.toHaveProperty('subject');
    expect(A3?.exhibit['custodians'] ?? []).toEqual([]);
    expect(A3?.values).toEqual({ Score: 3, Reviewer: 'Bob' });
  });

  it('that merges joins lists and replaces the rest', async () => {
    const caseId = await filled('merge');
    await overlay(caseId, 'merge', [
      'BEGDOC,CUSTODIAN,Tags,Score,Reviewer',
      'A1,Miller,blue;green,7,',
      'A2,Smith,red,2,',
    ]);
    const { A1, A2 } = await exhibitsOf(caseId);
    expect(A1).toMatchObject({
      exhibit: { custodians: [{ custodianReference: { name: 'Smith' } }, { custodianReference: { name: 'Miller' } }] },
      values: { Tags: ['red', 'blue', 'green'], Score: 7, Reviewer: 'Ann' },
    });
    expect(A2).toMatchObject({ values: { Tags: ['red'], Score: 2 } });
  });

  it('matches by a core field or a custom field, and tells what matches none or several', async () => {
    const caseId = await filled('keys');
    const byField = await overlay(
      caseId,
      'replace',
      ['Reviewer,SUBJECT', 'Ann,Seen by Ann', 'Nobody,x', 'Bob,Seen by Bob', 'Ann,Twice', ',Empty'],
      {
        key: 'Reviewer',
      },
    );
    expect(byField.job.counts).toMatchObject({ rows: 5, overlaid: 2, rejected: 3 });
    expect(byField.problems.map(({ code, line, value }) => [code, line, value])).toEqual([
      ['overlay_key_missing', 6, ''],
      ['overlay_key_twice', 5, 'Ann'],
      ['overlay_unmatched', 3, 'Nobody'],
    ]);
    const bySubject = await exhibitsOf(caseId);
    expect(bySubject['A1']).toMatchObject({ document: { subject: 'Seen by Ann' } });
    expect(bySubject['A3']).toMatchObject({ document: { subject: 'Seen by Bob' } });
    const byHash = await overlay(caseId, 'replace', ['MD5HASH,SUBJECT', '8EA39A2D50A7FDD6D6DBBEE5AD0D0BCD,By hash'], {
      key: 'md5Hash',
    });
    expect(byHash.job.counts.rejected).toBe(1);
    await overlay(caseId, 'merge', ['BEGDOC,Reviewer', 'A1,Same', 'A2,Same']);
    const several = await overlay(caseId, 'merge', ['Reviewer,SUBJECT', 'Same,x'], { key: 'Reviewer' });
    expect(several.problems.map(({ code }) => code)).toEqual(['overlay_ambiguous']);
    await expect(overlay(caseId, 'merge', ['BEGDOC,SUBJECT', 'A1,x'], { key: 'Nothing' })).resolves.toMatchObject({
      job: { state: 'failed', error: { code: 'import_source_invalid' } },
    });
  });

  it('brings files in the place of others', async () => {
    const caseId = await filled('files');
    await overlay(caseId, 'replace', ['BEGDOC,NATIVELINK,TEXTLINK', 'A1,n/new.txt,t/new.txt', 'A2,n/new.txt,'], {
      files: { 'n/new.txt': 'newer native', 't/new.txt': 'page one\fpage two' },
    });
    const { A1, A2 } = await exhibitsOf(caseId);
    expect(A1?.document).toMatchObject({ fileSize: 12, mimeType: 'text/plain' });
    expect(A1?.exhibit['pages']).toMatchObject([{ textSize: 8 }, { textSize: 8 }]);
    expect(A2?.document).toMatchObject({ variants: [{ type: 'native', size: 12 }] });
    expect(await test.parts.index.search(caseId, { text: 'two' }, { limit: 5 })).toHaveLength(1);
    expect(await test.parts.index.search(caseId, { text: 'one' }, { limit: 5 })).toHaveLength(1);
  });

  it('that is cancelled is taken back, whatever it changed', async () => {
    const caseId = await filled('cancelled overlay');
    const before = await exhibitsOf(caseId);
    const job = await test.accept(caseId, {
      path: await production([
        'BEGDOC,SUBJECT,CUSTODIAN,Tags,Score',
        'A1,New,Miller,green,9',
        'A2,Two,Miller,,8',
        'A3,,,,',
      ]),
      mapping: { columns: { Tags: mapping.columns.Tags, Score: mapping.columns.Score } },
      overlay: { mode: 'replace' },
    });
    await test
      .run(caseId, job.jobId, {
        crashPoint: (name) => {
          if (name === 'import.linked') throw new Error('stopped here');
        },
      })
      .catch(() => undefined);
    expect(await exhibitsOf(caseId)).not.toEqual(before);
    await cancelImport(test.parts, testActor, caseId, job.jobId);
    expect(await test.run(caseId, job.jobId)).toMatchObject({ state: 'cancelled', counts: { overlaid: 0 } });
    const withoutVersions = (all: Record<string, Described>) =>
      Object.fromEntries(Object.entries(all).map(([number, one]) => [number, { ...one, version: 0 }]));
    expect(withoutVersions(await exhibitsOf(caseId))).toEqual(withoutVersions(before));
  });

  describe('and the files that exhibits have', () => {
    const files = { 'n/new.txt': 'newer native', 't/new.txt': 'new text' };
    const lines = ['BEGDOC,NATIVELINK,TEXTLINK', 'A1,n/new.txt,t/new.txt'];
    /** Bytes and text of A1, by what its records say of them. */
    const filesOf = async (caseId: CaseId) => {
      const { A1 } = await exhibitsOf(caseId);
      const [page] = (A1?.exhibit['pages'] ?? []) as { textSha256: string }[];
      const { rows } = await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
        tx.query<{ type: string; object_key: string; sha256: string }>(
          'SELECT type, object_key, sha256 FROM source_document__variants WHERE root_document_id = (SELECT document_document_id FROM exhibit WHERE control_number = $1) ORDER BY type',
          ['A1'],
        ),
      );
      const read: Record<string, string> = {};
      for (const { type, object_key: key, sha256 } of rows) {
        const bytes = await readBytes(test.parts.objects, objectKey(key), { maxBytes: 1_000 });
        read[type] = bytes.toString();
        const hash = createHash('sha256').update(bytes).digest('hex');
        expect([type, hash]).toEqual([type, sha256]);
        if (type === 'text') expect(page?.textSha256).toBe(hash);
        else expect(A1?.document['sha256Hash']).toBe(hash);
      }
      return read;
    };

    it('leaves them when it appends', async () => {
      const caseId = await filled('kept files');
      expect((await overlay(caseId, 'append', lines, { files })).job.state).toBe('finished');
      expect(await filesOf(caseId)).toEqual({ native: 'native', text: 'one' });
    });

    it('leaves them when it is cancelled before what it stored is committed', async () => {
      const caseId = await filled('cancelled files');
      const { jobId } = await test.accept(caseId, {
        path: await production(lines, files),
        overlay: { mode: 'replace' },
      });
      await expect(
        test.run(caseId, jobId, {
          crashPoint: (name) => {
            if (name === 'import.chunk.written') throw new Error('stopped here');
          },
        }),
      ).rejects.toThrow('stopped here');
      await cancelImport(test.parts, testActor, caseId, jobId);
      expect((await test.run(caseId, jobId)).state).toBe('cancelled');
      expect((await filesOf(caseId))['native']).toBe('native');
    });

    it('takes their places when it replaces', async () => {
      const caseId = await filled('replaced files');
      await overlay(caseId, 'replace', lines, { files });
      expect(await filesOf(caseId)).toEqual({ native: 'newer native', text: 'new text' });
    });
  });
});
