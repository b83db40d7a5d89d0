/** The tasks themselves, within a worker thread. */
import { CaseboundError } from '@casebound/contract';
import {
  addAnnotations,
  burnIn,
  extractPage,
  mergeImages,
  openDocument,
  openEdit,
  type OpenOptions,
  type PdfEngine,
  produceDocument,
  readAnnotations,
  readInfo,
  readPageSizes,
  readPageText,
  renderPage,
  searchText,
  applyRedactions,
  requireVerified,
  verifyRedactions,
} from '@casebound/pdf';
import type { PdfTaskName, PdfTasks, RenderedPage } from './pdf-tasks.ts';

type Handlers = {
  readonly [Name in PdfTaskName]: (
    engine: PdfEngine,
    input: PdfTasks[Name]['input'],
  ) => PdfTasks[Name]['output'] | Promise<PdfTasks[Name]['output']>;
};

const openingOf = ({ password }: { readonly password?: string }): OpenOptions =>
  password === undefined ? {} : { password };

/** Everything to the layer, nothing to the page. */
const allLayered = {
  redaction: 'layer',
  bates_stamp: 'layer',
  confidentiality_stamp: 'layer',
} as const;

const allDrawn = {
  redaction: 'omit',
  highlight: 'brand_in',
  note: 'brand_in',
  sticker: 'brand_in',
  text: 'brand_in',
  comment: 'omit',
} as const;

const render: Handlers['render'] = (engine, input) => {
  using document = openDocument(engine, input.pdf, openingOf(input));
  const options = {
    ...(input.dpi === undefined ? {} : { dpi: input.dpi }),
    ...(input.annotations === undefined ? {} : { annotations: input.annotations }),
  };
  return input.pages.map((pageIndex): RenderedPage => {
    const own = input.layer?.annotations.filter((annotation) => annotation.pageIndex === pageIndex) ?? [];
    if (input.layer === undefined || own.length === 0) {
      const png = renderPage(document, pageIndex, options);
      document.releasePage(pageIndex);
      return { pageIndex, png };
    }
    // Editing the whole document to show one page of it would cost as much as the document is large.
    using edit = openEdit(engine, extractPage(document, pageIndex));
    addAnnotations(edit, {
      annotations: own.map((annotation) => ({ ...annotation, pageIndex: 0 })),
      comments: [],
      attachments: input.layer.attachments,
    });
    using page = openDocument(engine, edit.write());
    document.releasePage(pageIndex);
    return { pageIndex, png: renderPage(page, 0, { ...options, annotations: true }) };
  });
};

const handlers: Handlers = {
  pageInfo: (engine, input) => {
    using document = openDocument(engine, input.pdf, openingOf(input));
    return readInfo(document);
  },
  pageSizes: (engine, { pdf, ends }) =>
    ends.map((end, at) => {
      try {
        using document = openDocument(engine, pdf.subarray(ends[at - 1] ?? 0, end));
        return { pages: readPageSizes(document) };
      } catch (error) {
        if (engine.broken || !(error instanceof CaseboundError)) throw error;
        return { fault: { code: error.code, detail: error.message } };
      }
    }),
  text: (engine, input) => {
    using document = openDocument(engine, input.pdf, openingOf(input));
    const pages = input.pages ?? Array.from({ length: document.pageCount }, (_, pageIndex) => pageIndex);
    return pages.map((pageIndex) => {
      const text = readPageText(document, pageIndex);
      document.releasePage(pageIndex);
      return text;
    });
  },
  search: (engine, input) => {
    using document = openDocument(engine, input.pdf, openingOf(input));
    return searchText(document, input.query);
  },
  render,
  burnIn: async (engine, { pdf, annotations, routing, ...options }) =>
    burnIn(engine, pdf, annotations, routing, options),
  redact: async (engine, input) => {
    using edit = openEdit(engine, input.pdf, openingOf(input));
    const { removed, removedText, under } = applyRedactions(edit, input.redactions);
    const pdf = edit.write();
    const verification = await verifyRedactions(engine, pdf, input.redactions, { removedText, under });
    requireVerified(verification);
    return { pdf, pageCount: edit.pageCount, removed, verification };
  },
  flatten: async (engine, { pdf, annotations, own, ...options }) => {
    const { bytes } = await produceDocument(engine, pdf, {
      ...options,
      ...(annotations === undefined ? {} : { annotations }),
      flatten: own === true,
      routing: allDrawn,
    });
    return bytes;
  },
  layer: async (engine, { pdf, ...options }) => {
    const { bytes } = await produceDocument(engine, pdf, { ...options, routing: allLayered });
    return bytes;
  },
  stamp: async (engine, { pdf, ...options }) => {
    const { bytes, stamps } = await produceDocument(engine, pdf, options);
    return { pdf: bytes, stamps };
  },
  verify: async (engine, { pdf, redactions, ...options }) => verifyRedactions(engine, pdf, redactions, options),
  mergeImages: (engine, { images }) => mergeImages(images, engine.limits),
  readAnnotations: (engine, input) => {
    using edit = openEdit(engine, input.pdf, openingOf(input));
    return readAnnotations(edit);
  },
};

/** Runs one task on an engine. */
export const runTask = async <Name extends PdfTaskName>(
  engine: PdfEngine,
  name: Name,
  input: PdfTasks[Name]['input'],
): Promise<PdfTasks[Name]['output']> => handlers[name](engine, input);
