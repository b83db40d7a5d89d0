/**
 * An installation that imports, for tests: databases, objects in a folder, engine, PDF workers, messaging whose workers stand still. A
 * second process opens the same one by `place`.
 */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { type CaseId, ImportRequest, type ImportJob, type ImportProblem, JobId } from '@casebound/contract';
import { createOutbox } from '@casebound/messaging';
import { createTemporaryFolder, type DatabaseTarget, type TestDatabase } from '@casebound/test-kit';
import { z } from 'zod';
import { type Databases, openDatabases, type OpenDatabasesOptions, readMigrations } from '../../../database/index.ts';
import { openTestDatabases, silentLog, testOptions } from '../../../database/testing/open-test-databases.ts';
import { createClock } from '../../../platform/clock/create-clock.ts';
import type { CrashPoint } from '../../../platform/crash-points/Port.ts';
import { builtinEngineMigrations } from '../../../platform/document-engine/adapters/builtin/migrations.ts';
import { pdfWorkersConfigSchema } from '../../../platform/document-engine/config.ts';
import { createDocumentEngine } from '../../../platform/document-engine/create-document-engine.ts';
import { createPdfWorkers } from '../../../platform/document-engine/pdf-workers/create-pdf-workers.ts';
import { objectStoreConfigSchema } from '../../../platform/object-store/config.ts';
import { createObjectStore } from '../../../platform/object-store/create-object-store.ts';
import type { ObjectStore } from '../../../platform/object-store/Port.ts';
import { ocrConfigSchema } from '../../../platform/ocr/config.ts';
import { createOcr } from '../../../platform/ocr/create-ocr.ts';
import { createPageTexts } from '../../../platform/ocr/create-page-texts.ts';
import { searchIndexConfigSchema } from '../../../platform/search-index/config.ts';
import { createSearchIndex } from '../../../platform/search-index/create-search-index.ts';
import { messagingMigrations } from '../../../run/open-messaging.ts';
import { createCase } from '../../cases/index.ts';
import { caseDependencies } from '../../cases/testing/case-dependencies.ts';
import { createFields } from '../../fields/index.ts';
import { caseSchemaFile, createCaseRecords, loadModel } from '../../records/index.ts';
import { createImport } from '../create-import.ts';
import type { ImportDependencies } from '../dependencies.ts';
import { getImport, listImportProblems } from '../look-at-imports.ts';
import { runImport } from '../run-import.ts';

export const testActor = { kind: 'system', reason: 'test' } as const;

/** Where another process finds the installation. */
export const TestPlace = z.object({
  target: z.object({
    host: z.string(),
    port: z.number(),
    user: z.string(),
    password: z.string(),
    database: z.string(),
  }),
  objects: z.string(),
});
export type TestPlace = z.infer<typeof TestPlace>;

export interface TestImport extends AsyncDisposable {
  readonly databases: Databases;
  readonly database: TestDatabase | undefined;
  readonly parts: ImportDependencies;
  readonly place: TestPlace;
  /** The case is called so and something of its own: a test that is tried again makes another. */
  makeCase(name: string): Promise<CaseId>;
  /** Accepts an import; nothing runs yet. */
  accept(caseId: CaseId, request: z.input<typeof ImportRequest>): Promise<ImportJob>;
  /** Runs an import to its end in this process. */
  run(caseId: CaseId, jobId: JobId, changes?: Partial<ImportDependencies>): Promise<ImportJob>;
  /** Accepts and runs. */
  import(caseId: CaseId, request: z.input<typeof ImportRequest>): Promise<ImportJob>;
  problems(caseId: CaseId, jobId: JobId): Promise<readonly ImportProblem[]>;
}

export interface TestImportOptions {
  readonly place?: TestPlace;
  readonly crashPoint?: CrashPoint;
  readonly chunkRows?: number;
  readonly change?: (parts: ImportDependencies) => ImportDependencies;
}

const features = path.join(import.meta.dirname, '../..');
const migrations: Partial<OpenDatabasesOptions> = {
  controlMigrations: messagingMigrations.control,
  caseDatabaseMigrations: messagingMigrations.cases,
};

interface Opened {
  readonly databases: Databases;
  readonly database: TestDatabase | undefined;
  readonly target: DatabaseTarget;
}

