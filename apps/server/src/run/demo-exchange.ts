/**
 * The main job, shown: a production is imported into one case and exchanged to another with its redactions burned in, and the result is
 * proved, also by looking for the redacted words themselves.
 */
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CaseboundError,
  type CaseId,
  type Client,
  type Exchange,
  ExchangeRequest,
  type ImportJob,
  ImportRequest,
  type ManifestCursor,
  type ManifestDifference,
} from '@casebound/contract';
import type { System } from '../compose.ts';
import { createSample } from '../features/samples/index.ts';
import { objectPrefix } from '../platform/object-store/Port.ts';
import { readBytes } from '../platform/object-store/read-bytes.ts';
import { z } from 'zod';

type Report = (line: string) => void;

const lookEveryMs = 250;
const shownProblems = 6;
const maxObjectBytes = 256 * 1024 * 1024;
const importEnds = ['finished', 'finished_with_errors', 'failed', 'cancelled'];
const exchangeEnds = ['FINISHED', 'FINISHED_WITH_ERRORS', 'FAILED', 'CANCELLED', 'ROLLED_BACK'];

const followImport = async (
  client: Client,
  caseId: CaseId,
  jobId: ImportJob['jobId'],
  report: Report,
  interrupted: AbortSignal,
): Promise<ImportJob> => {
  for (let state = ''; ; await sleep(lookEveryMs, undefined, { signal: interrupted })) {
    const job = await client.getImport({ params: { caseId, jobId } });
    if (job.state !== state) report(`   ${job.state}${job.progress.total === null ? '' : ` (${job.progress.total})`}`);
    state = job.state;
    if (importEnds.includes(job.state)) return job;
  }
};

const followExchange = async (
  client: Client,
  jobId: Exchange['jobId'],
  report: Report,
  interrupted: AbortSignal,
): Promise<Exchange> => {
  for (let state = ''; ; await sleep(lookEveryMs, undefined, { signal: interrupted })) {
    const it = await client.getExchange({ params: { jobId } });
    if (it.state !== state) report(`   ${it.state}`);
    state = it.state;
    if (exchangeEnds.includes(it.state)) return it;
  }
};

const Truth = z.object({ kind: z.string(), document: z.string().optional(), words: z.string().optional() });

/** The words that the sample's redactions lie on. */
const redactedWords = async (folder: string): Promise<readonly string[]> => {
  const words = new Set<string>();
  for await (const line of createInterface({ input: createReadStream(path.join(folder, 'TRUTH.jsonl')) })) {
    const entry = Truth.parse(JSON.parse(line));
    if (entry.kind === 'redaction' && entry.words !== undefined) words.add(entry.words);
  }
  return [...words];
};

/** Text of the pages of a PDF; none of one that cannot be opened, whose bytes are looked at all the same. */
const pageTexts = async (pdf: System['pdf'], bytes: Uint8Array): Promise<readonly string[]> => {
  try {
    return (await pdf.text({ pdf: bytes })).map((it) => it.text);
  } catch (error) {
    if (error instanceof CaseboundError && error.family === 'permanent') return [];
    throw error;
  }
};

/** Reads every object of a case, PDFs page by page, and counts the words that are there. */
const lookForWords = async (
  { objects, pdf }: System,
  caseId: CaseId,
  words: readonly string[],
): Promise<{ readonly objects: number; readonly found: readonly string[] }> => {
  const found = new Set<string>();
  let count = 0;
  for await (const page of objects.list(objectPrefix(`case_${caseId}/`))) {
    for (const { key } of page) {
      count += 1;
      const bytes = await readBytes(objects, key, { maxBytes: maxObjectBytes });
      const raw = Buffer.from(bytes).toString('latin1');
      const isPdf = raw.startsWith('%PDF-');
      const texts = isPdf ? await pageTexts(pdf, bytes) : [];
      for (const word of words) if (raw.includes(word) || texts.some((text) => text.includes(word))) found.add(word);
    }
  }
  return { objects: count, found: [...found] };
};

