/**
 * Checks the destination of an exchange against its manifest: every record, value, annotation and byte again.
 *
 * - In parts, each a call of bounded time; the cursor carries the chain from part to part.
 * - What differs is named with the line of the manifest, the control number, and the object or part of the record.
 */
import {
  CaseboundError,
  type Actor,
  type JobId,
  type ManifestCursor,
  type ManifestDifference,
} from '@casebound/contract';
import { objectKey } from '../../../platform/object-store/Port.ts';
import { getJob, type ExchangeJob } from '../job-store.ts';
import { checkSignature, type ItemFacts, type ItemLine, type ManifestLine, readLine } from './manifest-format.ts';
import { type FoundFacts, readFacts, type VerificationParts } from './read-facts.ts';

/** Bytes of a manifest that are read for one part. */
const partBytes = 4 * 1024 * 1024;

export interface CheckedPart {
  readonly items: number;
  readonly objects: number;
  readonly bytes: number;
  readonly differences: ManifestDifference[];
  readonly signed: boolean | null;
  readonly publicKey: string;
  readonly size: number;
  readonly next: ManifestCursor | null;
}

interface Part {
  /** Whole lines, without line feeds. */
  readonly lines: readonly string[];
  readonly size: number;
  /** The last of the lines is not ended by a line feed. */
  readonly cut: boolean;
}

type Parts = Pick<VerificationParts, 'objects'>;

/** Errors: `exchange_state_conflict` when there is no manifest. */
const manifestOf = async (
  { control }: Pick<VerificationParts, 'control'>,
  jobId: JobId,
): Promise<{ readonly job: ExchangeJob; readonly key: string }> => {
  const job = await control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId));
  if (job.manifestKey === null) {
    throw new CaseboundError(
      'exchange_state_conflict',
      `The exchange ${jobId} is ${job.state} and has no manifest; one is written when it has been verified.`,
    );
  }
  return { job, key: job.manifestKey };
};

const readPart = async ({ objects }: Parts, key: string, offset: number, signal: AbortSignal): Promise<Part> => {
  const info = await objects.head(objectKey(key), { signal });
  if (info === undefined) throw new CaseboundError('object_not_found', `The manifest ${key} is gone.`);
  const { size } = info;
  if (offset >= size) return { lines: [], size, cut: false };
  const { body } = await objects.get(objectKey(key), {
    range: { start: offset, end: Math.min(size, offset + partBytes) },
    signal,
  });
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const end = bytes.lastIndexOf(0x0a);
  if (end === -1) {
    const isWhole = offset + bytes.length >= size;
    if (!isWhole)
      throw new CaseboundError('object_corrupt', `A line of the manifest ${key} is longer than ${partBytes} bytes.`);
    return { lines: [bytes.toString('utf8')], size, cut: true };
  }
  return { lines: bytes.toString('utf8', 0, end).split('\n'), size, cut: false };
};

/** A part of the manifest as it is. */
export const readManifest = async (
  parts: Parts & Pick<VerificationParts, 'control'>,
  jobId: JobId,
  offset: number,
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly next: number | null; readonly size: number }> => {
  const { key } = await manifestOf(parts, jobId);
  const { lines, size, cut } = await readPart(parts, key, offset, signal);
  const text = lines.length === 0 ? '' : `${lines.join('\n')}${cut ? '' : '\n'}`;
  const next = offset + Buffer.byteLength(text, 'utf8');
  return { text, size, next: next < size ? next : null };
};

interface Chained {
  readonly line: number;
  readonly entry: ManifestLine;
}

