/**
 * An exchange from request to end, against a loop by hand: `node bench/exchange/end-to-end.ts [exhibits,…]`.
 *
 * - Every exhibit has a native, a PDF and two pages of text; nothing is annotated. Ours copies records and files, puts PDFs into the document
 *   engine, indexes the text, takes its queues down, verifies and signs. The loop links the same files and inserts one multi-row batch of
 *   rows a thousand exhibits, and does nothing else.
 * - Both run in turns on one embedded installation. The cost of an exhibit at each size is a row of its own.
 */
import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExchangeRequest, type CaseId, type JobId } from '@casebound/contract';
import { bulkWrite, type BulkRow, type JsonValue } from '@casebound/records';
import { openSystem, type System } from '../../apps/server/src/compose.ts';
import { createCase } from '../../apps/server/src/features/cases/index.ts';
import { caseResource } from '../../apps/server/src/features/records/index.ts';
import { objectKey } from '../../apps/server/src/platform/object-store/Port.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { samplePdf } from '../../apps/server/src/platform/document-engine/testing/sample-pdf.ts';
import { loadEffective } from '../../apps/server/src/run/load-effective.ts';

const sizes = (process.argv[2] ?? '625,2500,10000').split(',').map(Number);
const actor = { kind: 'system', reason: 'benchmark' } as const;
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => console.error(message, fields),
  error: (message, fields, error) => console.error(message, fields, error),
  with: () => log,
};

const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
const effective = await loadEffective(
  { dataDir, configFile: undefined, overrides: new Map([['http.port', '0']]) },
  { env: process.env, cwd: dataDir },
);
const system: System = await openSystem({
  effective,
  environment: process.env,
  role: 'all',
  version: 'bench',
  log,
  schema: 'migrate',
  progress: () => undefined,
});
await system.start({ workers: true });

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const folder = path.join(dataDir, 'loop');
await mkdir(folder);

interface Filled {
  readonly caseId: CaseId;
  readonly files: readonly string[];
}

/** A case of exhibits, and the same files for the loop. */
const fill = async (name: string, exhibits: number): Promise<Filled> => {
  const caseId = (await createCase(system.cases, actor, { name })).caseId;
  const store = await system.records.open(caseId, actor);
  const row = (endpoint: string, document: JsonValue): BulkRow => ({
    resource: caseResource(store.model, endpoint),
    document,
  });
  await bulkWrite(store, [
    row('batches', { name: 'bench', kind: 'import' }),
    ...Array.from({ length: 10 }, (_, at) => row('custodians', { name: `Custodian ${at}` })),
  ]);
  const { rows } = await system.databases.cases.withCase(caseId, actor, async (tx) =>
    tx.query<{ id: string }>('SELECT document_id AS id FROM batch'),
  );
  const batchId = Number(rows[0]?.id);
  const files: string[] = [];
  const documents: BulkRow[] = [];
  const records: BulkRow[] = [];
  for (let at = 0; at < exhibits; at += 1) {
    const documentKey = randomUUID();
    const texts = [
      `page one of exhibit ${at}: the quick brown fox`,
      `page two of exhibit ${at}: jumps over the lazy dog`,
    ];
    const pdf = samplePdf(texts.map((text) => [text]));
    const native = Buffer.from(`native ${at}`);
    const variants: JsonValue[] = [];
    const put = async (key: string, bytes: Uint8Array): Promise<void> => {
      await system.objects.put(objectKey(`case_${caseId}/processed-files/${batchId}/${key}`), bytes);
      const file = path.join(folder, `${documentKey}-${files.length}`);
      await writeFile(file, bytes);
      files.push(file);
    };
    for (const [type, bytes] of [
      ['native', native],
      ['pdf', pdf],
    ] as const) {
      await put(`${type}/${documentKey}/content`, bytes);
      variants.push({
        type,
        position: 1,
        objectKey: `case_${caseId}/processed-files/${batchId}/${type}/${documentKey}/content`,
        size: bytes.length,
        sha256: sha256(bytes),
      });
    }
    const pages: JsonValue[] = [];
    for (const [page, text] of texts.entries()) {
      await put(`txt/${documentKey}/attachments/${page + 1}/content.txt`, Buffer.from(text));
      pages.push({ textSource: 'load_file', textSize: text.length, textSha256: sha256(Buffer.from(text)) });
    }
    documents.push(
      row('documents', { documentKey, fileName: `${at}.bin`, sha256Hash: sha256(native), pageCount: 2, variants }),
    );
    records.push(
      row('exhibits', {
        controlNumber: `BENCH${String(at).padStart(7, '0')}`,
        documentReference: { documentKey },
        batchReference: { name: 'bench' },
        custodians: [{ custodianReference: { name: `Custodian ${at % 10}` } }],
        pages,
      }),
    );
  }
  await bulkWrite(store, documents);
  await bulkWrite(store, records);
  return { caseId, files };
};

