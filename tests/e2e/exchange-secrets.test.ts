/**
 * No word under a redaction that was burned in stands anywhere in the destination: in no object (PDFs read page by page, natives with their
 * attachments and parts), no table of the case, no index, no manifest, and no line of the log. Of a whole installation and a generated
 * production, whose truth says what lies under each redaction.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExchangeRequest, ImportRequest, JobId, type CaseId } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import yauzl from 'yauzl';
import { openSystem, type System } from '../../apps/server/src/compose.ts';
import { createCase } from '../../apps/server/src/features/cases/index.ts';
import { createSample } from '../../apps/server/src/features/samples/index.ts';
import type { Log } from '../../apps/server/src/platform/log/Port.ts';
import { objectPrefix } from '../../apps/server/src/platform/object-store/Port.ts';
import { readBytes } from '../../apps/server/src/platform/object-store/read-bytes.ts';
import { loadEffective } from '../../apps/server/src/run/load-effective.ts';

const actor = { kind: 'system', reason: 'test' } as const;
const call = {
  params: undefined,
  query: undefined,
  body: undefined,
  actor,
  requestId: 'test',
  signal: new AbortController().signal,
};

let folder: Awaited<ReturnType<typeof createTemporaryFolder>>;
let system: System;
const logged: string[] = [];
const log: Log = {
  debug: (...args) => void logged.push(JSON.stringify(args)),
  info: (...args) => void logged.push(JSON.stringify(args)),
  warn: (...args) => void logged.push(JSON.stringify(args)),
  error: (message, fields, error) => void logged.push(JSON.stringify([message, fields, String(error)])),
  with: () => log,
};

beforeAll(async () => {
  folder = await createTemporaryFolder();
  const dataDir = path.join(folder.path, 'data');
  const effective = await loadEffective(
    { dataDir, configFile: undefined, overrides: new Map([['http.port', '0']]) },
    { env: process.env, cwd: folder.path },
  );
  system = await openSystem({
    effective,
    environment: process.env,
    role: 'all',
    version: 'test',
    log,
    schema: 'migrate',
    progress: () => undefined,
  });
  await system.start({ workers: true });
}, 120_000);
afterAll(async () => {
  await system.close();
  await folder[Symbol.asyncDispose]();
});

/** Entries of a zip, unpacked. */
const unzip = async (bytes: Uint8Array): Promise<Buffer[]> => {
  const zip = await yauzl.fromBufferPromise(Buffer.from(bytes));
  const parts: Buffer[] = [];
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    parts.push(Buffer.concat(chunks));
  }
  return parts;
};

/** All texts that can be read from bytes: as they are, of the pages of a PDF, of the parts of a message or an archive. */
const textsOf = async (bytes: Uint8Array, depth = 0): Promise<string[]> => {
  const raw = Buffer.from(bytes).toString('utf8');
  if (depth > 4) return [raw];
  if (raw.startsWith('%PDF-')) {
    const pages = await system.pdf.text({ pdf: Uint8Array.from(bytes) }).catch(() => []);
    return [raw, ...pages.map(({ text }) => text)];
  }
  if (raw.startsWith('PK\u0003\u0004')) {
    const parts = await unzip(bytes).catch(() => []);
    return [raw, ...(await Promise.all(parts.map(async (part) => textsOf(part, depth + 1)))).flat()];
  }
  if (/^[\w-]+: .*\r?\n/.test(raw) && /^MIME-Version:/im.test(raw)) {
    const mail = await PostalMime.parse(bytes);
    const parts = await Promise.all(
      mail.attachments.map(async ({ content }) =>
        textsOf(typeof content === 'string' ? Buffer.from(content) : new Uint8Array(content), depth + 1),
      ),
    );
    return [raw, mail.subject ?? '', mail.text ?? '', mail.html ?? '', ...parts.flat()];
  }
  return [raw];
};

const flat = (text: string): string => text.replaceAll(/\s+/g, ' ').toLowerCase();

interface Passage {
  readonly words: string;
  readonly document: string;
}