/** Checks one part. `cursor` is where the part before ended. */
export const checkManifest = async (
  parts: VerificationParts,
  jobId: JobId,
  actor: Actor,
  cursor: ManifestCursor,
  maxItems: number,
  signal: AbortSignal,
): Promise<CheckedPart> => {
  const { job, key } = await manifestOf(parts, jobId);
  const publicKey = await parts.manifestKeys.publicKey();
  const { lines, size, cut } = await readPart(parts, key, cursor.offset, signal);
  const differences: ManifestDifference[] = [];
  const say = (
    line: number,
    controlNumber: string | null,
    what: ManifestDifference['what'],
    place: string,
    detail: string,
  ): void => {
    differences.push({ line, controlNumber, what, place, detail });
  };
  let state = { line: cursor.line, previous: cursor.previous };
  let { offset } = cursor;
  let signed: boolean | null = null;
  const items: (Chained & { readonly entry: ItemLine })[] = [];
  for (const text of lines) {
    if (items.length >= maxItems) break;
    const read = readLine(text, state);
    offset += Buffer.byteLength(text, 'utf8') + (cut ? 0 : 1);
    state = read.state;
    if (!read.ok) {
      say(
        read.reason.startsWith(`Line ${state.line - 1} `) ? state.line - 1 : state.line,
        null,
        'manifest',
        key,
        read.reason,
      );
      continue;
    }
    const { line } = read;
    if (line.kind === 'item') items.push({ line: state.line, entry: line });
    if (line.kind === 'header' && line.jobId !== jobId)
      say(state.line, null, 'manifest', key, 'The manifest is that of another exchange.');
    if (line.kind === 'signature') {
      const fault = checkSignature(line, publicKey);
      signed = fault === null;
      if (fault !== null) say(state.line, null, 'signature', key, fault);
    }
  }
  const atEnd = offset >= size;
  if (atEnd && signed === null) {
    signed = false;
    say(state.line, null, 'signature', key, 'The manifest does not end with a signature.');
  }
  const counted = await checkItems(parts, job, actor, items, say, signal);
  return {
    items: items.length,
    ...counted,
    differences,
    signed,
    publicKey,
    size,
    next: atEnd ? null : { offset, ...state },
  };
};

type Say = (
  line: number,
  controlNumber: string | null,
  what: ManifestDifference['what'],
  place: string,
  detail: string,
) => void;

const checkItems = async (
  parts: VerificationParts,
  job: ExchangeJob,
  actor: Actor,
  items: readonly (Chained & { readonly entry: ItemLine })[],
  say: Say,
  signal: AbortSignal,
): Promise<{ readonly objects: number; readonly bytes: number }> => {
  const here = items.flatMap(({ entry }) =>
    entry.destination === null || entry.facts === null ? [] : [entry.destination],
  );
  const found = await readFacts(parts, job.destinationCaseId, job.batchId ?? 0, actor, here, 'read', signal);
  let objects = 0;
  let bytes = 0;
  for (const { line, entry } of items) {
    const { destination, facts } = entry;
    if (destination === null || facts === null) continue;
    objects += facts.objects.length;
    bytes += facts.objects.reduce((sum, one) => sum + one.size, 0);
    const now = found.get(destination.exhibitId);
    const tell = (what: ManifestDifference['what'], place: string, detail: string): void =>
      say(line, destination.controlNumber, what, place, detail);
    if (now === undefined) tell('record', 'exhibit', 'The exhibit is no longer in the case.');
    else compareFacts(facts, now, tell);
  }
  return { objects, bytes };
};

const compareFacts = (
  then: ItemFacts,
  { facts: now, faults }: FoundFacts,
  tell: (what: ManifestDifference['what'], place: string, detail: string) => void,
): void => {
  if (then.record !== now.record) tell('record', 'exhibit or document', 'The record is not what it was.');
  if (then.values !== now.values)
    tell('values', 'custom fields', 'The values of custom fields are not what they were.');
  if (then.annotations !== now.annotations)
    tell('annotations', 'document engine', 'The annotations are not what they were.');
  if (then.pages !== now.pages || then.textPages !== now.textPages) {
    tell(
      'pages',
      'pages',
      `There were ${then.pages} pages, ${then.textPages} with text; there are ${now.pages}, ${now.textPages} with text.`,
    );
  }
  const present = new Map(now.objects.map((one) => [one.key, one]));
  const faulty = new Map(faults.map((fault) => [fault.key, fault.reason]));
  for (const one of then.objects) {
    const there = present.get(one.key);
    const fault = faulty.get(one.key);
    if (there === undefined) tell('object', one.key, fault ?? 'No record names the object any more.');
    else if (there.sha256 !== one.sha256)
      tell('object', one.key, `The object has the SHA-256 ${there.sha256}, the manifest states ${one.sha256}.`);
    else if (fault !== undefined) tell('object', one.key, fault);
    present.delete(one.key);
  }
  for (const one of present.keys()) tell('object', one, 'The object came to the exhibit after the exchange.');
};