const checkProof = async (
  client: Client,
  jobId: Exchange['jobId'],
): Promise<{
  readonly items: number;
  readonly objects: number;
  readonly bytes: number;
  readonly signed: boolean;
  readonly differences: readonly ManifestDifference[];
}> => {
  const totals = { items: 0, objects: 0, bytes: 0, signed: false };
  const differences: ManifestDifference[] = [];
  for (let cursor: ManifestCursor | null = { offset: 0, line: 0, previous: '0'.repeat(64) }; cursor !== null;) {
    const part: Awaited<ReturnType<typeof client.checkExchangeManifest>> = await client.checkExchangeManifest({
      params: { jobId },
      query: cursor,
    });
    totals.items += part.items;
    totals.objects += part.objects;
    totals.bytes += part.bytes;
    totals.signed = part.signed === true;
    differences.push(...part.differences);
    cursor = part.next;
  }
  return { ...totals, differences };
};

export interface DemoExchange {
  readonly folder: string;
  readonly import: ImportJob;
  readonly exchange: Exchange;
  readonly verified: boolean;
  readonly redactedWords: number;
  readonly wordsFound: number;
}

/** Steps 3 to 6 of the tour. Throws when what is shown is not so. */
export const showExchange = async (
  system: System,
  client: Client,
  dataFolder: string,
  [from, to]: readonly [CaseId, CaseId],
  report: Report,
  interrupted: AbortSignal,
): Promise<DemoExchange> => {
  const folder = path.join(dataFolder, 'demo', `production-${from}`);
  report(
    '3. Write a production to disk: mail with attachments, scans, spreadsheets, redactions, stamps, comments, and a few flaws',
  );
  const sample = await createSample(folder, { documents: 60, fields: 12, seed: 'demo', flaws: true });
  report(`   ${sample.documents} documents below ${folder}`);

  report('4. Import it into the first case');
  const created = await client.createImport({
    params: { caseId: from },
    body: ImportRequest.parse({ path: folder, batch: 'Meridian volume 1' }),
  });
  const imported = await followImport(client, from, created.jobId, report, interrupted);
  const { counts } = imported;
  report(
    `   ${counts.rows} rows = ${counts.imported} imported + ${counts.duplicates} duplicates + ${counts.rejected} rejected; ${counts.files} files stored`,
  );
  const { problems } = await client.listImportProblems({
    params: { caseId: from, jobId: created.jobId },
    query: { limit: shownProblems },
  });
  for (const it of problems) report(`   ${it.severity}: line ${it.line ?? '-'}: ${it.reason} (${it.code})`);

  report('5. Exchange all of it to the second case: redactions burned in, everything else kept as it is');
  const body = ExchangeRequest.parse({
    sourceCaseId: from,
    destinationCaseId: to,
    selection: { by: 'all' },
    includeNatives: true,
  });
  const preview = await client.previewExchange({ body });
  report(
    `   dry run: ${preview.exhibits} exhibits, ${preview.pages} pages, ${preview.redacted} redacted, ${preview.conflicts} conflicts`,
  );
  for (const warning of preview.warnings) report(`   dry run: ${warning.message} (${warning.exhibits} exhibits)`);
  const { jobId } = await client.createExchange({ body });
  const exchange = await followExchange(client, jobId, report, interrupted);
  for (const [stage, progress] of Object.entries(exchange.byStage)) {
    report(`   ${stage.padEnd(12)} ${progress.done} done, ${progress.failed} failed, of ${progress.total ?? '?'}`);
  }
  const { items } = await client.listExchangeItems({
    params: { jobId },
    query: { state: 'failed', limit: shownProblems },
  });
  for (const it of items)
    report(
      `   failed: ${it.controlNumber ?? it.sourceControlNumber}, ${it.stage}: ${it.reason ?? ''} (${it.code ?? ''})`,
    );

  report('6. Prove it');
  const proof = await checkProof(client, jobId);
  report(
    `   manifest: ${proof.items} exhibits and ${proof.objects} objects (${proof.bytes} bytes) read again, ${proof.differences.length} differences; signature ${proof.signed ? 'holds' : 'does not hold'}`,
  );
  const words = await redactedWords(folder);
  const source = await lookForWords(system, from, words);
  const destination = await lookForWords(system, to, words);
  report(
    `   ${words.length} redacted passages: ${source.found.length} stand in the ${source.objects} objects of the source, ${destination.found.length} in the ${destination.objects} of the destination`,
  );
  const verified = proof.signed && proof.differences.length === 0 && destination.found.length === 0;
  if (!verified) throw new Error('The proof of the exchange failed.');
  return {
    folder,
    import: imported,
    exchange,
    verified,
    redactedWords: words.length,
    wordsFound: destination.found.length,
  };
};
