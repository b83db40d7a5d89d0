/**
 * The built-in document engine: PDFium in worker threads, PDFs in the object store, everything on them in tables of the case.
 *
 * - A change of annotations holds the document's row for sharing, a change of the document for itself: neither sees half of the other.
 * - Annotations are locked in the order of their ids, so two changes of the same ones wait for each other and never in a circle.
 */
import { type Actor, CaseboundError, type CaseId } from '@casebound/contract';
import { attachmentId, type InstantJson, type PageAnnotation } from '@casebound/pdf';
import { checkPlaces, parseShapes, unknownRoot } from '../../check-annotations.ts';
import {
  type AnnotationChange,
  type DocumentEngine,
  type EngineCall,
  type EngineDocumentId,
  parseDocumentId,
  type StoredAnnotation,
} from '../../Port.ts';
import { refuseStamps } from '../../read-only-stamps.ts';
import * as rows from './annotation-rows.ts';
import { applyRedactions } from './apply-redactions.ts';
import type { BuiltinDependencies, CaseQueries } from './dependencies.ts';
import * as documents from './document-rows.ts';
import { readPdf, sweepLoose } from './pdf-objects.ts';
import { putDocument } from './put-document.ts';
import { putStored } from './put-stored.ts';

const system: Actor = { kind: 'system', reason: 'document engine' };

const idOf = (actor: Actor): string => (actor.kind === 'account' ? actor.accountId : 'system');

const notFound = (id: string): CaseboundError =>
  new CaseboundError('annotation_not_found', `The document has no annotation with the id \`${id}\`.`);

const conflict = (id: string): CaseboundError =>
  new CaseboundError('annotation_conflict', `The annotation \`${id}\` has another version by now.`);

/** A page that says nothing, to see whether the workers work. */
const probePdf = (): Uint8Array =>
  Uint8Array.from(
    Buffer.from(
      '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n',
      'latin1',
    ),
  );

const readJson = async (tx: CaseQueries, rowId: string): Promise<InstantJson> => ({
  annotations: (await rows.listAnnotations(tx, rowId)).map(({ value }) => value),
  comments: (await rows.listComments(tx, rowId)).map(({ value }) => value),
  attachments: await rows.findAttachments(tx, rowId),
});

const MAX_ATTACHMENT_BYTES = 64 * 1024 * 1024;

