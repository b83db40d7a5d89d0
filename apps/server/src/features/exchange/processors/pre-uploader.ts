/**
 * Pre-uploader: what lies on an exhibit is burned in, layered or left out as the exchange's routing says, and the PDF that results is the one
 * that travels.
 *
 * 1. Redactions that are burned in are removed from the file and proved; a document whose proof fails ends its item, and no PDF of it
 *    travels. An annotation of a kind that is not known does the same: nothing is dropped in silence.
 * 2. A document on which nothing is burned in keeps its bytes: they are copied within the store.
 * 3. Layers are written beside the PDF, with the binaries of stickers and the comments on them.
 * 4. An exhibit whose import brought annotations that the engine does not have ends as failed: nobody knows what they hide.
 * 5. The document is read from the engine of the source, where its annotations are, and else from the object that its record names.
 */
import { hasCode, type AnnotationRouting } from '@casebound/contract';
import { formatInstantJson, kindOf, type AnnotationKind, type InstantJson, type Routing } from '@casebound/pdf';
import { objectKey, type ObjectKey } from '../../../platform/object-store/Port.ts';
import { readBytes } from '../../../platform/object-store/read-bytes.ts';
import { layersKey, producedPdfKey, variantKey, type DocumentPlace } from '../document-keys.ts';
import type { ExchangeDependencies } from '../dependencies.ts';
import type { LedgerExhibit, Outcome } from '../ledger.ts';
import { hasUnreadAnnotations, readAnnotations, sourceEngineId } from '../source-annotations.ts';
import { addVariants, readVariants, type Variant } from '../variants.ts';
import { withholdFromRedacted } from '../withhold-from-redacted.ts';
import { eachExhibit, type Processor, type RunningJob, type Stated } from './process-message.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'objects' | 'engine' | 'pdf' | 'config' | 'crashPoint'>;

/** Documents of one message at once: while one is read, another is worked on. */
const concurrency = 2;

/** Plain text that is no stamp goes the way of notes. */
export const routingOf = (annotations: AnnotationRouting): Routing => ({
  redaction: annotations.redactionsAs,
  highlight: annotations.highlightsAs,
  note: annotations.notesAs,
  sticker: annotations.stickersAs,
  text: annotations.notesAs,
  bates_stamp: annotations.batesAs,
  confidentiality_stamp: annotations.confidentialityCodesAs,
  comment: annotations.comments,
});

interface Made {
  readonly pdf: { readonly key: string; readonly size: number; readonly sha256: string };
  readonly layers: InstantJson;
  readonly redactions: number;
  readonly brandedIn: number;
  readonly omitted: number;
  /** Redactions that travel as marks. */
  readonly unapplied: number;
}

const nothing: InstantJson = { annotations: [], comments: [], attachments: new Map() };

const countKinds = (json: InstantJson): Partial<Record<AnnotationKind, number>> => {
  const counts: Partial<Record<AnnotationKind, number>> = {};
  for (const one of [...json.annotations, ...json.comments]) counts[kindOf(one)] = (counts[kindOf(one)] ?? 0) + 1;
  return counts;
};

/** 1-based positions of pages on which redactions lie. */
const redactedPages = (json: InstantJson): number[] =>
  [...new Set(json.annotations.flatMap((one) => (kindOf(one) === 'redaction' ? [one.pageIndex + 1] : [])))].toSorted(
    (a, b) => a - b,
  );

/** What stays annotations, where nothing is burned in. */
const layersOf = (json: InstantJson, routing: Routing): InstantJson => {
  const annotations = json.annotations.filter((one) => routing[kindOf(one)] === 'layer');
  const roots = new Set(annotations.map(({ id }) => id));
  const needed = new Set(annotations.flatMap((one) => (one.type === 'pspdfkit/image' ? [one.imageAttachmentId] : [])));
  return {
    annotations,
    comments: routing.comment === 'layer' ? json.comments.filter(({ rootId }) => roots.has(rootId)) : [],
    attachments: new Map([...json.attachments].filter(([id]) => needed.has(id))),
  };
};

