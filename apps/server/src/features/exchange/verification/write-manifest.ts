/**
 * Verifies an exchange item by item and writes what it finds as its manifest, in one pass over the ledger.
 *
 * - Memory is a few pages of items; the manifest goes to the object store as it is written. Written again, it replaces itself.
 */
import { type Actor, CaseboundError } from '@casebound/contract';
import type { CopyComparison, CopyDifference } from '@casebound/records';
import { objectKey, type ObjectKey } from '../../../platform/object-store/Port.ts';
import type { ExchangeJob } from '../job-store.ts';
import { routingOf } from '../processors/pre-uploader.ts';
import { readVariants } from '../variants.ts';
import { type Exception, type ItemLine, ManifestWriter, type SummaryLine, canonicalHash } from './manifest-format.ts';
import { type FoundFacts, readFacts, type VerificationParts } from './read-facts.ts';
import { mapAhead } from './map-ahead.ts';
import { readLedgerPages, type LedgerItem } from './read-ledger.ts';
import type { ManifestKeys } from './manifest-keys.ts';

export const manifestKey = (job: Pick<ExchangeJob, 'destinationCaseId' | 'jobId' | 'round'>): ObjectKey =>
  objectKey(`case_${job.destinationCaseId}/exchanges/${job.jobId}/manifest-${job.round}.jsonl`);

export type Counts = SummaryLine['counts'];

export interface WrittenManifest {
  readonly key: ObjectKey;
  readonly counts: Counts;
}

const who = (actor: Actor): string => (actor.kind === 'account' ? `${actor.name} (${actor.accountId})` : 'Casebound');

interface Page {
  readonly items: readonly LedgerItem[];
  readonly facts: ReadonlyMap<number, FoundFacts>;
  /** Hashes of values in the source, by source exhibit. */
  readonly sourceValues: ReadonlyMap<number, string>;
  readonly sourceObjects: ReadonlyMap<number, Readonly<Record<string, string>>>;
  /** What documents of the source state of their files now. */
  readonly sourceHashes: ReadonlyMap<number, string | null>;
  readonly indexed: ReadonlyMap<number, ReadonlyMap<number, string>>;
}

const readPage = async (
  parts: VerificationParts,
  job: ExchangeJob,
  batchId: number,
  items: readonly LedgerItem[],
  signal: AbortSignal,
): Promise<Page> => {
  const here = items.flatMap((it) => (it.destination === null ? [] : [it.destination]));
  const sourceIds = items.map((it) => it.sourceExhibitId);
  const facts = await readFacts(parts, job.destinationCaseId, batchId, job.createdBy, here, 'stated', signal);
  const documentIds = items.map((it) => it.sourceDocumentId);
  const { sourceVariants, hashes } = await parts.sessions.withCase(
    job.sourceCaseId,
    job.createdBy,
    async (tx) => ({
      sourceVariants: await readVariants(tx, documentIds),
      hashes: await tx.query<{ document_id: string; sha256_hash: string | null }>(
        'SELECT document_id, sha256_hash FROM source_document WHERE document_id = ANY ($1::bigint[])',
        [documentIds],
      ),
    }),
    { readOnly: true, signal },
  );
  const values = job.request.includeCustomFields
    ? await parts.fields.read(job.sourceCaseId, job.createdBy, sourceIds, signal)
    : new Map<number, never>();
  const digests = await parts.index.digests(
    job.destinationCaseId,
    here.map((it) => it.exhibitId),
  );
  return {
    items,
    facts,
    sourceValues: new Map([...values].map(([id, found]) => [id, canonicalHash(found.values)])),
    sourceObjects: new Map(
      items.map((it) => [
        it.sourceDocumentId,
        Object.fromEntries(
          (sourceVariants.get(it.sourceDocumentId) ?? []).map((one) => [`${one.type}/${one.position}`, one.sha256]),
        ),
      ]),
    ),
    sourceHashes: new Map(hashes.rows.map((row) => [Number(row.document_id), row.sha256_hash])),
    indexed: new Map(
      digests.map((one) => [one.exhibitId, new Map(one.pages.map((page) => [page.position, page.sha256]))]),
    ),
  };
};

/** Pages that are read while one is judged. */
const pagesAhead = 2;

const numberOf = (detail: Readonly<Record<string, unknown>> | null | undefined, member: string): number =>
  Number(detail?.[member] ?? 0);