export const openBuiltinDocumentEngine = (dependencies: BuiltinDependencies): DocumentEngine => {
  const { cases, workers } = dependencies;
  let closed = false;

  const enter = ({ signal }: EngineCall): void => {
    if (closed) throw new CaseboundError('document_engine_unavailable', 'The document engine is closed.');
    signal?.throwIfAborted();
  };
  const actorOf = ({ actor }: EngineCall): Actor => actor ?? system;
  const waiting = ({ signal }: EngineCall): { readonly signal?: AbortSignal } =>
    signal === undefined ? {} : { signal };

  const read = async <T>(caseId: CaseId, call: EngineCall, fn: (tx: CaseQueries) => Promise<T>): Promise<T> => {
    enter(call);
    return cases.withCase(caseId, actorOf(call), fn, { readOnly: true, ...waiting(call) });
  };
  /** Reads what is on a document. */
  const look = async <T>(
    id: EngineDocumentId,
    call: EngineCall,
    fn: (tx: CaseQueries, rowId: string, row: documents.DocumentRow) => Promise<T>,
  ): Promise<T> =>
    read(parseDocumentId(id).caseId, call, async (tx) => {
      const row = await documents.requireDocument(tx, id);
      return fn(tx, row.rowId, row);
    });
  /** Changes what is on a document. */
  const change = async <T>(
    id: EngineDocumentId,
    call: EngineCall,
    fn: (tx: CaseQueries, row: documents.DocumentRow, by: string) => Promise<T>,
  ): Promise<T> => {
    enter(call);
    const actor = actorOf(call);
    return cases.withCase(
      parseDocumentId(id).caseId,
      actor,
      async (tx) => fn(tx, await documents.requireDocument(tx, id, 'share'), idOf(actor)),
      waiting(call),
    );
  };
  const pdfOf = async (id: EngineDocumentId, call: EngineCall): Promise<Uint8Array> => {
    enter(call);
    const { pdf } = await readPdf(dependencies, actorOf(call), id, call.signal);
    return pdf;
  };

  /** The PDF and what is on it as they belong together: when the PDF is replaced between the two, both are read again. */
  const pdfWith = async <T extends object>(
    id: EngineDocumentId,
    call: EngineCall,
    fn: (tx: CaseQueries, rowId: string) => Promise<T>,
  ): Promise<{ readonly pdf: Uint8Array; readonly on: T }> => {
    for (;;) {
      enter(call);
      const { row, pdf } = await readPdf(dependencies, actorOf(call), id, call.signal);
      const on = await look(id, call, async (tx, rowId, present) =>
        present.key === row.key ? fn(tx, rowId) : undefined,
      );
      if (on !== undefined) return { pdf, on };
    }
  };

  /** The annotations under lock, each with its version as stated. */
  const lockAnnotations = async (
    tx: CaseQueries,
    rowId: string,
    stated: readonly { readonly id: string; readonly version?: string }[],
  ): Promise<ReadonlyMap<string, StoredAnnotation>> => {
    const found = await rows.findAnnotations(
      tx,
      rowId,
      stated.map(({ id }) => id),
      'update',
    );
    for (const { id, version } of stated) {
      const present = found.get(id);
      if (present !== undefined && version !== undefined && present.version !== version) throw conflict(id);
    }
    return found;
  };

  const checkChanges = (
    changes: readonly AnnotationChange[],
    found: ReadonlyMap<string, StoredAnnotation>,
  ): readonly PageAnnotation[] =>
    changes.map(({ value }) => {
      const present = found.get(value.id);
      if (present === undefined) throw notFound(value.id);
      if (present.value.type !== value.type)
        throw new CaseboundError('annotation_invalid', `The type of the annotation \`${value.id}\` cannot change.`);
      return present.value;
    });

  return {
    kind: 'builtin',

    putDocument: async (id, pdf, options = {}) => {
      enter(options);
      const actor = actorOf(options);
      return putDocument(dependencies, {
        id,
        pdf,
        replace: options.replace === true,
        actor,
        by: idOf(actor),
        signal: options.signal,
      });
    },

    putStored: async (pdfs, options = {}) => {
      enter(options);
      const actor = actorOf(options);
      return putStored(dependencies, pdfs, { actor, by: idOf(actor), signal: options.signal });
    },

    surveyDocuments: async (ids, options = {}) => {
      const [first] = ids;
      if (first === undefined) return new Map();
      return read(parseDocumentId(first).caseId, options, async (tx) => {
        const found = await documents.findDocuments(tx, ids);
        const on = await documents.countOnDocuments(
          tx,
          [...found.values()].map(({ rowId }) => rowId),
        );
        const empty = { annotations: {}, comments: 0 };
        return new Map(
          [...found].map(([id, row]) => [id, { ...documents.describeRow(row), ...(on.get(row.rowId) ?? empty) }]),
        );
      });
    },

    findDocument: async (id, options = {}) =>
      read(parseDocumentId(id).caseId, options, async (tx) => {
        const row = await documents.findDocument(tx, id);
        return row === undefined ? undefined : documents.describeRow(row);
      }),

    listDocuments: async function* (caseId, options = {}) {
      let after = '0';
      for (;;) {
        const page = await read(caseId, options, async (tx) => documents.listDocuments(tx, caseId, after));
        if (page.ids.length === 0) return;
        yield page.ids;
        after = page.last;
      }
    },

    getPdf: async (id, options = {}) => {
      const { annotations = 'none' } = options;
      if (annotations === 'none') return pdfOf(id, options);
      const { pdf, on } = await pdfWith(id, options, readJson);
      return annotations === 'layer'
        ? workers.layer({ pdf, annotations: on }, waiting(options))
        : workers.flatten({ pdf, annotations: on }, waiting(options));
    },

    pageSizes: async (id, options = {}) => look(id, options, async (_tx, _rowId, row) => Promise.resolve(row.pages)),

    pageText: async (id, pageIndex, options = {}) => {
      const [page] = await workers.text({ pdf: await pdfOf(id, options), pages: [pageIndex] }, waiting(options));
      if (page === undefined) throw new CaseboundError('internal', 'The text of a page is missing.');
      return page;
    },

    renderPage: async (id, pageIndex, options = {}) => {
      const drawn = options.annotations !== false;
      const { pdf, on } = await pdfWith(id, options, async (tx, rowId) => {
        const stored = drawn ? await rows.listAnnotations(tx, rowId, pageIndex) : [];
        const annotations = stored.map(({ value }) => value);
        const stickers = annotations.flatMap((one) => (one.type === 'pspdfkit/image' ? [one.imageAttachmentId] : []));
        return { annotations, comments: [], attachments: await rows.findAttachments(tx, rowId, stickers) };
      });
      const [page] = await workers.render(
        {
          pdf,
          pages: [pageIndex],
          ...(options.dpi === undefined ? {} : { dpi: options.dpi }),
          ...(drawn ? { layer: on } : {}),
        },
        waiting(options),
      );
      if (page === undefined) throw new CaseboundError('internal', 'The picture of a page is missing.');
      return page.png;
    },

    searchText: async (id, query, options = {}) =>
      workers.search({ pdf: await pdfOf(id, options), query }, waiting(options)),

    listAnnotations: async (id, options = {}) =>
      look(id, options, async (tx, rowId) => rows.listAnnotations(tx, rowId, options.pageIndex)),

    getAnnotation: async (id, annotationId, options = {}) =>
      look(id, options, async (tx, rowId) => {
        const found = (await rows.findAnnotations(tx, rowId, [annotationId])).get(annotationId);
        if (found === undefined) throw notFound(annotationId);
        return found;
      }),

    createAnnotations: async (id, annotations, options = {}) => {
      const { annotations: parsed } = parseShapes(annotations);
      return change(id, options, async (tx, row, by) => {
        checkPlaces(parsed, row.pages);
        await rows.requireAttachments(tx, row.rowId, parsed);
        return rows.insertAnnotations(tx, row.rowId, parsed, by);
      });
    },

    updateAnnotations: async (id, changes, options = {}) => {
      const { annotations: parsed } = parseShapes(changes.map(({ value }) => value));
      const stated = changes.map(({ value, version }) => ({ id: value.id, version }));
      return change(id, options, async (tx, row, by) => {
        const found = await lockAnnotations(tx, row.rowId, stated);
        refuseStamps([...checkChanges(changes, found), ...parsed], options);
        checkPlaces(parsed, row.pages);
        await rows.requireAttachments(tx, row.rowId, parsed);
        await rows.updateAnnotations(
          tx,
          row.rowId,
          parsed.map((value, at) => ({ value, version: stated[at]?.version ?? '' })),
          by,
        );
        const now = await rows.findAnnotations(
          tx,
          row.rowId,
          stated.map((one) => one.id),
        );
        return stated.flatMap((one) => now.get(one.id) ?? []);
      });
    },

    deleteAnnotations: async (id, removals, options = {}) =>
      change(id, options, async (tx, row) => {
        const found = await lockAnnotations(tx, row.rowId, removals);
        refuseStamps(
          [...found.values()].map(({ value }) => value),
          options,
        );
        await rows.deleteAnnotations(tx, row.rowId, removals);
      }),

    listComments: async (id, options = {}) =>
      look(id, options, async (tx, rowId) => rows.listComments(tx, rowId, options.rootId)),

    addComments: async (id, comments, options = {}) =>
      change(id, options, async (tx, row, by) => {
        const roots = await rows.findAnnotations(tx, row.rowId, [...new Set(comments.map(({ rootId }) => rootId))]);
        for (const comment of comments) if (!roots.has(comment.rootId)) throw unknownRoot(comment);
        const parsed = parseShapes(
          [],
          comments,
          [...roots.values()].map(({ value }) => value),
        );
        return rows.insertComments(tx, row.rowId, parsed.comments, by);
      }),

    deleteComments: async (id, commentIds, options = {}) =>
      change(id, options, async (tx, row) => rows.deleteComments(tx, row.rowId, commentIds)),

    putAttachment: async (id, attachment, options = {}) => {
      if (attachment.bytes.byteLength > MAX_ATTACHMENT_BYTES)
        throw new CaseboundError(
          'annotation_invalid',
          `The attachment has ${attachment.bytes.byteLength} bytes; the limit is ${MAX_ATTACHMENT_BYTES}.`,
        );
      const hash = attachmentId(attachment.bytes);
      await change(id, options, async (tx, row) => rows.putAttachments(tx, row.rowId, new Map([[hash, attachment]])));
      return hash;
    },

    getAttachment: async (id, wanted, options = {}) =>
      look(id, options, async (tx, rowId) => {
        const found = (await rows.findAttachments(tx, rowId, [wanted])).get(wanted);
        if (found === undefined)
          throw new CaseboundError('attachment_missing', `The document has no attachment \`${wanted}\`.`);
        return found;
      }),

    applyRedactions: async (id, options = {}) => {
      enter(options);
      const actor = actorOf(options);
      return applyRedactions(dependencies, id, { actor, by: idOf(actor), signal: options.signal });
    },

    exportInstantJson: async (id, options = {}) => look(id, options, readJson),

    importInstantJson: async (id, json, options = {}) => {
      const parsed = parseShapes(json.annotations, json.comments);
      return change(id, options, async (tx, row, by) => {
        if (options.replace === true) await rows.deleteAllAnnotations(tx, row.rowId);
        checkPlaces(parsed.annotations, row.pages);
        await rows.putAttachments(tx, row.rowId, json.attachments);
        await rows.requireAttachments(tx, row.rowId, parsed.annotations);
        const annotations = await rows.insertAnnotations(tx, row.rowId, parsed.annotations, by);
        const comments = await rows.insertComments(tx, row.rowId, parsed.comments, by);
        return { annotations: annotations.length, comments: comments.length };
      });
    },

    deleteDocument: async (id, options = {}) => {
      enter(options);
      const { caseId } = parseDocumentId(id);
      const actor = actorOf(options);
      await cases.withCase(
        caseId,
        actor,
        async (tx) => {
          const row = await documents.findDocument(tx, id, 'update');
          if (row !== undefined) await documents.deleteDocuments(tx, [row]);
        },
        waiting(options),
      );
      await sweepLoose(dependencies, actor, caseId);
    },

    probe: async (options = {}) => {
      enter(options);
      const started = performance.now();
      await workers.pageInfo({ pdf: probePdf() }, waiting(options));
      return {
        address: 'worker threads of this process',
        version: undefined,
        milliseconds: performance.now() - started,
      };
    },

    close: async () => {
      closed = true;
      await Promise.resolve();
    },
  };
};
