import { BatchId, CaseId, DocumentId, ExhibitId, hasCode } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMigrations } from '../../../../database/index.ts';
import { openTestDatabases, type TestDatabases } from '../../../../database/testing/open-test-databases.ts';
import { createCase } from '../../../../features/cases/create-case.ts';
import { caseDependencies, systemActor } from '../../../../features/cases/testing/case-dependencies.ts';
import { createObjectStore } from '../../../object-store/create-object-store.ts';
import { objectKey, objectPrefix, type ObjectStore } from '../../../object-store/Port.ts';
import { testDependencies } from '../../../object-store/testing/test-dependencies.ts';
import { pdfWorkersConfigSchema } from '../../config.ts';
import { describeDocumentEngine, type ConformanceTarget } from '../../conformance.ts';
import { createPdfWorkers } from '../../pdf-workers/create-pdf-workers.ts';
import type { PdfWorkers } from '../../pdf-workers/pdf-tasks.ts';
import { formatDocumentId, type DocumentEngine } from '../../Port.ts';
import { highlight, note, redaction } from '../../testing/sample-annotations.ts';
import { samplePdf } from '../../testing/sample-pdf.ts';
import { openBuiltinDocumentEngine } from './builtin-document-engine.ts';
import type { BuiltinDependencies } from './dependencies.ts';
import { builtinEngineMigrations } from './migrations.ts';

interface Opened extends ConformanceTarget {
  readonly test: TestDatabases;
  readonly objects: ObjectStore;
  readonly workers: PdfWorkers;
  readonly dependencies: BuiltinDependencies;
}

const open = async (): Promise<Opened> => {
  const test = await openTestDatabases();
  const folder = await createTemporaryFolder();
  const objects = await createObjectStore(
    {
      kind: 'filesystem',
      fsync: 'never',
      flushIntervalMs: 1_000,
      copies: 'bytes',
      groupReadable: false,
      sweepAfterSeconds: 86_400,
    },
    { defaultRoot: folder.path, ...testDependencies() },
  );
  const caseMigrations = await readMigrations([
    { set: 'document-engine', folder: fileURLToPath(builtinEngineMigrations) },
  ]);
  const { caseId } = await createCase(caseDependencies(test.databases, { caseMigrations }), systemActor, {
    name: 'Engine',
  });
  const workers = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
  const dependencies: BuiltinDependencies = { cases: test.databases.cases, objects, workers };
  return {
    test,
    objects,
    workers,
    dependencies,
    engine: openBuiltinDocumentEngine(dependencies),
    caseId,
    store: async (bytes) => {
      const key = objectKey(`loose/${randomUUID()}`);
      await objects.put(key, bytes);
      return key;
    },
    remove: async (key) => objects.delete(key),
    dispose: async () => {
      await workers.close();
      await objects.close();
      await test.close();
      await folder.remove();
    },
  };
};

describeDocumentEngine('built-in', open);

const secretPdf = samplePdf([['Pay the SECRET amount today'], ['Second page']]);
const secret = redaction('r', [110, 86, 59, 18]);

