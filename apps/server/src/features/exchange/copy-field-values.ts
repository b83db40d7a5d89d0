/**
 * Values of custom fields, segment by segment: one read and one write of an object for a thousand exhibits.
 *
 * - The object of a part has a name of its own, so that a repeated part writes the same object; its pointers are set where there are
 *   none yet, so that a repetition does not undo what somebody changed meanwhile.
 */
import type { ExchangeDependencies } from './dependencies.ts';
import { exhibitsPerSegment, linkSegment, segmentKey, writeSegment, type Fields } from '../fields/index.ts';
import type { ExchangeJob } from './job-store.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'clock'> & { readonly fields: Fields };

export const copyFieldValues = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<void> => {
  const { sessions, objects, fields } = parts;
  const { batchId, destinationCaseId, sourceCaseId, createdBy } = job;
  if (!job.request.includeCustomFields || batchId === null) return;
  for (let after = 0; ;) {
    signal.throwIfAborted();
    const from = after;
    const { rows } = await sessions.withCase(
      destinationCaseId,
      createdBy,
      async (tx) =>
        tx.query<{ ordinal: string; exhibit_id: string; source_exhibit_id: string; action: string }>(
          `SELECT ordinal, exhibit_id, source_exhibit_id, action FROM exchange_exhibit
           WHERE job_id = $1 AND ordinal > $2 AND action IN ('inserted', 'overlaid') ORDER BY ordinal LIMIT $3`,
          [job.jobId, from, exhibitsPerSegment],
        ),
      { readOnly: true, signal },
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = Number(last.ordinal);
    const values = await fields.read(
      sourceCaseId,
      createdBy,
      rows.map((row) => Number(row.source_exhibit_id)),
      signal,
    );
    const importedAt = job.createdAt.toISOString();
    const moved = (action: string) =>
      rows.flatMap((row) => {
        const found = values.get(Number(row.source_exhibit_id));
        if (found === undefined || row.action !== action) return [];
        return [{ exhibitId: Number(row.exhibit_id), values: found.values, metadata: { importedAt, batchId } }];
      });
    for (const action of ['inserted', 'overlaid']) {
      const exhibits = moved(action);
      if (exhibits.length === 0) continue;
      const key = segmentKey(destinationCaseId, `exchange-${job.jobId}/${from}-${action}`);
      const segment = await writeSegment(objects, key, exhibits);
      await objects.flush();
      await sessions.withCase(
        destinationCaseId,
        createdBy,
        async (tx) => linkSegment(tx, segment, action === 'inserted' ? exhibits.map(() => 0) : undefined),
        { signal },
      );
    }
  }
};
