/**
 * Object copy: natives, images, text and, where nobody works on them, PDFs of exhibits, copied within the object store.
 *
 * 1. A copy is checked against the size and hash that the source's record states. What is missing or differs is an outcome of the
 *    item; the exhibit's other objects are copied all the same.
 * 2. What shows the words under a redaction does not leave the source: of an exhibit with redactions that are burned in, neither the old
 *    text nor page images travel. The native of one that is redacted, or marked as such, or that holds an attachment which is, travels only
 *    when that was asked for.
 * 3. Rows of variants are written with the end of the item, for the objects that were proved.
 */
import { hasCode } from '@casebound/contract';
import { objectKey, type Each, type Stored } from '../../../platform/object-store/Port.ts';
import { pageTextKey, type PageText, readPages } from '../../indexing/index.ts';
import { variantKey, type DocumentPlace } from '../document-keys.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import type { LedgerExhibit, Outcome } from '../ledger.ts';
import { askForRedactions, holdRedacted, markedRedacted, readAttached } from '../source-annotations.ts';
import { addVariants, readVariants, type Variant } from '../variants.ts';
import { withholdFromRedacted } from '../withhold-from-redacted.ts';
import { eachExhibit, type Processor, type RunningJob, type Stated } from './process-message.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'engine' | 'crashPoint'>;

/** Exhibits of one message at once; each copies its objects one after the other. */
const concurrency = 8;

interface Wanted {
  readonly from: string;
  readonly to: string;
  readonly kind: 'native' | 'pdf' | 'image' | 'text' | 'page';
  readonly size: number | null;
  readonly sha256: string | null;
  readonly variant?: Variant;
}

export interface CopiedObject {
  readonly key: string;
  readonly kind: Wanted['kind'];
  readonly size: number;
  readonly sha256: string;
}

const wantedObjects = (
  job: RunningJob,
  exhibit: LedgerExhibit,
  variants: readonly Variant[],
  pages: readonly PageText[],
  { isRedacted, isHidden }: { readonly isRedacted: boolean; readonly isHidden: boolean },
): { readonly wanted: Wanted[]; readonly withheld: string[] } => {
  const { request } = job;
  const to: DocumentPlace = { caseId: job.destinationCaseId, batchId: job.batchId, documentKey: exhibit.documentKey };
  const from: DocumentPlace = {
    caseId: job.sourceCaseId,
    batchId: exhibit.sourceBatchId,
    documentKey: exhibit.sourceDocumentKey,
  };
  const hides = isHidden && request.annotations.redactionsAs === 'brand_in';
  const withheld: string[] = [];
  const travels = (type: string): boolean => {
    switch (type) {
      case 'native':
        if (request.includeNatives && isRedacted && request.nativesOfRedacted === 'withhold') {
          withheld.push('native');
          return false;
        }
        return request.includeNatives;
      case 'image':
        if (request.includeImages && hides) {
          withheld.push('image');
          return false;
        }
        return request.includeImages;
      case 'text':
        return request.includeText && !request.reOcr && !hides;
      case 'pdf':
        return !job.stages.includes('pre_uploader');
      default:
        return false;
    }
  };
  const wanted = variants
    .filter(({ type }) => travels(type))
    .map((variant): Wanted => {
      const key = variantKey(to, variant);
      return {
        from: variant.objectKey,
        to: key,
        kind: variant.type as Wanted['kind'],
        size: variant.size,
        sha256: variant.sha256,
        variant: { ...variant, documentId: exhibit.documentId, objectKey: key },
      };
    });
  if (travels('text')) {
    const taken = new Set(wanted.map((one) => one.to));
    for (const { position, size, sha256 } of pages) {
      const key = pageTextKey(to, position);
      // A variant of text may be that very object.
      if (sha256 === null || taken.has(key)) continue;
      wanted.push({ from: pageTextKey(from, position), to: key, kind: 'page', size, sha256 });
    }
  }
  return { wanted, withheld: [...new Set(withheld)] };
};