const ours = async (
  from: CaseId,
  name: string,
): Promise<{ readonly ms: number; readonly marks: Record<string, number> }> => {
  const to = (await createCase(system.cases, actor, { name })).caseId;
  const request = ExchangeRequest.parse({
    sourceCaseId: from,
    destinationCaseId: to,
    selection: { by: 'all' },
    includeNatives: true,
    nativesOfRedacted: 'include',
    annotations: {
      redactionsAs: 'omit',
      highlightsAs: 'omit',
      notesAs: 'omit',
      stickersAs: 'omit',
      batesAs: 'omit',
      confidentialityCodesAs: 'omit',
      comments: 'omit',
    },
  });
  const started = performance.now();
  const signal = new AbortController().signal;
  const call = { params: undefined, query: undefined, actor, requestId: 'bench', signal };
  const { jobId }: { jobId: string } = await system.handlers.createExchange({ ...call, body: request });
  const marks: Record<string, number> = {};
  for (let last = ''; ;) {
    const { rows } = await system.databases.control.transaction({}, async (tx) =>
      tx.query<{ state: string }>('SELECT state FROM exchange.job WHERE job_id = $1', [jobId]),
    );
    const state = rows[0]?.state ?? '';
    if (state !== last) marks[state] = Math.round(performance.now() - started);
    last = state;
    if (state.startsWith('FINISHED')) break;
    if (['FAILED', 'CANCELLED'].includes(state)) {
      // A job's id is one, whatever type the call gave it.
      console.error(await system.handlers.getExchange({ ...call, body: undefined, params: { jobId: jobId as JobId } }));
      throw new Error(`The exchange is ${state}.`);
    }
    await sleep(20);
  }
  if (process.env['BENCH_STAGES'] !== undefined) {
    const { rows } = await system.databases.cases.withCase(to, actor, async (tx) =>
      tx.query(
        `SELECT stage, round(extract(epoch FROM max(updated_at) - min(updated_at)) * 1000) AS ms, round(extract(epoch FROM min(updated_at) - (SELECT min(updated_at) FROM exchange_item)) * 1000) AS after FROM exchange_item GROUP BY 1 ORDER BY 3`,
      ),
    );
    console.log(JSON.stringify(rows));
  }
  return { ms: performance.now() - started, marks };
};

/** By hand: link each file, insert one batch of rows a thousand exhibits. */
const loop = async (filled: Filled, exhibits: number, name: string): Promise<number> => {
  const target = path.join(dataDir, `linked-${name}`);
  await mkdir(target);
  const caseId = (await createCase(system.cases, actor, { name })).caseId;
  const place = (await system.databases.caseDatabases.list())[0];
  const owner = system.databases.owner(place?.server ?? '', place?.databaseName ?? '');
  await owner.transaction({}, async (tx) => {
    await tx.script(
      `CREATE TABLE case_${caseId}.by_hand (id bigint, control_number text, document_key text, object_key text, size bigint)`,
    );
  });
  const started = performance.now();
  const perExhibit = filled.files.length / exhibits;
  for (let first = 0; first < exhibits; first += 1000) {
    const count = Math.min(1000, exhibits - first);
    const files = filled.files.slice(first * perExhibit, (first + count) * perExhibit);
    for (const file of files) await link(file, path.join(target, path.basename(file)));
    const rows = Array.from({ length: files.length }, (_, at) => first * perExhibit + at);
    await owner.transaction({}, async (tx) =>
      tx.query(
        `INSERT INTO case_${caseId}.by_hand SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])`,
        [rows, rows.map((at) => `BENCH${at}`), rows.map((at) => `key-${at}`), files, rows.map(() => 100)],
      ),
    );
  }
  return performance.now() - started;
};

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const figures = [];
for (const exhibits of sizes) {
  const filled = await fill(`source ${exhibits}`, exhibits);
  const [a, b]: [number[], number[]] = [[], []];
  let marks: Record<string, number> = {};
  for (let round = 0; round < rounds; round += 1) {
    const mine = await ours(filled.caseId, `ours ${exhibits} ${round}`);
    marks = mine.marks;
    a.push(mine.ms);
    b.push(await loop(filled, exhibits, `loop-${exhibits}-${round}`));
  }
  const [mine, theirs] = [median(a), median(b)];
  const figure = {
    exhibits,
    oursMs: Math.round(mine),
    loopMs: Math.round(theirs),
    ratio: Math.round((mine / theirs) * 100) / 100,
    oursPerExhibitMs: Math.round((mine / exhibits) * 1000) / 1000,
    peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    marks,
  };
  figures.push(figure);
  console.log(JSON.stringify(figure));
}
console.table(figures.map((figure) => ({ ...figure, marks: undefined })));
await mkdir('bench/results', { recursive: true });
await writeFile(
  'bench/results/exchange-end-to-end.json',
  `${JSON.stringify({ at: new Date().toISOString(), cpus: cpus().map(({ model }) => model), rounds, figures }, undefined, 2)}\n`,
);
await system.close();
await rm(dataDir, { recursive: true, force: true });
