/**
 * Applies redactions in the engine and leaves nothing behind them.
 *
 * 1. The engine keeps what was uploaded in an immutable base layer, whatever is redacted above it. So redaction happens on a work layer,
 *    its output is read, proved by an independent reading, and uploaded in the place of the document: the base layer is the
 *    redacted PDF then, and all layers of the old one are gone with it.
 * 2. Until the proof stands, nothing has changed but the work layer.
 * 3. What stays on the document is first put on a second document with the redacted PDF. It is complete before the first is replaced,
 *    and deleted when the first has everything again: killed anywhere, the next call finishes from it.
 */
import { createHash } from 'node:crypto';
import { type Redaction, requireVerified, toRedaction } from '@casebound/pdf';
import { listUnderRedactions } from '../../list-under-redactions.ts';
import type { AppliedRedactions, EngineDocumentId } from '../../Port.ts';
import { readAnnotation } from './annotation-records.ts';
import { parseShapes } from '../../check-annotations.ts';
import { binariesOfRecords, readPlace, type RecordsOfPlace, writePlace } from './copy-records.ts';
import { pathOf, type Place } from './engine-records.ts';
import type { EngineWork } from './engine-work.ts';
import type { EngineClient, Signal } from './engine-client.ts';
import { finishRemoval } from './remove-comments.ts';

/** A layer for one piece of work at a time; made by its first record, deleted before and after. */
export const workLayer = 'casebound-work';

/** The second document of a redaction under way. Of no case's names, so it is in no listing. */
export const standInOf = (id: EngineDocumentId): string => `redacted_${id}`;

/**
 * Finishes a replacement that was interrupted, and says whether there was one. One that was never begun is left, or dropped with `drop`.
 * To be called by one at a time for one document.
 */
export const finishReplacement = async (
  work: EngineWork,
  id: EngineDocumentId,
  signal: Signal,
  drop = false,
): Promise<boolean> => {
  const standIn = standInOf(id);
  const redacted = await work.documents.properties(standIn, signal);
  if (redacted === undefined) return false;
  const present = await work.documents.properties(id, signal);
  if (present === undefined || present.sha256 === redacted.sha256) {
    await replace(work, id, signal);
    return true;
  }
  if (drop) await work.documents.delete(standIn, signal);
  return false;
};

/** For reading all that is on a document: in the midst of a replacement it would be less. */
export const awaitReplacement = async (work: EngineWork, id: EngineDocumentId, signal: Signal): Promise<void> => {
  if ((await work.documents.properties(standInOf(id), signal)) === undefined) return;
  await work.exclusively(id, async () => finishReplacement(work, id, signal));
};

/** Puts what the second document has in the place of the first. */
const replace = async (work: EngineWork, id: EngineDocumentId, signal: Signal): Promise<void> => {
  const standIn = standInOf(id);
  const pdf = await work.documents.download({ document: standIn }, '?source=true', signal);
  const sha256 = createHash('sha256').update(pdf).digest('hex');
  if ((await work.documents.properties(id, signal))?.sha256 !== sha256) await work.documents.overwrite(id, pdf, signal);
  const staying = await readPlace(work, { document: standIn }, signal);
  const binaries = await binariesOfRecords(work, standIn, staying.annotations, signal);
  await writePlace(work, staying, binaries, { document: id }, signal);
  await work.documents.delete(standIn, signal);
};

const aborting = (signal: Signal): { signal?: AbortSignal } => (signal === undefined ? {} : { signal });

/** The redacted PDF, proved. */
const redact = async (
  work: EngineWork,
  client: EngineClient,
  id: EngineDocumentId,
  marks: RecordsOfPlace,
  redactions: readonly Redaction[],
  signal: Signal,
): Promise<Uint8Array> => {
  const place: Place = { document: id, layer: workLayer };
  await work.documents.deleteLayer(place, signal);
  try {
    await writePlace(work, marks, new Map(), place, signal);
    await client.done({
      method: 'POST',
      path: `${pathOf(place)}/redact`,
      // A second time there are no marks left, so nothing is redacted and nothing is lost.
      signal,
      doing: 'apply redactions',
      missing: 'engine_document_not_found',
    });
    const output = await work.documents.download(place, '?annotations=true&comments=true', signal);
    const original = await work.documents.download({ document: id }, '?source=true', signal);
    // Workers keep what they are given, and the output is still to be sent.
    requireVerified(await work.workers.verify({ pdf: new Uint8Array(output), original, redactions }, aborting(signal)));
    return output;
  } finally {
    await work.documents.deleteLayer(place, undefined).catch(() => undefined);
  }
};

/** To be called by one at a time for one document. */
export const applyRedactions = async (
  work: EngineWork,
  client: EngineClient,
  id: EngineDocumentId,
  signal: Signal,
): Promise<AppliedRedactions> => {
  await finishReplacement(work, id, signal, true);
  await work.documents.require(id, signal);
  await finishRemoval(work, id, signal);
  const all = await readPlace(work, { document: id }, signal);
  const { annotations } = parseShapes(all.annotations.map(readAnnotation));
  const redactions = annotations.flatMap((one) => (one.type === 'pspdfkit/markup/redaction' ? [toRedaction(one)] : []));
  const marked = new Set(redactions.map((one) => one.id));
  const removed = listUnderRedactions(annotations, redactions);
  if (redactions.length > 0) {
    const gone = new Set([...marked, ...removed]);
    const marks: RecordsOfPlace = {
      annotations: all.annotations.filter((record) => marked.has(record.id)),
      comments: new Map(),
    };
    const staying: RecordsOfPlace = {
      annotations: all.annotations.filter((record) => !gone.has(record.id)),
      comments: new Map([...all.comments].filter(([root]) => !gone.has(root))),
    };
    const output = await redact(work, client, id, marks, redactions, signal);
    const standIn = standInOf(id);
    await work.documents.overwrite(standIn, output, signal);
    const binaries = await binariesOfRecords(work, id, staying.annotations, signal);
    await writePlace(work, staying, binaries, { document: standIn }, signal);
    await replace(work, id, signal);
  }
  const { sha256, size } = await work.documents.require(id, signal);
  return {
    id,
    sha256,
    size,
    pageCount: (await work.pages.sizes(id, signal)).length,
    applied: redactions.length,
    removedAnnotations: removed,
  };
};
