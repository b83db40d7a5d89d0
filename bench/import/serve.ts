/**
 * The installation of the bench of imports, in a process of its own: what is told of its memory and processor time is that of a server that
 * imports, and of nothing else. It is asked by messages of its parent, one after another, and answers each.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImportRequest, type CaseId, type ImportCounts, type JobId } from '@casebound/contract';
import { z } from 'zod';
import { openSystem } from '../../apps/server/src/compose.ts';
import { createCase } from '../../apps/server/src/features/cases/index.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { loadEffective } from '../../apps/server/src/run/load-effective.ts';
import { cpuOfAll } from '../exchange/open-bench.ts';

const Question = z.discriminatedUnion('ask', [
  /** Imports what lies in a folder into a case of its own; `whole` waits for the search index too. */
  z.object({ ask: z.literal('import'), folder: z.string(), whole: z.boolean() }),
  /** The same import into two cases at once. */
  z.object({ ask: z.literal('two'), folder: z.string() }),
  /** A new case, and where its schema is. */
  z.object({ ask: z.literal('case') }),
  z.object({ ask: z.literal('close') }),
]);
export type Question = z.infer<typeof Question>;

/** One import. Figures named `imported` are those until all rows are in the case, the others those until the end. */
export interface Measured {
  /** Schema of the case. */
  readonly schema: string;
  readonly counts: ImportCounts;
  readonly importedMs: number;
  readonly ms: number;
  /** Processor time of server and database until all rows were in the case. */
  readonly importedCpuMs: number;
  readonly importedPeakRssMb: number;
  readonly peakRssMb: number;
  /** Milliseconds until each state was first seen. */
  readonly marks: Readonly<Record<string, number>>;
}

export interface CasePlace {
  readonly schema: string;
  readonly connection: { host: string; port: number; user: string; password: string; database: string };
}

const actor = { kind: 'system', reason: 'benchmark' } as const;
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => console.error(message, fields),
  error: (message, fields, error) => console.error(message, fields, error),
  with: () => log,
};

const dataDir = process.argv[2] ?? '';
const effective = await loadEffective(
  { dataDir, configFile: undefined, overrides: new Map([['http.port', '0']]) },
  { env: process.env, cwd: dataDir },
);
const system = await openSystem({
  effective,
  environment: process.env,
  role: 'all',
  version: 'bench',
  log,
  schema: 'migrate',
  progress: () => undefined,
});
await system.start({ workers: true });

let cases = 0;
const makeCase = async (): Promise<CaseId> => {
  cases += 1;
  return (await createCase(system.cases, actor, { name: `bench ${cases}` })).caseId;
};

const call = { actor, signal: new AbortController().signal, requestId: 'bench', query: undefined } as const;

const importFolder = async (folder: string, whole: boolean): Promise<Measured> => {
  const caseId = await makeCase();
  const cpuBefore = await cpuOfAll();
  const started = performance.now();
  let peak = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 100);
  try {
    const body = ImportRequest.parse({ path: folder });
    const { jobId: given } = await system.handlers.createImport({ ...call, params: { caseId }, body });
    // An id is what it was, whatever type the call gave it.
    const jobId = given as JobId;
    const marks: Record<string, number> = {};
    let imported: { readonly ms: number; readonly cpuMs: number; readonly peak: number } | undefined;
    for (;;) {
      const job = await system.handlers.getImport({ ...call, params: { caseId, jobId }, body: undefined });
      const ms = Math.round(performance.now() - started);
      marks[job.state] ??= ms;
      if (['failed', 'cancelled'].includes(job.state)) throw new Error(JSON.stringify(job.error));
      const isFinished = job.state.startsWith('finished');
      if (isFinished || job.state === 'processing' || job.state === 'indexing')
        imported ??= { ms, cpuMs: (await cpuOfAll()) - cpuBefore, peak };
      if (imported !== undefined && (isFinished || !whole)) {
        return {
          schema: `case_${caseId}`,
          counts: job.counts,
          importedMs: imported.ms,
          ms,
          importedCpuMs: Math.round(imported.cpuMs),
          importedPeakRssMb: Math.round(imported.peak / 1024 / 1024),
          peakRssMb: Math.round(peak / 1024 / 1024),
          marks,
        };
      }
      // An answer costs what some rows cost: as often as a hundredth of the time asks for, which the figure may be too large by.
      await sleep(Math.max(20, ms / 100));
    }
  } finally {
    clearInterval(look);
  }
};

const placeOfCase = async (): Promise<CasePlace> => {
  const caseId = await makeCase();
  const [place] = await system.databases.caseDatabases.list();
  const own = process.env['CASEBOUND_DATABASE_URL'];
  if (own !== undefined) {
    const { hostname, port, username, password } = new URL(own);
    const database = place?.databaseName ?? '';
    return {
      schema: `case_${caseId}`,
      connection: { host: hostname, port: Number(port || 5432), user: username, password, database },
    };
  }
  const postmaster = await readFile(path.join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
  const password = await readFile(path.join(dataDir, 'secrets', 'postgres-application'), 'utf8');
  return {
    schema: `case_${caseId}`,
    connection: {
      host: '127.0.0.1',
      port: Number(postmaster.split('\n')[3]),
      user: 'casebound',
      password: password.trim(),
      database: place?.databaseName ?? '',
    },
  };
};

const answer = async (question: Question): Promise<unknown> => {
  switch (question.ask) {
    case 'import':
      return importFolder(question.folder, question.whole);
    case 'two':
      return Promise.all([importFolder(question.folder, true), importFolder(question.folder, true)]);
    case 'case':
      return placeOfCase();
    case 'close':
      await system.close();
      return null;
  }
};

process.on('message', (message) => {
  answer(Question.parse(message)).then(
    (value) => process.send?.({ value }),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.send?.({ value: 'ready' });