/** Everything that is not as the exchange was asked to leave it. */
const judge = (job: ExchangeJob, item: LedgerItem, page: Page, differences: readonly CopyDifference[]): Exception[] => {
  const found: Exception[] = [];
  const say = (stage: string, code: string, reason: string): void => {
    found.push({ stage, code, reason });
  };
  for (const [stage, { state, code, reason }] of item.stages) {
    if (state === 'failed') say(stage, code ?? 'failed', reason ?? 'The item failed.');
    if (state === 'pending') say(stage, 'unfinished', 'The item was never ended.');
  }
  if (item.action === 'missing')
    say('records', 'EXHIBIT_NOT_FOUND', 'The exhibit was gone from the source when it was its turn.');
  const { destination } = item;
  if (destination === null) return found;
  for (const one of differences) {
    if (one.documentId !== destination.exhibitId && one.documentId !== destination.documentId) continue;
    say(
      'verification',
      `record_${one.kind.replaceAll('-', '_')}`,
      `${one.resource}, ${one.table}${one.place === '' ? '' : ` ${one.place}`}: ${one.columns.join(', ')}`,
    );
  }
  const here = page.facts.get(destination.exhibitId);
  if (here === undefined) {
    say('verification', 'record_missing', 'The exhibit is not in the destination.');
    return found;
  }
  for (const fault of here.faults) say('verification', 'object_differs', `${fault.key}: ${fault.reason}`);
  if (
    job.request.includeCustomFields &&
    (page.sourceValues.get(item.sourceExhibitId) ?? null) !== here.facts.values &&
    item.action === 'inserted'
  ) {
    say('verification', 'values_differ', 'The values of custom fields are not those of the source.');
  }
  checkSource(item, page, here, say);
  checkRedaction(job, item, page, here, say);
  checkAnnotations(job, item, here, say);
  const index = page.indexed.get(destination.exhibitId);
  const search = item.stages.get('search_text');
  if (index === undefined && search?.state === 'done')
    say('verification', 'not_indexed', 'The search index has no such exhibit.');
  return found;
};

type Say = (stage: string, code: string, reason: string) => void;

/** A file that was replaced in the source after the record of its document had been copied came with the record of the one before. */
const checkSource = (item: LedgerItem, page: Page, here: FoundFacts, say: Say): void => {
  if ((page.sourceHashes.get(item.sourceDocumentId) ?? null) === here.statedHash) return;
  const native = page.sourceObjects.get(item.sourceDocumentId)?.['native/1'];
  if (native === undefined || native === here.statedHash) return;
  if (here.facts.objects.some(({ sha256 }) => sha256 === native))
    say(
      'verification',
      'source_changed',
      `The file was replaced in the source while it was copied: it has the SHA-256 ${native}, and its record states that of the file before.`,
    );
};

/** Redacted items carry neither native nor old text; what was burned in was proved. */
const checkRedaction = (job: ExchangeJob, item: LedgerItem, page: Page, here: FoundFacts, say: Say): void => {
  const redactions = numberOf(item.stages.get('pre_uploader')?.detail, 'redactions');
  if (redactions === 0) return;
  const source = page.sourceObjects.get(item.sourceDocumentId) ?? {};
  const pages = item.stages.get('pre_uploader')?.detail?.['redactedPages'];
  const isRedacted = (position: number): boolean => !Array.isArray(pages) || pages.includes(position);
  const old = new Map(Object.entries(source).map(([place, hash]) => [hash, place]));
  for (const object of here.facts.objects) {
    const place = old.get(object.sha256);
    if (place === undefined) continue;
    // The text of a page on which nothing was redacted is the same in the redacted file.
    if (place.startsWith('text/') && !isRedacted(Number(place.slice('text/'.length)))) continue;
    if (place.startsWith('native/') && job.request.nativesOfRedacted === 'include') continue;
    say(
      'verification',
      'redaction_leak',
      `The ${place} of the source, which shows what was redacted, is in the destination: ${object.key}`,
    );
  }
  const reOcr = item.stages.get('re_ocr');
  if (reOcr !== undefined && reOcr.state !== 'done')
    say('verification', 'text_not_renewed', 'The text of the redacted exhibit was not read from its redacted PDF.');
};

/** What stays an annotation is in the destination, kind by kind; what was left out or burned in is not. */
const checkAnnotations = (job: ExchangeJob, item: LedgerItem, here: FoundFacts, say: Say): void => {
  const made = item.stages.get('pre_uploader');
  if (made?.state !== 'done' || item.stages.get('uploader')?.state !== 'done') return;
  const asked = (made.detail?.['found'] ?? {}) as Readonly<Record<string, number>>;
  const routing = routingOf(job.request.annotations);
  for (const [kind, count] of Object.entries(asked)) {
    const route = routing[kind as keyof typeof routing];
    const wanted = route === 'layer' ? count : 0;
    const there = here.facts.annotationCounts[kind] ?? 0;
    // Comments go with the annotation that they are about.
    if (kind === 'comment' ? there > wanted : there !== wanted) {
      say('verification', 'annotations_differ', `${kind}: ${wanted} were to be in the destination, and ${there} are.`);
    }
  }
};