/** What of an exhibit is to be copied. */
interface Plan {
  readonly isRedacted: boolean;
  readonly withheld: readonly string[];
  readonly wanted: readonly Wanted[];
}

/** Copies what all plans want, and answers by what was wanted. */
const copyPlanned = async (
  objects: ExchangeDependencies['objects'],
  plans: readonly Plan[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Wanted, Each<Stored>>> => {
  const wanted = plans.flatMap((plan) => plan.wanted);
  const answers = await objects.copyAll(
    wanted.map(({ from, to, size, sha256 }) => ({
      source: objectKey(from),
      destination: objectKey(to),
      expected: { ...(size === null ? {} : { size }), ...(sha256 === null ? {} : { sha256 }) },
    })),
    { ifAbsent: true, signal },
  );
  return new Map(wanted.flatMap((one, at) => (answers[at] === undefined ? [] : [[one, answers[at]] as const])));
};

export const createObjectCopy =
  ({ sessions, objects, engine, crashPoint }: Parts): Processor =>
  async ({ job, exhibits, signal }) => {
    const documentIds = exhibits.map(({ sourceDocumentId }) => sourceDocumentId);
    const sourceIds = exhibits.map(({ sourceExhibitId }) => sourceExhibitId);
    const withholds = job.request.includeNatives && job.request.nativesOfRedacted === 'withhold';
    const { variants, pages, marked, attached } = await sessions.withCase(
      job.sourceCaseId,
      job.createdBy,
      async (tx) => ({
        variants: await readVariants(tx, documentIds),
        pages: await readPages(tx, sourceIds),
        marked: await markedRedacted(tx, sourceIds),
        attached: withholds ? await readAttached(tx, sourceIds) : [],
      }),
      { readOnly: true, signal },
    );
    const { annotations, includeNatives, nativesOfRedacted } = job.request;
    /** What is redacted travels as anything else does when neither is so. */
    const asksForRedactions =
      annotations.redactionsAs === 'brand_in' || (includeNatives && nativesOfRedacted === 'withhold');
    const holding = await holdRedacted({ engine, objects }, job.sourceCaseId, attached, signal);
    const isUnderRedaction = asksForRedactions
      ? await askForRedactions({ engine, objects }, job.sourceCaseId, exhibits, signal)
      : async (): Promise<boolean> => Promise.resolve(false);
    const arrived: Variant[] = [];
    let withheldLater: readonly string[] = [];
    const missing: { exhibitId: number; key: string }[] = [];

    const plans = new Map<number, Plan>();
    const planned = await eachExhibit({ exhibits, signal }, concurrency, async (exhibit): Promise<Outcome> => {
      const { exhibitId, sourceExhibitId } = exhibit;
      const isHidden = await isUnderRedaction(exhibit);
      const isRedacted = isHidden || marked.has(sourceExhibitId) || holding.has(sourceExhibitId);
      const { wanted, withheld } = wantedObjects(
        job,
        exhibit,
        variants.get(exhibit.sourceDocumentId) ?? [],
        pages.get(sourceExhibitId) ?? [],
        { isRedacted, isHidden },
      );
      plans.set(exhibitId, { isRedacted, withheld, wanted });
      return { exhibitId, state: 'done' };
    });
    const copies = await copyPlanned(objects, [...plans.values()], signal);
    crashPoint('exchange.object-copy.copied');

    const copyOf = (exhibitId: number, { isRedacted, withheld, wanted }: Plan): Outcome => {
      const copied: CopiedObject[] = [];
      const faults: { code: string; key: string }[] = [];
      const brought: Variant[] = [];
      for (const one of wanted) {
        const answer = copies.get(one);
        if (answer?.ok === true) {
          const { key, size, sha256 } = answer.value;
          copied.push({ key, kind: one.kind, size, sha256 });
          if (one.variant !== undefined) brought.push(one.variant);
        } else if (hasCode(answer?.error, 'object_not_found'))
          faults.push({ code: 'DOCUMENT_NOT_FOUND', key: one.from });
        else if (hasCode(answer?.error, 'object_corrupt') || hasCode(answer?.error, 'object_exists'))
          faults.push({ code: 'object_corrupt', key: one.from });
        else throw answer?.error;
      }
      arrived.push(...brought);
      const detail = { objects: copied, withheld, redacted: isRedacted, ...(faults.length === 0 ? {} : { faults }) };
      const [fault] = faults;
      if (fault === undefined) return { exhibitId, state: 'done', detail };
      for (const { code, key } of faults) if (code === 'DOCUMENT_NOT_FOUND') missing.push({ exhibitId, key });
      return {
        exhibitId,
        state: 'failed',
        code: fault.code,
        reason:
          fault.code === 'DOCUMENT_NOT_FOUND'
            ? `The source has no object ${fault.key}.`
            : `The object ${fault.key} does not have the size and hash that its record states.`,
        detail,
      };
    };
    const copied = await eachExhibit({ exhibits, signal }, 1, async ({ exhibitId }): Promise<Outcome | undefined> => {
      const plan = plans.get(exhibitId);
      return Promise.resolve(plan === undefined ? undefined : copyOf(exhibitId, plan));
    });
    const outcomes = [...planned.outcomes.filter(({ state }) => state !== 'done'), ...copied.outcomes];
    const retry = [...planned.retry, ...copied.retry];
    await objects.flush();

    const ended = new Map(outcomes.map((outcome) => [outcome.exhibitId, outcome]));
    const copiedOf = (exhibitId: number): readonly CopiedObject[] =>
      (ended.get(exhibitId)?.detail?.['objects'] as readonly CopiedObject[] | undefined) ?? [];
    return {
      outcomes,
      retry,
      apply: async (tx, settled) => {
        const documents = new Set(
          exhibits.filter(({ exhibitId }) => settled.has(exhibitId)).map(({ documentId }) => documentId),
        );
        await addVariants(
          tx,
          arrived.filter(({ documentId }) => documents.has(documentId)),
        );
        // Where nobody burns anything in, there is nothing to take back.
        if (job.stages.includes('pre_uploader'))
          withheldLater = await withholdFromRedacted(tx, job, [...settled], (exhibitId) =>
            copiedOf(exhibitId).some(({ kind }) => kind === 'page' || kind === 'text'),
          );
      },
      afterCommit: async () => {
        await objects.delete(withheldLater.map(objectKey));
      },
      events: (settled): readonly Stated[] => {
        const sum = (ids: readonly number[], isNative: boolean): CopiedObject[] =>
          ids.flatMap((id) => copiedOf(id).filter(({ kind }) => (kind === 'native') === isNative));
        const done = [...settled].filter((id) => ended.get(id)?.state === 'done');
        const withNative = done.filter((id) => copiedOf(id).some(({ kind }) => kind === 'native'));
        const natives = sum(withNative, true);
        const others = sum(done, false);
        const bytes = (list: readonly CopiedObject[]): number => list.reduce((total, { size }) => total + size, 0);
        const lost = missing.filter(({ exhibitId }) => settled.has(exhibitId));
        return [
          {
            type: 'DOCUMENT_COPIED',
            exhibitIds: done,
            detail: { documents: done.length, objects: others.length, bytes: bytes(others) },
          },
          {
            type: 'NATIVE_DOCUMENT_COPIED',
            exhibitIds: withNative,
            detail: { documents: withNative.length, bytes: bytes(natives) },
          },
          {
            type: 'DOCUMENT_NOT_FOUND',
            exhibitIds: [...new Set(lost.map(({ exhibitId }) => exhibitId))],
            detail: { stage: 'object_copy', objectKeys: lost.map(({ key }) => key) },
          },
        ];
      },
    };
  };