describe('the built-in engine', () => {
  let opened: Opened;
  let engine: DocumentEngine;
  let last = 0;
  const newId = (): ReturnType<typeof formatDocumentId> => {
    last += 1;
    return formatDocumentId({
      caseId: opened.caseId,
      batchId: BatchId.parse(1),
      documentId: DocumentId.parse(last),
      exhibitId: ExhibitId.parse(last),
    });
  };
  const listObjects = async (): Promise<readonly string[]> => {
    const keys: string[] = [];
    for await (const page of opened.objects.list(objectPrefix(`case_${opened.caseId}/`)))
      keys.push(...page.map(({ key }) => key));
    return keys;
  };
  const countLoose = async (): Promise<number> =>
    opened.test.databases.cases.withCase(opened.caseId, systemActor, async (tx) => {
      const { rows } = await tx.query<{ count: string }>('SELECT count(*) FROM engine_loose_object');
      return Number(rows[0]?.count);
    });
  /** An engine whose object store or case fails at a named moment. */
  const faulty = (changes: Partial<BuiltinDependencies>): DocumentEngine =>
    openBuiltinDocumentEngine({ ...opened.dependencies, ...changes });
  beforeAll(async () => {
    opened = await open();
    engine = opened.engine;
  });
  afterAll(async () => opened.dispose());

  it('keeps no object of a PDF that was redacted, replaced or deleted', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    await engine.createAnnotations(id, [secret]);
    const before = await listObjects();
    await engine.applyRedactions(id);
    const after = await listObjects();
    expect(after).toHaveLength(before.length);
    expect(after.filter((key) => before.includes(key))).toHaveLength(before.length - 1);
    await engine.putDocument(id, samplePdf([['Another']]), { replace: true });
    expect(await listObjects()).toHaveLength(before.length);
    await engine.deleteDocument(id);
    expect(await listObjects()).toHaveLength(before.length - 1);
    expect(await countLoose()).toBe(0);
  });

  it('finds what was written for a document that did not come to be', async () => {
    const id = newId();
    const before = await listObjects();
    let calls = 0;
    const dying = faulty({
      cases: {
        withCase: async (caseId, actor, fn, options) => {
          calls += 1;
          if (calls === 3) throw new Error('killed');
          return opened.dependencies.cases.withCase(caseId, actor, fn, options);
        },
      },
    });
    await expect(dying.putDocument(id, secretPdf)).rejects.toThrow('killed');
    expect(await listObjects()).toHaveLength(before.length + 1);
    expect(await countLoose()).toBe(1);
    expect(await engine.findDocument(id)).toBeUndefined();
    // A day later.
    await opened.test.databases.cases.withCase(opened.caseId, systemActor, async (tx) =>
      tx.query(`UPDATE engine_loose_object SET delete_after = now()`),
    );
    await engine.deleteDocument(id);
    expect(await listObjects()).toEqual(before);
    expect(await countLoose()).toBe(0);
  });

  it('deletes the old PDF later when the object store does not answer at the time', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    await engine.createAnnotations(id, [secret]);
    const before = await listObjects();
    const deaf = faulty({
      objects: {
        ...opened.objects,
        put: opened.objects.put.bind(opened.objects),
        get: opened.objects.get.bind(opened.objects),
        flush: opened.objects.flush.bind(opened.objects),
        delete: async () => {
          const { CaseboundError } = await import('@casebound/contract');
          throw new CaseboundError('object_store_unavailable', 'no answer');
        },
      },
    });
    expect(await deaf.applyRedactions(id)).toMatchObject({ applied: 1 });
    expect((await engine.pageText(id, 0)).text).not.toContain('SECRET');
    expect(await listObjects()).toHaveLength(before.length + 1);
    await engine.deleteDocument(newId());
    expect(await listObjects()).toHaveLength(before.length);
    expect(await countLoose()).toBe(0);
  });

  it('does the work again when a redaction changes while it is applied', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    await engine.createAnnotations(id, [secret]);
    let rounds = 0;
    const meddled = faulty({
      workers: {
        ...opened.workers,
        redact: async (input, options) => {
          rounds += 1;
          if (rounds === 1) await engine.createAnnotations(id, [redaction('later', [60, 86, 40, 18])]);
          return opened.workers.redact(input, options);
        },
      },
    });
    expect(await meddled.applyRedactions(id)).toMatchObject({ applied: 2 });
    expect(rounds).toBe(2);
    expect(await engine.listAnnotations(id)).toEqual([]);
    const { text } = await engine.pageText(id, 0);
    expect(text).not.toMatch(/Pay|SECRET/);
  });

  it('gives up when the redactions never stay the same, and changes nothing', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    await engine.createAnnotations(id, [secret]);
    let at = 0;
    const meddled = faulty({
      workers: {
        ...opened.workers,
        redact: async (input, options) => {
          at += 1;
          await engine.createAnnotations(id, [redaction(`later${at}`, [60, 86, 40, 18])]);
          return opened.workers.redact(input, options);
        },
      },
    });
    const failure = await meddled.applyRedactions(id).catch((error: unknown) => error);
    expect(hasCode(failure, 'annotation_conflict')).toBe(true);
    expect(Buffer.from(await engine.getPdf(id)).equals(secretPdf)).toBe(true);
  });

  it('takes 100,000 annotations, and gives them back', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    const many = Array.from({ length: 100_000 }, (_, at) => highlight(`m${at}`, at % 2));
    const created = await engine.createAnnotations(id, many);
    expect(created).toHaveLength(many.length);
    expect(new Set(created.map(({ version }) => version)).size).toBe(many.length);
    expect(await engine.listAnnotations(id, { pageIndex: 1 })).toHaveLength(50_000);
  }, 60_000);

  it('does not let the version of a deleted annotation fit the next one of its id', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    const [first] = await engine.createAnnotations(id, [note('a')]);
    await engine.deleteAnnotations(id, [{ id: 'a' }]);
    await engine.createAnnotations(id, [note('a')]);
    const failure = await engine
      .updateAnnotations(id, [{ value: note('a', 'changed'), version: first?.version ?? '' }])
      .catch((error: unknown) => error);
    expect(hasCode(failure, 'annotation_conflict')).toBe(true);
  });

  it('says so when a text cannot be kept', async () => {
    const id = newId();
    await engine.putDocument(id, secretPdf);
    const failure = await engine.createAnnotations(id, [note('a', 'nul \u0000 here')]).catch((error: unknown) => error);
    expect(hasCode(failure, 'annotation_invalid')).toBe(true);
  });

  it('knows no document of another case', async () => {
    const id = formatDocumentId({
      caseId: CaseId.parse(999),
      batchId: BatchId.parse(1),
      documentId: DocumentId.parse(1),
      exhibitId: ExhibitId.parse(1),
    });
    const failure = await engine.findDocument(id).catch((error: unknown) => error);
    expect(hasCode(failure, 'case_not_found')).toBe(true);
  });
});
