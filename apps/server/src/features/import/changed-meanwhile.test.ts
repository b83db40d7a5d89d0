/** Imports of cases that others change at the same time: what somebody else wrote between two statements is neither lost nor taken for the import's own. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CaseboundError, type CaseId, hasCode, type ImportJob, type JobId } from '@casebound/contract';
import type { Outbox } from '@casebound/messaging';
import { type JsonValue, putDocument, readMany } from '@casebound/records';
import { createTemporaryFolder, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectKey, type ObjectStore } from '../../platform/object-store/Port.ts';
import { readBytes } from '../../platform/object-store/read-bytes.ts';
import { drawPage } from '../../platform/ocr/testing/draw-page.ts';
import { caseResource } from '../records/index.ts';
import { cancelImport } from './look-at-imports.ts';
import { betweenStatements } from '../../database/testing/between-statements.ts';
import { describeCase } from './testing/describe-case.ts';
import { openTestImport, testActor, type TestImport } from './testing/open-test-import.ts';
import { dat, writeSource } from './testing/write-source.ts';

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

type Body = { readonly [key: string]: JsonValue };

const source = async (files: Readonly<Record<string, string | Buffer>>): Promise<string> =>
  writeSource(path.join(folder.path, `s${(made += 1)}`), files);

const load = async (...rows: readonly (readonly string[])[]): Promise<string> => source({ 'load.dat': dat(...rows) });

/** Changes members of an exhibit's record as somebody does who looks at it: what changed since it was read is read again. */
const change = async (caseId: CaseId, controlNumber: string, changes: Body): Promise<void> => {
  const { sessions, records } = test.parts;
  const resource = caseResource(records.model, 'exhibits');
  const { uuid, body } = await sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ id: string; uuid: string }>(
      'SELECT document_id AS id, document_uuid AS uuid FROM exhibit JOIN document USING (document_id) WHERE control_number = $1',
      [controlNumber],
    );
    const [row] = rows;
    const found = await readMany(await records.within(caseId, tx), tx, resource, [Number(row?.id)]);
    return { uuid: row?.uuid ?? '', body: JSON.parse(found.get(Number(row?.id))?.body ?? '{}') as Body };
  });
  const { id: _id, _etag, _lastModifiedDate, ...rest } = body;
  const store = await records.open(caseId, testActor);
  try {
    await putDocument(store, resource, uuid, { ...rest, ...changes }, { ifMatch: JSON.stringify(_etag) });
  } catch (error) {
    if (!hasCode(error, 'precondition_failed')) throw error;
    await change(caseId, controlNumber, changes);
  }
};

const exhibitsOf = async (caseId: CaseId) =>
  (await describeCase(test, caseId)).exhibits as Record<string, { exhibit: Body; document: Body }>;

/** The statement by which a bulk write looks up which of its rows are there. */
const isLookUp = (text: string): boolean => text.startsWith('SELECT i.referential_id, i.document_id');

/** True of the first statement that `then` is true of, once one was that `first` is true of. */
const after = (first: (text: string) => boolean, then: (text: string) => boolean): ((text: string) => boolean) => {
  let isNear = false;
  return (text) => {
    if (isNear) return then(text);
    isNear = first(text);
    return false;
  };
};

const looksForNumbers = (text: string): boolean => text.startsWith('SELECT control_number FROM exhibit WHERE');

/** Another import has an exhibit with the number A1. */
const takeNumber = async (caseId: CaseId) =>
  test.import(caseId, { path: await load(['BEGDOC', 'SUBJECT'], ['A1', 'foreign']), ocr: 'off' });

const readsLate = (text: string): boolean => text.startsWith('SELECT child.row_no');

const addsToOriginals = (text: string): boolean => text.startsWith('WITH twin AS');
const locksExhibits = (text: string): boolean => text.startsWith('SELECT FROM document WHERE document_id IN');

it('nothing is added to originals by a worker whose import was undone meanwhile', async () => {
  const caseId = await test.makeCase('added late');
  const first = await source({ 'first/memo.txt': 'The same words.' });
  await test.import(caseId, { path: first, ocr: 'off', deduplicate: 'case', custodian: 'Smith' });
  const before = Object.values(await exhibitsOf(caseId));
  const { jobId } = await test.accept(caseId, {
    path: await source({ 'second/memo.txt': 'The same words.' }),
    ocr: 'off',
    deduplicate: 'case',
    custodian: 'Miller',
    controlNumberPrefix: 'TWIN',
  });
  const job = await test.run(caseId, jobId, {
    sessions: betweenStatements(test.parts.sessions, after(addsToOriginals, locksExhibits), async () => {
      await cancelImport(test.parts, testActor, caseId, jobId);
      await test.run(caseId, jobId);
    }),
  });
  expect(job.state).toBe('cancelled');
  expect(Object.values(await exhibitsOf(caseId))).toEqual(before);
});