const openDatabase = async (
  place: TestPlace | undefined,
  crashPoint: CrashPoint,
  resources: AsyncDisposableStack,
): Promise<Opened> => {
  if (place !== undefined) {
    const databases = await openDatabases(testOptions(place.target, { ...migrations, crashPoint }));
    resources.defer(async () => databases.close());
    return { databases, database: undefined, target: place.target };
  }
  const opened = await openTestDatabases(migrations);
  resources.defer(async () => opened.close());
  return { databases: opened.databases, database: opened.database, target: opened.database.target };
};

const openObjects = async (root: string, crashPoint: CrashPoint): Promise<ObjectStore> =>
  createObjectStore(objectStoreConfigSchema.parse({ kind: 'filesystem', fsync: 'never' }), {
    clock: createClock(),
    log: silentLog,
    crashPoint,
    defaultRoot: root,
  });

export const openTestImport = async (options: TestImportOptions = {}): Promise<TestImport> => {
  const { place, crashPoint = () => undefined, chunkRows = 1_000, change } = options;
  await using resources = new AsyncDisposableStack();
  let root = place?.objects;
  if (root === undefined) {
    const folder = await createTemporaryFolder();
    resources.defer(async () => folder[Symbol.asyncDispose]());
    root = folder.path;
  }
  const { databases, database, target } = await openDatabase(place, crashPoint, resources);
  const clock = createClock();
  const objects = await openObjects(root, crashPoint);
  resources.defer(async () => objects.close());
  const pdf = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
  resources.defer(async () => pdf.close());
  const ocrConfig = ocrConfigSchema.parse({});
  const ocr = await createOcr(ocrConfig);
  resources.defer(async () => ocr.close());
  const engine = await createDocumentEngine({ kind: 'builtin' }, { cases: databases.cases, objects, workers: pdf });
  resources.defer(async () => engine.close());
  const index = await createSearchIndex(searchIndexConfigSchema.parse(undefined), { defaultRoot: `${root}-search` });
  resources.defer(async () => {
    await index.close();
    if (place === undefined) await rm(`${root}-search`, { recursive: true, force: true });
  });
  const records = createCaseRecords({ sessions: databases.cases, model: await loadModel([caseSchemaFile]) });
  const base: ImportDependencies = {
    sessions: databases.cases,
    records,
    fields: createFields({ sessions: databases.cases, objects, clock, cacheBytes: 8 * 1024 * 1024 }),
    objects,
    engine,
    pdf,
    pageTexts: createPageTexts({ workers: pdf, ocr, config: ocrConfig }),
    clock,
    // Workers stand still, and no queue is made.
    queues: { depth: async () => Promise.resolve(new Map()) },
    outbox: createOutbox(),
    topic: 'test-events',
    index,
    roots: [],
    activePerCase: 4,
    sliceMs: 600_000,
    crashPoint,
    log: silentLog,
    chunkRows,
  };
  const parts = change?.(base) ?? base;
  const cases = caseDependencies(databases, {
    provisioners: [records.provision],
    caseMigrations: await readMigrations([
      ...['fields', 'audit', 'import'].map((set) => ({ set, folder: path.join(features, set, 'case-migrations') })),
      { set: 'document-engine', folder: fileURLToPath(builtinEngineMigrations) },
    ]),
  });
  const accept: TestImport['accept'] = async (caseId, request) =>
    createImport(parts, testActor, caseId, ImportRequest.parse(request));
  const run: TestImport['run'] = async (caseId, jobId, changes = {}) => {
    await runImport({ ...parts, ...changes }, caseId, jobId, new AbortController().signal);
    return getImport(parts, testActor, caseId, jobId);
  };
  const opened = resources.move();
  return {
    databases,
    database,
    parts,
    place: { target: { ...target }, objects: root },
    makeCase: async (name) => (await createCase(cases, testActor, { name: `${name} ${randomUUID()}` })).caseId,
    accept,
    run,
    import: async (caseId, request) => run(caseId, (await accept(caseId, request)).jobId),
    async problems(caseId, jobId) {
      const found: ImportProblem[] = [];
      for (let after: number | null = 0; after !== null;) {
        const page: Awaited<ReturnType<typeof listImportProblems>> = await listImportProblems(
          parts,
          testActor,
          caseId,
          JobId.parse(jobId),
          { after, limit: 1_000 },
        );
        found.push(...page.problems);
        after = page.next;
      }
      return found;
    },
    [Symbol.asyncDispose]: async () => opened.disposeAsync(),
  };
};
