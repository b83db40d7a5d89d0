/**
 * Copies annotations, comments and binaries from one place to another, as they are. What is there already is left, so a copy that was
 * interrupted is finished by making it again.
 *
 * Only ever between places of one case, and never together with a PDF: see `apply-redactions.ts` and `remove-comments.ts`.
 */
import type { Attachment } from '@casebound/pdf';
import { copyOfComment, type RawRecord } from './annotation-records.ts';
import type { Signal } from './engine-client.ts';
import type { Place, RecordToWrite } from './engine-records.ts';
import type { EngineWork } from './engine-work.ts';

export interface RecordsOfPlace {
  readonly annotations: readonly RawRecord[];
  /** By root. */
  readonly comments: ReadonlyMap<string, readonly RawRecord[]>;
}

export const readPlace = async (work: EngineWork, place: Place, signal: Signal): Promise<RecordsOfPlace> => {
  const annotations = await work.records.list(place, signal);
  if (annotations.length === 0) return { annotations, comments: new Map() };
  const own = new Set(annotations.map(({ id }) => id));
  const roots = (await work.records.commented(place, signal)).filter((id) => own.has(id));
  const threads = await work.each(
    roots,
    async (root) => [root, await work.records.comments(place, root, signal)] as const,
  );
  return { annotations, comments: new Map(threads) };
};

const toWrite = ({ id, content, createdBy }: RawRecord): RecordToWrite => ({ id, content, by: createdBy ?? 'system' });

const commentToWrite = (record: RawRecord): RecordToWrite => ({
  ...toWrite(record),
  content: copyOfComment(record),
});

export const writePlace = async (
  work: EngineWork,
  { annotations, comments }: RecordsOfPlace,
  binaries: ReadonlyMap<string, Attachment>,
  place: Place,
  signal: Signal,
): Promise<void> => {
  const present = new Set((await work.records.list(place, signal)).map(({ id }) => id));
  await work.records.create(place, annotations.filter(({ id }) => !present.has(id)).map(toWrite), binaries, signal);
  for (const [root, thread] of comments) {
    const there = new Set(
      present.has(root) ? (await work.records.comments(place, root, signal)).map(({ id }) => id) : [],
    );
    const missing = thread.filter(({ id }) => !there.has(id));
    if (missing.length > 0) await work.records.comment(place, root, missing.map(commentToWrite), signal);
  }
};

/** Binaries that records show, from the document that has them. */
export const binariesOfRecords = async (
  work: EngineWork,
  document: string,
  records: readonly RawRecord[],
  signal: Signal,
): Promise<ReadonlyMap<string, Attachment>> => {
  const found = new Map<string, Attachment>();
  for (const { content } of records) {
    const id = content['imageAttachmentId'];
    if (typeof id !== 'string' || found.has(id)) continue;
    const attachment = await work.attachments.find(document, id, signal);
    if (attachment !== undefined) found.set(id, attachment);
  }
  return found;
};