describe('rows whose parent came later', () => {
  const accepted = async (caseId: CaseId) =>
    test.accept(caseId, {
      path: await load(['BEGDOC', 'PARENTID', 'SUBJECT'], ['A1', 'A2', 'child'], ['A2', '', 'parent']),
      ocr: 'off',
    });
  /** A chunk a row: the parent is not there yet when its child is written. */
  const run = async (
    caseId: CaseId,
    jobId: JobId,
    isNext: (text: string) => boolean,
    meanwhile: () => Promise<unknown>,
  ) => test.run(caseId, jobId, { chunkRows: 1, sessions: betweenStatements(test.parts.sessions, isNext, meanwhile) });

  it('keep what somebody changes of them while they are linked', async () => {
    const caseId = await test.makeCase('linked');
    const { jobId } = await accepted(caseId);
    const changing: Promise<void>[] = [];
    const job = await run(caseId, jobId, after(readsLate, isLookUp), async () => {
      // Who changes it waits where the exhibit is locked.
      changing.push(change(caseId, 'A1', { notes: 'Read by Ann.' }));
      await Promise.race([Promise.all(changing), setTimeout(500)]);
    });
    await Promise.all(changing);
    expect(job.state).toBe('finished');
    expect((await exhibitsOf(caseId))['A1']?.exhibit).toMatchObject({
      notes: 'Read by Ann.',
      parentExhibitReference: { controlNumber: 'A2' },
    });
  });

  it('are those of the import, and not others that have got their numbers', async () => {
    const caseId = await test.makeCase('foreign');
    const { jobId } = await accepted(caseId);
    // The number of the child is taken by an exhibit of another import before its row is written, and whoever goes on later looks at all rows.
    const stopped = test.run(caseId, jobId, {
      chunkRows: 1,
      sessions: betweenStatements(test.parts.sessions, looksForNumbers, async () => takeNumber(caseId)),
      crashPoint: (name) => {
        if (name === 'import.chunk.committed') throw new Error('stopped here');
      },
    });
    await expect(stopped).rejects.toThrow('stopped here');
    const job = await test.run(caseId, jobId);
    expect(job).toMatchObject({ state: 'finished_with_errors', counts: { imported: 1, rejected: 1 } });
    const { A1 } = await exhibitsOf(caseId);
    expect(A1?.document['subject']).toBe('foreign');
    expect(A1?.exhibit).not.toHaveProperty('parentExhibitReference');
    expect(A1?.document).not.toHaveProperty('familyRootReference');
  });
});

it('an exhibit that another import commits between the look for its number and the writing of a row is not overwritten', async () => {
  const caseId = await test.makeCase('taken');
  const { jobId } = await test.accept(caseId, { path: await load(['BEGDOC', 'SUBJECT'], ['A1', 'own']), ocr: 'off' });
  const job = await test.run(caseId, jobId, {
    sessions: betweenStatements(test.parts.sessions, after(looksForNumbers, isLookUp), async () => takeNumber(caseId)),
  });
  expect((await exhibitsOf(caseId))['A1']?.document['subject']).toBe('foreign');
  expect(job).toMatchObject({ state: 'finished_with_errors', counts: { imported: 0, rejected: 1 } });
  expect((await describeCase(test, caseId)).leftovers).toEqual([]);
});

