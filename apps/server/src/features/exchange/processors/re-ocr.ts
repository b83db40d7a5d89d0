/**
 * Re-OCR: the page text of the destination, read from the PDF that arrived there.
 *
 * 1. Text is read anew where that was asked for, and where redactions were burned in: the old text holds what they hide. Everywhere else
 *    the text was copied, and the item is skipped.
 * 2. It is the text of the PDF where that is good, and recognised from a picture of the page where it is not.
 * 3. An exhibit whose PDF did not arrive is skipped. Of a redacted one, the pages then say that they have no text.
 */
import { createHash } from 'node:crypto';
import { objectKey } from '../../../platform/object-store/Port.ts';
import { readBytes } from '../../../platform/object-store/read-bytes.ts';
import type { PageTexts } from '../../../platform/ocr/Port.ts';
import type { Queryable } from '../../../database/index.ts';
import { pageTextKey } from '../../indexing/index.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import type { LedgerExhibit, Outcome } from '../ledger.ts';
import { askForRedactions } from '../source-annotations.ts';
import { readVariants, setPageTexts, type NewPageText } from '../variants.ts';
import { eachExhibit, type Processor, type RunningJob } from './process-message.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'engine' | 'config' | 'crashPoint'> & {
  readonly pageTexts: PageTexts;
};

const concurrency = 2;

/** Exhibits into whose PDF redactions were burned. */
const burnedIn = async (
  tx: Queryable,
  job: RunningJob,
  exhibitIds: readonly number[],
): Promise<ReadonlySet<number>> => {
  const { rows } = await tx.query<{ exhibit_id: string }>(
    `SELECT exhibit_id FROM exchange_item WHERE job_id = $1 AND stage = 'pre_uploader' AND exhibit_id = ANY ($2::bigint[]) AND (detail->>'redactions')::int > 0`,
    [job.jobId, exhibitIds],
  );
  return new Set(rows.map((row) => Number(row.exhibit_id)));
};

export const createReOcr =
  ({ sessions, objects, engine, config, crashPoint, pageTexts }: Parts): Processor =>
  async ({ job, exhibits, signal }) => {
    const { request } = job;
    const ids = exhibits.map(({ exhibitId }) => exhibitId);
    const { variants, burned } = await sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) => ({
        variants: await readVariants(
          tx,
          exhibits.map(({ documentId }) => documentId),
        ),
        burned: await burnedIn(tx, job, ids),
      }),
      { signal },
    );
    const read = new Map<number, readonly NewPageText[]>();
    const emptied: number[] = [];

    const isUnderRedaction =
      request.annotations.redactionsAs === 'brand_in' && !request.reOcr && request.includeText
        ? await askForRedactions({ engine, objects }, job.sourceCaseId, exhibits, signal)
        : async (): Promise<boolean> => Promise.resolve(false);
    /** Whether the old text must not be seen, or is not wanted. */
    const isReplaced = async (exhibit: LedgerExhibit): Promise<boolean> =>
      request.reOcr || burned.has(exhibit.exhibitId) || isUnderRedaction(exhibit);

    const recognise = async (exhibit: LedgerExhibit, key: string): Promise<readonly NewPageText[]> => {
      const pdf = await readBytes(objects, objectKey(key), { maxBytes: config.maxPdfBytes, signal });
      const place = { caseId: job.destinationCaseId, batchId: job.batchId, documentKey: exhibit.documentKey };
      const pages: NewPageText[] = [];
      for await (const page of pageTexts.pageTextsOf(pdf, { signal, force: request.reOcr })) {
        const bytes = Buffer.from(page.text);
        const position = page.pageIndex + 1;
        await objects.put(pageTextKey(place, position), bytes, { contentType: 'text/plain; charset=utf-8', signal });
        crashPoint('exchange.re-ocr.written');
        pages.push({
          exhibitId: exhibit.exhibitId,
          position,
          source: page.source === 'ocr' ? 'ocr' : bytes.length === 0 ? 'none' : 'document',
          size: bytes.length,
          sha256: createHash('sha256').update(bytes).digest('hex'),
        });
      }
      return pages;
    };

    const { outcomes, retry } = await eachExhibit(
      { exhibits, signal },
      concurrency,
      async (exhibit): Promise<Outcome> => {
        const { exhibitId } = exhibit;
        if (!request.includeText)
          return {
            exhibitId,
            state: 'skipped',
            code: 'text_not_included',
            reason: 'Text does not travel with this exchange.',
          };
        if (!(await isReplaced(exhibit)))
          return { exhibitId, state: 'skipped', code: 'text_copied', reason: 'The text of the source was copied.' };
        const pdf = (variants.get(exhibit.documentId) ?? []).find(({ type }) => type === 'pdf');
        if (pdf === undefined) {
          emptied.push(exhibitId);
          return {
            exhibitId,
            state: 'skipped',
            code: 'no_pdf',
            reason: 'No PDF of the exhibit arrived, so it has no text.',
          };
        }
        const pages = await recognise(exhibit, pdf.objectKey);
        read.set(exhibitId, pages);
        return {
          exhibitId,
          state: 'done',
          detail: { pages: pages.length, recognised: pages.filter(({ source }) => source === 'ocr').length },
        };
      },
    );
    await objects.flush();
    return {
      outcomes,
      retry,
      apply: async (tx, settled) => {
        const gone = emptied.filter((exhibitId) => settled.has(exhibitId));
        await setPageTexts(tx, [
          ...[...read].flatMap(([exhibitId, pages]) => (settled.has(exhibitId) ? pages : [])),
          ...(await withoutText(tx, gone)),
        ]);
      },
      events: (settled) => {
        const done = [...read].filter(([exhibitId]) => settled.has(exhibitId));
        return [
          {
            type: 'DOCUMENT_TEXT_RECOGNIZED',
            exhibitIds: done.map(([exhibitId]) => exhibitId),
            detail: { documents: done.length, pages: done.reduce((sum, [, pages]) => sum + pages.length, 0) },
          },
        ];
      },
    };
  };

/** Every page of the exhibits, without text. */
const withoutText = async (tx: Queryable, exhibitIds: readonly number[]): Promise<NewPageText[]> => {
  if (exhibitIds.length === 0) return [];
  const { rows } = await tx.query<{ root_document_id: string; pages_ordinal: number }>(
    'SELECT root_document_id, pages_ordinal FROM exhibit__pages WHERE root_document_id = ANY ($1::bigint[])',
    [exhibitIds],
  );
  return rows.map((row) => ({
    exhibitId: Number(row.root_document_id),
    position: row.pages_ordinal + 1,
    source: 'none',
    size: null,
    sha256: null,
  }));
};
