/**
 * Proves redactions on the output, by reading it anew.
 *
 * 1. No character's origin or centre lies under a redaction (PDFium's text of the output).
 * 2. Its pixels are of one colour at 150 dpi (PDFium's rendering).
 * 3. No image has a picture there, no outline runs there, no annotation lies there (PDFium's page objects).
 * 4. No removed string stands elsewhere in the file, no earlier revision, no unreachable object (another parser).
 * The redaction itself works on the file's objects and uses none of these.
 */
import { CaseboundError } from '@casebound/contract';
import { type Annotation, instantTexts } from '../annotations/instant-json.ts';
import type { PdfEngine } from '../engine/create-engine.ts';
import { type OpenDocument, openDocument } from '../engine/open-document.ts';
import { readGeometry } from '../engine/page-text.ts';
import { type Box, boxToRect, rectToBox } from '../geometry.ts';
import type { Redaction } from '../redact/apply-redactions.ts';
import { areasOf, type ContentUnder, hashImages, readContentUnder } from '../redact/content-under.ts';
import { createTermMatcher, listRemovedTerms, type RemovedTerm } from '../redact/removed-text.ts';
import { readRemainingWords } from '../redact/remaining-words.ts';
import type { Finding } from './findings.ts';
import { type AllowedDrawing, verifyAreas } from './verify-areas.ts';
import { verifyFile } from './verify-file.ts';

export interface VerifyOptions {
  /** The document before redaction, to know what was removed. Without it removed strings and images are not looked for. */
  readonly original?: Uint8Array;
  /** What was read of the original already, in its place. */
  readonly under?: ContentUnder;
  readonly password?: string;
  /** More removed strings, such as the values of removed form fields. */
  readonly removedText?: readonly string[];
  /** Annotations and comments that travel beside the output: none may repeat a removed string. */
  readonly beside?: readonly Annotation[];
  /** What was drawn after the redaction, such as stamps. */
  readonly allowed?: readonly AllowedDrawing[];
  /** Called with the open output for each page with redactions, after it was checked: for what else is to be read from it. */
  readonly onPage?: (document: OpenDocument, pageIndex: number) => void;
  /** Called with the open output at the end. */
  readonly onDocument?: (document: OpenDocument) => void;
}

export interface VerifiedRedaction {
  readonly id: string | undefined;
  readonly pageIndex: number;
  readonly verified: boolean;
  readonly findings: readonly Finding[];
}

export interface VerificationReport {
  readonly verified: boolean;
  readonly redactions: readonly VerifiedRedaction[];
  /** Of the file as a whole. */
  readonly document: readonly Finding[];
  readonly checkedRemovedText: boolean;
}

const readOriginal = (
  engine: PdfEngine,
  redactions: readonly Redaction[],
  { original, password }: VerifyOptions,
): ContentUnder | undefined => {
  if (original === undefined) return undefined;
  using document = openDocument(engine, original, password === undefined ? {} : { password });
  return readContentUnder(document, redactions);
};

/** Verifies `redactions` on `output`. Throws only when the output cannot be opened or a redaction names no page. */
export const verifyRedactions = async (
  engine: PdfEngine,
  output: Uint8Array,
  redactions: readonly Redaction[],
  options: VerifyOptions = {},
): Promise<VerificationReport> => {
  using document = openDocument(engine, output);
  // A page that was extended has another display space; user space is the same in both documents.
  const byPage = Map.groupBy(redactions, ({ pageIndex }) => pageIndex);
  const areasOn = (pageIndex: number): readonly Box[] =>
    areasOf(
      readGeometry(document, pageIndex),
      (byPage.get(pageIndex) ?? []).flatMap(({ rects }) => rects),
    );

  const under = options.under ?? readOriginal(engine, redactions, options);
  const removed: readonly string[] = [...(options.removedText ?? []), ...(under?.texts ?? [])];
  for (const [pageIndex, before] of under?.geometries ?? []) {
    const after = readGeometry(document, pageIndex);
    byPage.set(
      pageIndex,
      (byPage.get(pageIndex) ?? []).map((redaction) => ({
        ...redaction,
        rects: redaction.rects.map((rect) => boxToRect(after, rectToBox(before, rect))),
      })),
    );
  }

  const findings: Finding[] = [];
  for (const [pageIndex, own] of byPage) {
    const areas = own.flatMap(({ id, rects, overlayText }) =>
      rects.map((rect) => ({ redactionId: id, rect, overlayText })),
    );
    const allowed = (options.allowed ?? []).filter((stamp) => stamp.pageIndex === pageIndex);
    findings.push(...verifyAreas(document, pageIndex, areas, allowed));
    options.onPage?.(document, pageIndex);
    document.releasePage(pageIndex);
  }
  const terms = listRemovedTerms(removed);
  let remaining: ReadonlySet<string> | undefined;
  let drawn: ReadonlySet<string> | undefined;
  const matcher = terms.length === 0 ? undefined : createTermMatcher(terms);
  const isGone = ({ text }: RemovedTerm): boolean => {
    remaining ??= readRemainingWords(document, areasOn);
    return !remaining.has(text);
  };
  const fileFindings = await verifyFile(output, {
    matcher,
    isGone,
    removedImages: under?.images ?? new Set(),
    isDrawn: (hash) => {
      drawn ??= new Set(
        Array.from({ length: document.pageCount }, (_, pageIndex) => hashImages(document, pageIndex, undefined)).flat(),
      );
      return drawn.has(hash);
    },
  });
  const besideFindings = (matcher === undefined ? [] : (options.beside ?? [])).flatMap((annotation): Finding[] => {
    const leaks = instantTexts(JSON.stringify(annotation)).some((text) =>
      matcher?.find(text).some((term) => term.kind === 'run' || isGone(term)),
    );
    if (!leaks) return [];
    const what = annotation.type === 'pspdfkit/comment' ? 'comment' : 'annotation';
    return [
      {
        code: 'removed_text_in_annotation',
        redactionId: undefined,
        pageIndex: annotation.pageIndex,
        detail: `The ${what} \`${annotation.id}\` repeats a removed string: change it, or leave it out.`,
      },
    ];
  });
  const documentFindings = [...fileFindings, ...besideFindings];
  options.onDocument?.(document);
  const results = redactions.map((redaction) => {
    const own = findings.filter(
      (finding) => finding.pageIndex === redaction.pageIndex && finding.redactionId === redaction.id,
    );
    return { id: redaction.id, pageIndex: redaction.pageIndex, verified: own.length === 0, findings: own };
  });
  return {
    verified: findings.length === 0 && documentFindings.length === 0,
    redactions: results,
    document: documentFindings,
    checkedRemovedText: under !== undefined || (options.removedText ?? []).length > 0,
  };
};

const MAX_LISTED = 50;

/** Throws `redaction_unverified` with the findings unless everything was proved. */
export const requireVerified = (report: VerificationReport): void => {
  if (report.verified) return;
  const all = [...report.redactions.flatMap(({ findings }) => findings), ...report.document];
  throw new CaseboundError(
    'redaction_unverified',
    `The verification of the redacted document found ${all.length === 1 ? 'one fault' : `${all.length} faults`}, first: ${all[0]?.detail ?? 'unknown'}`,
    {
      errors: all.slice(0, MAX_LISTED).map(({ code, redactionId, pageIndex, detail }) => ({
        path:
          redactionId === undefined
            ? pageIndex === undefined
              ? 'document'
              : `page ${pageIndex + 1}`
            : `redaction ${redactionId}`,
        message: `${code}: ${detail}`,
      })),
    },
  );
};