it('what an overlay brings of an exhibit whose document is being processed is not put aside for what was there before', async () => {
  const caseId = await test.makeCase('processed');
  const [was, is] = await Promise.all([drawPage(['What it was']), drawPage(['What it is now'])]);
  const { jobId } = await test.accept(caseId, {
    path: await source({ 'load.dat': dat(['BEGDOC', 'NATIVELINK'], ['A1', 'a.png']), 'a.png': Buffer.from(was) }),
    ocr: 'off',
  });
  let overlays: Promise<unknown> | undefined;
  const overlay = async (): Promise<unknown> =>
    test.import(caseId, {
      path: await source({ 'load.dat': dat(['BEGDOC', 'NATIVELINK'], ['A1', 'b.png']), 'b.png': Buffer.from(is) }),
      ocr: 'off',
      overlay: { mode: 'replace', key: 'controlNumber' },
    });
  const { pdf } = test.parts;
  const job = await test.run(caseId, jobId, {
    pdf: {
      ...pdf,
      mergeImages: async (...given) => {
        const merged = await pdf.mergeImages(...given);
        overlays ??= overlay();
        await overlays;
        return merged;
      },
    },
  });
  expect(job.state).toBe('finished');
  const { A1 } = await exhibitsOf(caseId);
  const variants = A1?.document['variants'] as { type: string; sha256: string; objectKey: string }[];
  const sha256 = createHash('sha256').update(is).digest('hex');
  expect(A1?.document['sha256Hash']).toBe(sha256);
  expect(variants.find(({ type }) => type === 'native')?.sha256).toBe(sha256);
  // Its PDF is of the new picture, and is what its record says.
  const { rows } = await test.parts.sessions.withCase(caseId, testActor, async (tx) =>
    tx.query<{ object_key: string; sha256: string }>(
      `SELECT object_key, sha256 FROM source_document__variants WHERE type = 'pdf'`,
    ),
  );
  expect(rows).toHaveLength(1);
  const bytes = await readBytes(test.parts.objects, objectKey(rows[0]?.object_key ?? ''), { maxBytes: 10_000_000 });
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(rows[0]?.sha256);
  expect(rows[0]?.object_key).toContain('/pdf/');
  expect(await test.parts.pdf.pageInfo({ pdf: bytes })).toMatchObject({ pages: [{}] });
  expect((await describeCase(test, caseId)).leftovers).toEqual([]);
});

it('an import that has told that it is finished is not undone by somebody who cancels it in the same moment', async () => {
  const caseId = await test.makeCase('cancelled late');
  const { jobId } = await test.accept(caseId, { path: await load(['BEGDOC', 'SUBJECT'], ['A1', 'one']), ocr: 'off' });
  const told: string[] = [];
  const outbox: Outbox = {
    ...test.parts.outbox,
    publish: async (tx, topic, events, options) => {
      told.push(...events.map((event) => event.eventType));
      return test.parts.outbox.publish(tx, topic, events, options);
    },
  };
  let running: Promise<ImportJob> | undefined;
  const sessions = betweenStatements(
    test.parts.sessions,
    (text) => text.startsWith(`UPDATE import_job SET state = 'cancelling'`),
    async () => {
      // It waits where its row is locked.
      running = test.run(caseId, jobId, { outbox });
      await Promise.race([running, setTimeout(1_000)]);
    },
  );
  const parts = { ...test.parts, sessions };
  const refused = await cancelImport(parts, testActor, caseId, jobId).then(
    () => false,
    (error: unknown) => hasCode(error, 'import_busy'),
  );
  await running;
  const { state } = await test.run(caseId, jobId);
  expect({ refused, state }).toEqual(
    told.includes('IMPORT_FINISHED') ? { refused: true, state: 'finished' } : { refused: false, state: 'cancelled' },
  );
});

it('a worker whose import was undone leaves nothing that it still stored', async () => {
  const caseId = await test.makeCase('stored late');
  const { jobId } = await test.accept(caseId, { path: await source({ 'memo.txt': 'Words.' }), ocr: 'off' });
  const { objects } = test.parts;
  let undoing: Promise<unknown> | undefined;
  const undo = async (): Promise<void> => {
    await cancelImport(test.parts, testActor, caseId, jobId);
    await test.run(caseId, jobId);
  };
  const job = await test.run(caseId, jobId, {
    objects: {
      ...objects,
      put: async (...given) => {
        undoing ??= undo();
        await undoing;
        return objects.put(...given);
      },
    },
  });
  expect(job.state).toBe('cancelled');
  expect(await describeCase(test, caseId)).toMatchObject({ exhibits: {}, objects: [], leftovers: [] });
});

it('an import that fails leaves nothing of the files that were being stored when it did', async () => {
  const caseId = await test.makeCase('failed while storing');
  const { jobId } = await test.accept(caseId, {
    path: await source({
      'load.dat': dat(['BEGDOC', 'NATIVELINK'], ['A1', 'a.txt'], ['A2', 'b.txt']),
      'a.txt': 'One.',
      'b.txt': 'Two.',
    }),
    ocr: 'off',
  });
  const { objects } = test.parts;
  const puts: Promise<unknown>[] = [];
  const slowly = async (...given: Parameters<ObjectStore['put']>) => {
    await setTimeout(1_000);
    return objects.put(...given);
  };
  const job = await test.run(caseId, jobId, {
    objects: {
      ...objects,
      put: async (...given) => {
        if (puts.length === 1) throw new CaseboundError('import_source_invalid', 'It cannot be read.');
        const put = slowly(...given);
        puts.push(put);
        return put;
      },
    },
  });
  expect(job.state).toBe('failed');
  await Promise.allSettled(puts);
  expect(await describeCase(test, caseId)).toMatchObject({ exhibits: {}, objects: [] });
});
