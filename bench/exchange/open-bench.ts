/**
 * A whole installation for benches of exchanges: embedded database, objects in a folder, every worker in this process; and cases filled with
 * exhibits of two pages.
 *
 * The object store runs with `fsync: batch`: what a row points at is flushed before the row is committed, as with `always`, but once a batch.
 * `CASEBOUND_OBJECT_STORE_FSYNC` sets another.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BatchId,
  DocumentId,
  ExchangeRequest,
  ExhibitId,
  JobId,
  type CaseId,
  type ExchangeState,
} from '@casebound/contract';
import type { PageAnnotation } from '@casebound/pdf';
import { bulkWrite, type BulkRow, type JsonValue } from '@casebound/records';
import { openSystem, type System } from '../../apps/server/src/compose.ts';
import { createCase } from '../../apps/server/src/features/cases/index.ts';
import { caseResource } from '../../apps/server/src/features/records/index.ts';
import { formatDocumentId } from '../../apps/server/src/platform/document-engine/Port.ts';
import { samplePdf } from '../../apps/server/src/platform/document-engine/testing/sample-pdf.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { objectKey } from '../../apps/server/src/platform/object-store/Port.ts';
import { loadEffective } from '../../apps/server/src/run/load-effective.ts';

const actor = { kind: 'system', reason: 'benchmark' } as const;

const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => console.error(message, fields),
  error: (message, fields, error) => console.error(message, fields, error),
  with: () => log,
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Nothing that lies on documents travels. */
export const plain = {
  redactionsAs: 'omit',
  highlightsAs: 'omit',
  notesAs: 'omit',
  stickersAs: 'omit',
  batesAs: 'omit',
  confidentialityCodesAs: 'omit',
  comments: 'omit',
} as const;

interface FillOptions {
  readonly exhibits: number;
  /** Lines of each page of an exhibit. */
  readonly pages?: (at: number) => readonly (readonly string[])[];
  readonly annotations?: (at: number) => readonly PageAnnotation[];
}

export interface FilledCase {
  readonly caseId: CaseId;
  /** The PDFs, by exhibit. */
  readonly pdfs: readonly Uint8Array[];
  /** All objects: bytes in the order of exhibits. */
  readonly objects: readonly Uint8Array[];
}

interface Timed {
  readonly ms: number;
  /** When the exchange came into each state, in milliseconds after it was asked for. */
  readonly marks: Readonly<Partial<Record<ExchangeState, number>>>;
}

interface Bench {
  readonly system: System;
  readonly folder: string;
  createCase(name: string): Promise<CaseId>;
  fill(name: string, options: FillOptions): Promise<FilledCase>;
  start(from: CaseId, to: CaseId, changes?: object): Promise<JobId>;
  /** Waits for a state, or the end. */
  until(jobId: JobId, state: ExchangeState | 'ended'): Promise<Timed>;
  close(): Promise<void>;
}

const twoPages = (at: number): readonly (readonly string[])[] => [
  [`page one of exhibit ${at}: the quick brown fox`],
  [`page two of exhibit ${at}: jumps over the lazy dog`],
];

/** Runs `work` for 0 to `count` - 1, some at once. */
const together = async (count: number, work: (at: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const run = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) await work(at);
  };
  await Promise.all(Array.from({ length: 16 }, run));
};