export const createPreUploader = ({
  sessions,
  objects,
  engine,
  pdf: workers,
  config,
  crashPoint,
}: Parts): Processor => {
  const readPdf = async (
    job: RunningJob,
    exhibit: LedgerExhibit,
    variant: Variant | undefined,
    inEngine: boolean,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> => {
    if (inEngine) return engine.getPdf(sourceEngineId(job.sourceCaseId, exhibit), { signal });
    if (variant === undefined) return undefined;
    return readBytes(objects, objectKey(variant.objectKey), { maxBytes: config.maxPdfBytes, signal });
  };

  const store = async (key: ObjectKey, bytes: Uint8Array, signal: AbortSignal): Promise<Made['pdf']> => {
    const { size, sha256 } = await objects.put(key, bytes, { contentType: 'application/pdf', signal });
    return { key, size, sha256 };
  };

  /** The bytes as they are: copied within the store where the source's object has them. */
  const keepPdf = async (
    job: RunningJob,
    exhibit: LedgerExhibit,
    place: DocumentPlace,
    variant: Variant | undefined,
    inEngine: boolean,
    signal: AbortSignal,
  ): Promise<Made['pdf'] | undefined> => {
    const held = inEngine
      ? await engine.findDocument(sourceEngineId(job.sourceCaseId, exhibit), { signal })
      : undefined;
    if (variant !== undefined && (held === undefined || held.sha256 === variant.sha256)) {
      const { size, sha256 } = variant;
      const key = variantKey(place, variant);
      const copied = await objects.copy(objectKey(variant.objectKey), key, { expected: { size, sha256 }, signal });
      return { key: copied.key, size: copied.size, sha256: copied.sha256 };
    }
    const bytes = await readPdf(job, exhibit, variant, inEngine, signal);
    return bytes === undefined ? undefined : store(producedPdfKey(place), bytes, signal);
  };

  const make = async (
    job: RunningJob,
    exhibit: LedgerExhibit,
    place: DocumentPlace,
    variant: Variant | undefined,
    found: InstantJson | undefined,
    signal: AbortSignal,
  ): Promise<Made | undefined> => {
    const json = found ?? nothing;
    const routing = routingOf(job.request.annotations);
    const inEngine = found !== undefined;
    const burned = json.annotations.filter((one) => routing[kindOf(one)] === 'brand_in');
    if (burned.length === 0) {
      const pdf = await keepPdf(job, exhibit, place, variant, inEngine, signal);
      if (pdf === undefined) return undefined;
      const layers = layersOf(json, routing);
      const travelling = layers.annotations.length + layers.comments.length;
      return {
        pdf,
        layers,
        redactions: 0,
        brandedIn: 0,
        omitted: json.annotations.length + json.comments.length - travelling,
        unapplied: layers.annotations.filter((one) => kindOf(one) === 'redaction').length,
      };
    }
    const bytes = await readPdf(job, exhibit, variant, inEngine, signal);
    if (bytes === undefined) return undefined;
    const made = await workers.burnIn({ pdf: bytes, annotations: json, routing }, { signal });
    crashPoint('exchange.pre-uploader.burned');
    return {
      pdf: await store(producedPdfKey(place), made.pdf, signal),
      layers: { annotations: [...made.layerAnnotations], comments: [...made.comments], attachments: made.attachments },
      redactions: made.redactionReport.applied,
      brandedIn: made.brandedIn,
      omitted: made.omitted + made.commentsWithoutRoot.length,
      unapplied: made.unapplied,
    };
  };

  /** Layers beside the PDF; none where there are none, whatever an earlier try left. */
  const writeLayers = async (
    place: DocumentPlace,
    layers: InstantJson,
    signal: AbortSignal,
  ): Promise<string | null> => {
    const key = layersKey(place);
    if (layers.annotations.length + layers.comments.length === 0) {
      await objects.delete(key, { signal });
      return null;
    }
    const text = JSON.stringify(formatInstantJson(layers));
    await objects.put(key, Buffer.from(text), { contentType: 'application/json', signal });
    return key;
  };

  return async ({ job, exhibits, signal }) => {
    const variants = await sessions.withCase(
      job.sourceCaseId,
      job.createdBy,
      async (tx) =>
        readVariants(
          tx,
          exhibits.map(({ sourceDocumentId }) => sourceDocumentId),
        ),
      { readOnly: true, signal },
    );
    const arrived = new Map<number, Variant>();
    const missing: { exhibitId: number; key: string }[] = [];
    let withheld: readonly string[] = [];

    const { outcomes, retry } = await eachExhibit(
      { exhibits, signal },
      concurrency,
      async (exhibit): Promise<Outcome> => {
        const { exhibitId } = exhibit;
        const variant = (variants.get(exhibit.sourceDocumentId) ?? []).find(({ type }) => type === 'pdf');
        const place = { caseId: job.destinationCaseId, batchId: job.batchId, documentKey: exhibit.documentKey };
        const found = await readAnnotations(engine, job.sourceCaseId, exhibit, signal);
        if (found === undefined && (await hasUnreadAnnotations(objects, job.sourceCaseId, exhibit, signal)))
          return {
            exhibitId,
            state: 'failed',
            code: 'annotations_unread',
            reason:
              'The import brought annotations that are not in the document engine; wait until it has ended or mend what it could not read, then retry.',
          };
        let made: Made | undefined;
        try {
          made = await make(job, exhibit, place, variant, found, signal);
        } catch (error) {
          if (!hasCode(error, 'object_not_found')) throw error;
          const key = variant?.objectKey ?? 'unknown';
          missing.push({ exhibitId, key });
          return { exhibitId, state: 'failed', code: 'DOCUMENT_NOT_FOUND', reason: `The source has no object ${key}.` };
        }
        if (made === undefined)
          return { exhibitId, state: 'skipped', code: 'no_pdf', reason: 'The exhibit has no PDF.' };
        const layers = await writeLayers(place, made.layers, signal);
        crashPoint('exchange.pre-uploader.written');
        arrived.set(exhibitId, {
          documentId: exhibit.documentId,
          type: 'pdf',
          position: variant?.position ?? 1,
          objectKey: made.pdf.key,
          size: made.pdf.size,
          sha256: made.pdf.sha256,
          mimeType: 'application/pdf',
          fileName: variant?.fileName ?? null,
        });
        return {
          exhibitId,
          state: 'done',
          detail: {
            pdf: made.pdf,
            sourceSha256: variant?.sha256 ?? null,
            layersKey: layers,
            redactions: made.redactions,
            redactedPages: redactedPages(found ?? nothing),
            unapplied: made.unapplied,
            brandedIn: made.brandedIn,
            layered: made.layers.annotations.length,
            comments: made.layers.comments.length,
            omitted: made.omitted,
            found: countKinds(found ?? nothing),
          },
        };
      },
    );
    await objects.flush();
    const detailOf = new Map(outcomes.map(({ exhibitId, detail }) => [exhibitId, detail ?? {}]));
    const sum = (ids: readonly number[], member: string): number =>
      ids.reduce((total, id) => total + Number(detailOf.get(id)?.[member] ?? 0), 0);
    return {
      outcomes,
      retry,
      apply: async (tx, settled) => {
        await addVariants(
          tx,
          [...arrived].flatMap(([exhibitId, variant]) => (settled.has(exhibitId) ? [variant] : [])),
        );
        withheld = await withholdFromRedacted(tx, job, [...settled], () => true);
      },
      afterCommit: async () => {
        await objects.delete(withheld.map(objectKey));
      },
      events: (settled): readonly Stated[] => {
        const done = outcomes.flatMap(({ exhibitId, state }) =>
          state === 'done' && settled.has(exhibitId) ? [exhibitId] : [],
        );
        const lost = missing.filter(({ exhibitId }) => settled.has(exhibitId));
        return [
          {
            type: 'DOCUMENT_PRE_PROCESSED',
            exhibitIds: done,
            detail: {
              documents: done.length,
              redactionsVerified: sum(done, 'redactions'),
              annotations: {
                brandedIn: sum(done, 'brandedIn'),
                layered: sum(done, 'layered') + sum(done, 'comments'),
                omitted: sum(done, 'omitted'),
              },
            },
          },
          {
            type: 'DOCUMENT_NOT_FOUND',
            exhibitIds: lost.map(({ exhibitId }) => exhibitId),
            detail: { stage: 'pre_uploader', objectKeys: lost.map(({ key }) => key) },
          },
        ];
      },
    };
  };
};