const lineOf = (item: LedgerItem, page: Page, exceptions: Exception[]): Omit<ItemLine, 'line' | 'previous'> => {
  const made = item.stages.get('pre_uploader')?.detail;
  const copied = item.stages.get('object_copy')?.detail;
  const withheld = copied?.['withheld'];
  return {
    kind: 'item',
    ordinal: item.ordinal,
    source: {
      exhibitId: item.sourceExhibitId,
      documentKey: item.sourceDocumentKey,
      controlNumber: item.sourceControlNumber,
      objects: { ...page.sourceObjects.get(item.sourceDocumentId) },
      annotationCounts: { ...(made?.['found'] as Record<string, number> | undefined) },
    },
    action: item.action,
    destination:
      item.destination === null
        ? null
        : {
            exhibitId: item.destination.exhibitId,
            documentId: item.destination.documentId,
            documentKey: item.destination.documentKey,
            controlNumber: item.destination.controlNumber,
          },
    facts: item.destination === null ? null : (page.facts.get(item.destination.exhibitId)?.facts ?? null),
    redaction: {
      verified: numberOf(made, 'redactions'),
      unapplied: numberOf(made, 'unapplied'),
      withheld: Array.isArray(withheld) ? withheld.map(String) : [],
    },
    stages: Object.fromEntries([...item.stages].map(([stage, { state }]) => [stage, state])),
    exceptions,
  };
};

class Tally {
  readonly counts: { -readonly [K in keyof Counts]: Counts[K] } = {
    items: 0,
    inserted: 0,
    overlaid: 0,
    skipped: 0,
    duplicates: 0,
    missing: 0,
    failed: 0,
    objects: 0,
    bytes: 0,
    redactionsVerified: 0,
    redactionsUnapplied: 0,
    exceptions: 0,
  };

  add(line: Omit<ItemLine, 'line' | 'previous'>): void {
    const { counts } = this;
    counts.items += 1;
    if (
      line.action === 'inserted' ||
      line.action === 'overlaid' ||
      line.action === 'skipped' ||
      line.action === 'missing'
    )
      counts[line.action] += 1;
    if (line.action === 'duplicate') counts.duplicates += 1;
    if (line.exceptions.length > 0) counts.failed += 1;
    counts.exceptions += line.exceptions.length;
    counts.objects += line.facts?.objects.length ?? 0;
    counts.bytes += line.facts?.objects.reduce((sum, one) => sum + one.size, 0) ?? 0;
    counts.redactionsVerified += line.redaction.verified;
    counts.redactionsUnapplied += line.redaction.unapplied;
  }
}

/** Verifies all items and writes the manifest. `comparison` is what the record copy found. */
export const writeManifest = async (
  parts: VerificationParts,
  keys: ManifestKeys,
  job: ExchangeJob,
  comparison: Promise<CopyComparison>,
  signal: AbortSignal,
): Promise<WrittenManifest> => {
  const { batchId } = job;
  if (batchId === null) throw new CaseboundError('internal', `The exchange ${job.jobId} has no batch.`);
  const writer = new ManifestWriter();
  const tally = new Tally();
  const key = manifestKey(job);
  const signing = await keys.signing();
  const lines = async function* (): AsyncGenerator<Uint8Array> {
    const encode = (text: string): Uint8Array => Buffer.from(text, 'utf8');
    yield encode(
      writer.add({
        kind: 'header',
        version: 1,
        jobId: job.jobId,
        sourceCaseId: job.sourceCaseId,
        destinationCaseId: job.destinationCaseId,
        batchId,
        options: job.request,
        operator: who(job.createdBy),
        startedAt: job.createdAt.toISOString(),
        verifiedAt: parts.clock.now().toISOString(),
      }),
    );
    const pages = mapAhead(readLedgerPages(parts, job, signal), pagesAhead, async (items) =>
      readPage(parts, job, batchId, items, signal),
    );
    for await (const page of pages) {
      // Found while the first pages are read.
      const compared = await comparison;
      const { items } = page;
      let text = '';
      for (const item of items) {
        const line = lineOf(item, page, judge(job, item, page, compared.listed));
        tally.add(line);
        text += writer.add(line);
      }
      yield encode(text);
    }
    const compared = await comparison;
    const isWell = tally.counts.failed === 0 && compared.differences === 0;
    yield encode(
      writer.add({
        kind: 'summary',
        state: isWell ? 'FINISHED' : 'FINISHED_WITH_ERRORS',
        counts: tally.counts,
        records: job.counters.records,
        comparison: {
          differences: compared.differences,
          changedInSource: compared.changedInSource,
          changedInDestination: compared.changedInDestination,
        },
      }),
    );
    yield encode(writer.sign(signing));
  };
  await parts.objects.put(key, lines(), { contentType: 'application/x-ndjson', signal });
  await parts.objects.flush();
  return { key, counts: tally.counts };
};