/** `there`: an installation that another process made, and removes. */
export const openBench = async (there?: string): Promise<Bench> => {
  const folder = there ?? (await mkdtemp(path.join(tmpdir(), 'casebound-bench-')));
  const effective = await loadEffective(
    { dataDir: folder, configFile: undefined, overrides: new Map([['http.port', '0']]) },
    { env: { CASEBOUND_OBJECT_STORE_FSYNC: 'batch', ...process.env }, cwd: folder },
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
  const signal = new AbortController().signal;
  const call = { params: undefined, query: undefined, body: undefined, actor, requestId: 'bench', signal };
  const newCase = async (name: string): Promise<CaseId> => (await createCase(system.cases, actor, { name })).caseId;
  const started = new Map<JobId, number>();

  const fill: Bench['fill'] = async (name, { exhibits, pages = twoPages, annotations }) => {
    const caseId = await newCase(name);
    const store = await system.records.open(caseId, actor);
    const row = (endpoint: string, document: JsonValue): BulkRow => ({
      resource: caseResource(store.model, endpoint),
      document,
    });
    await bulkWrite(store, [
      row('batches', { name: 'bench', kind: 'import' }),
      ...Array.from({ length: 10 }, (_, at) => row('custodians', { name: `Custodian ${at}` })),
    ]);
    const batch = await system.databases.cases.withCase(caseId, actor, async (tx) =>
      tx.query<{ id: string }>('SELECT document_id AS id FROM batch'),
    );
    const batchId = Number(batch.rows[0]?.id);
    const pdfs: Uint8Array[] = [];
    const bytesOf: Uint8Array[][] = [];
    const documents: BulkRow[] = [];
    const records: BulkRow[] = [];
    await together(exhibits, async (at) => {
      const documentKey = randomUUID();
      const lines = pages(at);
      const pdf = samplePdf(lines);
      const native = Buffer.from(`native ${at}`);
      pdfs[at] = pdf;
      const stored: Uint8Array[] = [];
      bytesOf[at] = stored;
      const put = async (key: string, bytes: Uint8Array): Promise<string> => {
        stored.push(bytes);
        const full = objectKey(`case_${caseId}/processed-files/${batchId}/${key}`);
        await system.objects.put(full, bytes);
        return full;
      };
      const variants: JsonValue[] = [];
      for (const [type, bytes] of [
        ['native', native],
        ['pdf', pdf],
      ] as const) {
        const key = await put(`${type}/${documentKey}/content`, bytes);
        variants.push({ type, position: 1, objectKey: key, size: bytes.length, sha256: sha256(bytes) });
      }
      const texts: JsonValue[] = [];
      for (const [page, text] of lines.entries()) {
        const bytes = Buffer.from(text.join('\n'));
        await put(`txt/${documentKey}/attachments/${page + 1}/content.txt`, bytes);
        texts.push({ textSource: 'load_file', textSize: bytes.length, textSha256: sha256(bytes) });
      }
      documents[at] = row('documents', {
        documentKey,
        fileName: `${at}.bin`,
        sha256Hash: sha256(native),
        pageCount: lines.length,
        variants,
      });
      records[at] = row('exhibits', {
        controlNumber: `BENCH${String(at).padStart(7, '0')}`,
        documentReference: { documentKey },
        batchReference: { name: 'bench' },
        custodians: [{ custodianReference: { name: `Custodian ${at % 10}` } }],
        pages: texts,
      });
    });
    await bulkWrite(store, documents);
    await bulkWrite(store, records);
    if (annotations !== undefined) {
      const { rows } = await system.databases.cases.withCase(caseId, actor, async (tx) =>
        tx.query<{ exhibit: string; document: string }>(
          'SELECT document_id AS exhibit, document_document_id AS document FROM exhibit ORDER BY control_number',
        ),
      );
      await together(exhibits, async (at) => {
        const found = rows[at];
        const pdf = pdfs[at];
        if (found === undefined || pdf === undefined) return;
        const id = formatDocumentId({
          caseId,
          batchId: BatchId.parse(batchId),
          documentId: DocumentId.parse(Number(found.document)),
          exhibitId: ExhibitId.parse(Number(found.exhibit)),
        });
        await system.engine.putDocument(id, pdf);
        await system.engine.createAnnotations(id, annotations(at));
      });
    }
    await system.objects.flush();
    return { caseId, pdfs, objects: bytesOf.flat() };
  };

  return {
    system,
    folder,
    createCase: newCase,
    fill,
    async start(from, to, changes = {}) {
      const at = performance.now();
      const body = ExchangeRequest.parse({
        sourceCaseId: from,
        destinationCaseId: to,
        selection: { by: 'all' },
        ...changes,
      });
      const { jobId } = await system.handlers.createExchange({ ...call, body });
      const job = JobId.parse(jobId);
      started.set(job, at);
      return job;
    },
    async until(jobId, wanted) {
      const began = started.get(jobId) ?? performance.now();
      const marks: Partial<Record<ExchangeState, number>> = {};
      for (; ; await sleep(50)) {
        // The row alone: progress is counted from the ledger, and asking for it would be measured, too.
        const { rows } = await system.databases.control.transaction({ readOnly: true }, async (tx) =>
          tx.query<{ state: ExchangeState; failure: unknown }>(
            'SELECT state, failure FROM exchange.job WHERE job_id = $1',
            [jobId],
          ),
        );
        const { state = 'FAILED', failure } = rows[0] ?? {};
        const ms = performance.now() - began;
        marks[state] ??= Math.round(ms);
        if (state === wanted || state === 'FINISHED') return { ms, marks };
        if (['FAILED', 'CANCELLED', 'FINISHED_WITH_ERRORS'].includes(state))
          throw new Error(`The exchange is ${state}: ${JSON.stringify(failure)}`);
      }
    },
    async close() {
      await system.close();
      if (there === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
};

/** Processor time in milliseconds of this process and all that it started, the database among them; 0 where /proc does not say. */
export const cpuOfAll = async (): Promise<number> => {
  const processes = new Map<number, { readonly parent: number; readonly ticks: number }>();
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    // proc_pid_stat(5), after the name: parent is field 4, user and system time with that of children that ended 14 to 17.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at] ?? 0), 0);
    processes.set(Number(name), { parent: Number(fields[1]), ticks });
  }
  const isOurs = (pid: number): boolean =>
    pid === process.pid || (processes.has(pid) && pid > 1 && isOurs(processes.get(pid)?.parent ?? 0));
  return [...processes].filter(([pid]) => isOurs(pid)).reduce((sum, [, { ticks }]) => sum + ticks * 10, 0);
};

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

export const round = (value: number, digits = 2): number => Math.round(value * 10 ** digits) / 10 ** digits;

/** Prints the figures and writes them to `bench/results/<name>.json`. */
export const report = async (name: string, figures: readonly Readonly<Record<string, unknown>>[]): Promise<void> => {
  console.table(figures.map(({ marks: _marks, ...figure }) => figure));
  await mkdir('bench/results', { recursive: true });
  const machine = { cpus: availableParallelism(), model: cpus()[0]?.model, node: process.version };
  const result = { name, at: new Date().toISOString(), machine, figures };
  await writeFile(`bench/results/${name}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
};
