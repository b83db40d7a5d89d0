/**
 * Removes comments.
 *
 * The engine's API deletes comments only with the annotation that they are on. So the annotation is deleted and made again with those that
 * stay. Before that, both are written to a journal layer; whatever the process is killed between, the next call that writes comments or
 * reads them all finds the journal and finishes from it.
 */
import type { RawRecord } from './annotation-records.ts';
import { binariesOfRecords, readPlace, type RecordsOfPlace, writePlace } from './copy-records.ts';
import type { Signal } from './engine-client.ts';
import type { Place } from './engine-records.ts';
import type { EngineWork } from './engine-work.ts';

const journalLayer = 'casebound-journal';

const journalOf = (document: string): Place => ({ document, layer: journalLayer });

const restore = async (work: EngineWork, document: string, journal: RecordsOfPlace, signal: Signal): Promise<void> => {
  const binaries = await binariesOfRecords(work, document, journal.annotations, signal);
  await writePlace(work, journal, binaries, { document }, signal);
  await work.documents.deleteLayer(journalOf(document), signal);
};

/** Finishes what an interrupted removal left. To be called by one at a time for one document. */
export const finishRemoval = async (work: EngineWork, document: string, signal: Signal): Promise<void> => {
  if (!(await work.documents.layers(document, signal)).includes(journalLayer)) return;
  const journal = await readPlace(work, journalOf(document), signal);
  await restore(work, document, journal, signal);
};

/** To be called by one at a time for one document. Ids that are not there are success. */
export const removeComments = async (
  work: EngineWork,
  document: string,
  ids: readonly string[],
  signal: Signal,
): Promise<void> => {
  await finishRemoval(work, document, signal);
  const place: Place = { document };
  const { annotations, comments } = await readPlace(work, place, signal);
  const gone = new Set(ids);
  const threads = [...comments].filter(([, thread]) => thread.some(({ id }) => gone.has(id)));
  const roots = new Set(threads.map(([root]) => root));
  if (roots.size === 0) return;
  const journal: RecordsOfPlace = {
    annotations: annotations.filter(({ id }) => roots.has(id)),
    comments: new Map(
      threads.flatMap(([root, thread]): [string, RawRecord[]][] => {
        const staying = thread.filter(({ id }) => !gone.has(id));
        return staying.length === 0 ? [] : [[root, staying]];
      }),
    ),
  };
  const binaries = await binariesOfRecords(work, document, journal.annotations, signal);
  await writePlace(work, journal, binaries, journalOf(document), signal);
  await work.records.remove(place, [...roots], signal);
  await restore(work, document, journal, signal);
};