const passagesOf = async (sample: string): Promise<Passage[]> => {
  const passages: Passage[] = [];
  for await (const line of createInterface({ input: createReadStream(path.join(sample, 'TRUTH.jsonl')) })) {
    const entry = JSON.parse(line) as { kind: string; words?: string; document?: string };
    if (entry.kind === 'redaction' && entry.words !== undefined)
      passages.push({ words: entry.words, document: entry.document ?? '' });
  }
  return passages;
};

/** Where passages stand in the objects of a case: `words: key`. */
const findInObjects = async (caseId: CaseId, words: readonly string[]): Promise<string[]> => {
  const found: string[] = [];
  for await (const page of system.objects.list(objectPrefix(`case_${caseId}/`)))
    for (const { key } of page) {
      const texts = await textsOf(await readBytes(system.objects, key, { maxBytes: 256 * 1024 * 1024 }));
      for (const word of words)
        if (texts.some((text) => flat(text).includes(flat(word)))) found.push(`${word}: ${key}`);
    }
  return found;
};

/** Every row of every table of a case, as text. */
const tablesOf = async (caseId: CaseId): Promise<string> =>
  system.databases.cases.withCase(caseId, actor, async (tx) => {
    const { rows } = await tx.query<{ name: string }>(
      'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()',
    );
    let all = '';
    for (const { name } of rows) {
      const found = await tx.query<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM "${name}" t`);
      all += found.rows.map(({ row }) => row).join('\n');
    }
    return all;
  });

test('no redacted passage is anywhere in the destination', async () => {
  const run = randomUUID();
  const sample = path.join(folder.path, 'data', `sample-${run}`);
  await createSample(sample, { documents: 70, fields: 14, seed: 'secrets', flaws: true });
  const passages = await passagesOf(sample);
  const words = [...new Set(passages.map((it) => it.words))];
  expect(words.length).toBeGreaterThan(5);

  const from = (await createCase(system.cases, actor, { name: `from ${run}` })).caseId;
  const to = (await createCase(system.cases, actor, { name: `to ${run}` })).caseId;
  const { jobId: importId } = await system.handlers.createImport({
    ...call,
    params: { caseId: from },
    body: ImportRequest.parse({ path: sample, batch: 'Volume 1' }),
  });
  for (;;) {
    const job = await system.handlers.getImport({ ...call, params: { caseId: from, jobId: JobId.parse(importId) } });
    if (['finished', 'finished_with_errors'].includes(job.state)) break;
    if (['failed', 'cancelled'].includes(job.state)) throw new Error(`The import is ${JSON.stringify(job)}.`);
    await sleep(100);
  }
  const sourceFound = await findInObjects(from, words);
  // What is looked for can be found: each passage stands in the source.
  for (const word of words) expect(sourceFound.some((one) => one.startsWith(`${word}: `))).toBe(true);

  const mark = logged.length;
  const { jobId } = await system.handlers.createExchange({
    ...call,
    body: ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      includeNatives: true,
    }),
  });
  let state = '';
  for (; !state.startsWith('FINISHED'); await sleep(100)) {
    const job = await system.handlers.getExchange({ ...call, params: { jobId: JobId.parse(jobId) } });
    ({ state } = job);
    if (['FAILED', 'CANCELLED'].includes(state)) throw new Error(`The exchange is ${JSON.stringify(job)}.`);
  }

  expect(await findInObjects(to, words)).toEqual([]);
  const tables = flat(await tablesOf(to));
  expect(words.filter((word) => tables.includes(flat(word)))).toEqual([]);
  const lines = flat(logged.slice(mark).join('\n'));
  expect(words.filter((word) => lines.includes(flat(word)))).toEqual([]);
  for (const word of words) {
    const hits = await system.index.search(to, { text: `"${word.replaceAll('"', ' ')}"` }, { limit: 5 });
    expect([word, hits]).toEqual([word, []]);
  }
  // The files of the index too: what was replaced must not be left in a page that nobody reads.
  const indexFolder = path.join(folder.path, 'data', 'search');
  const names = (await readdir(indexFolder)).filter((name) => name.startsWith(`case_${to}.sqlite`));
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const bytes = await readFile(path.join(indexFolder, name));
    const text = flat(bytes.toString('utf8'));
    expect([name, words.filter((word) => text.includes(flat(word)))]).toEqual([name, []]);
  }
}, 240_000);
