/** Fills a case with exhibits, through the record store, the object store and the document engine, as an import does. */
import { createHash, randomUUID } from 'node:crypto';
import { BatchId, DocumentId, ExhibitId, type CaseId } from '@casebound/contract';
import { parseInstantJson, type PageAnnotation } from '@casebound/pdf';
import { bulkWrite, type BulkRow, type JsonValue } from '@casebound/records';
import { formatDocumentId } from '../../../platform/document-engine/Port.ts';
import { objectKey } from '../../../platform/object-store/Port.ts';
import { samplePdf } from '../../../platform/document-engine/testing/sample-pdf.ts';
import { linkSegment, segmentKey, writeSegment, type FieldValues } from '../../fields/index.ts';
import { caseResource } from '../../records/index.ts';
import { pageTextKey } from '../../indexing/index.ts';
import type { StepDependencies } from '../orchestrator/steps.ts';
import { testActor } from './open-test-exchange.ts';

export interface ExhibitSpec {
  readonly controlNumber: string;
  /** Lines of each page. */
  readonly pages: readonly (readonly string[])[];
  readonly parent?: string;
  readonly native?: Uint8Array;
  readonly withoutPdf?: boolean;
  readonly custodian?: string;
  readonly label?: string;
  readonly folder?: string;
  readonly code?: string;
  readonly fields?: FieldValues;
  readonly annotations?: readonly PageAnnotation[];
  /** Instant JSON with comments and attachments, in place of `annotations`. */
  readonly instantJson?: Readonly<Record<string, unknown>>;
  readonly redacted?: boolean;
}

export interface FilledExhibit {
  readonly exhibitId: number;
  readonly documentId: number;
  readonly documentKey: string;
  readonly batchId: number;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const codes = ['CONFIDENTIAL', 'AEO', 'PRIVILEGED'] as const;

/** Writes the exhibits and answers their ids by control number. */
export const fillCase = async (
  parts: StepDependencies,
  caseId: CaseId,
  specs: readonly ExhibitSpec[],
  options: { readonly batch?: string; readonly engine?: boolean } = {},
): Promise<ReadonlyMap<string, FilledExhibit>> => {
  const { records, objects, sessions, engine } = parts;
  const batch = options.batch ?? 'Import 1';
  const store = await records.open(caseId, testActor);
  const resource = (endpoint: string) => caseResource(store.model, endpoint);
  const row = (endpoint: string, document: JsonValue): BulkRow => ({ resource: resource(endpoint), document });
  const write = async (rows: readonly BulkRow[]): Promise<void> => {
    await bulkWrite(store, rows, {
      onRow: (outcome) => {
        if (outcome.outcome === 'failed') throw outcome.error;
      },
    });
  };
  const some = (values: readonly (string | undefined)[]): string[] => [
    ...new Set(values.flatMap((value) => value ?? [])),
  ];
  await write([
    row('batches', { name: batch, kind: 'import' }),
    ...some(specs.map(({ custodian }) => custodian)).map((name) => row('custodians', { name })),
    ...(specs.some(({ label }) => label !== undefined) ? [row('labelCategories', { categoryName: 'Issues' })] : []),
    ...some(specs.map(({ folder }) => folder)).map((path) => row('folderTags', { path })),
    ...some(specs.map(({ code }) => code)).map((code) =>
      row('confidentialityCodes', { code, bit: codes.findIndex((one) => one === code) }),
    ),
    ...some(specs.flatMap(({ fields }) => Object.keys(fields ?? {}))).map((title) =>
      row('customFields', { title, inputType: 'text' }),
    ),
  ]);
  await write(
    some(specs.map(({ label }) => label)).map((name) =>
      row('labels', { labelCategoryReference: { categoryName: 'Issues' }, name }),
    ),
  );
  const batchId = await sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ id: string }>('SELECT document_id AS id FROM batch WHERE name = $1', [batch]);
    return Number(rows[0]?.id);
  });
  const pdfs = new Map<string, Uint8Array>();
  const keys = new Map<string, string>();
  const documents: BulkRow[] = [];
  const exhibits: BulkRow[] = [];
  for (const spec of specs) {
    const documentKey = randomUUID();
    keys.set(spec.controlNumber, documentKey);
    const place = { caseId, batchId, documentKey };
    const variants: JsonValue[] = [];
    const add = async (type: string, name: string, bytes: Uint8Array, mimeType: string): Promise<void> => {
      const key = objectKey(`case_${caseId}/processed-files/${batchId}/${type}/${documentKey}/${name}`);
      await objects.put(key, bytes);
      variants.push({ type, position: 1, objectKey: key, size: bytes.length, sha256: sha256(bytes), mimeType });
    };
    if (spec.native !== undefined) await add('native', 'content', spec.native, 'application/octet-stream');
    if (spec.withoutPdf !== true) {
      const pdf = samplePdf(spec.pages);
      pdfs.set(spec.controlNumber, pdf);
      await add('pdf', 'content.pdf', pdf, 'application/pdf');
    }
    const pages: JsonValue[] = [];
    for (const [at, lines] of spec.pages.entries()) {
      const text = Buffer.from(lines.join('\n'));
      await objects.put(pageTextKey(place, at + 1), text);
      pages.push({ textSource: 'load_file', textSize: text.length, textSha256: sha256(text) });
    }
    documents.push(
      row('documents', {
        documentKey,
        fileName: `${spec.controlNumber}.bin`,
        sha256Hash: sha256(Buffer.from(`${spec.controlNumber}/${JSON.stringify(spec.pages)}`)),
        pageCount: spec.pages.length,
        documentProperties: { importer: 'test' },
        variants,
      }),
    );
    const family =
      spec.parent ?? (specs.some(({ parent }) => parent === spec.controlNumber) ? spec.controlNumber : undefined);
    exhibits.push(
      row('exhibits', {
        controlNumber: spec.controlNumber,
        documentReference: { documentKey },
        batchReference: { name: batch },
        ...(spec.parent === undefined ? {} : { parentExhibitReference: { controlNumber: spec.parent } }),
        ...(family === undefined || family === spec.controlNumber
          ? {}
          : { familyReference: { controlNumber: family } }),
        ...(spec.custodian === undefined ? {} : { custodians: [{ custodianReference: { name: spec.custodian } }] }),
        ...(spec.label === undefined
          ? {}
          : { labels: [{ labelReference: { categoryName: 'Issues', name: spec.label } }] }),
        ...(spec.folder === undefined ? {} : { folders: [{ folderTagReference: { path: spec.folder } }] }),
        ...(spec.code === undefined ? {} : { confidentialityStatus: 2 ** codes.findIndex((one) => one === spec.code) }),
        ...(spec.redacted === undefined ? {} : { redacted: spec.redacted }),
        pages,
      }),
    );
  }
  await write(documents);
  for (const exhibit of exhibits) await write([exhibit]);
  const ids = await sessions.withCase(caseId, testActor, async (tx) =>
    tx.query<{ control_number: string; document_id: string; document_document_id: string }>(
      'SELECT control_number, document_id, document_document_id FROM exhibit WHERE control_number = ANY ($1)',
      [specs.map(({ controlNumber }) => controlNumber)],
    ),
  );
  const found = new Map(
    ids.rows.map((one): [string, FilledExhibit] => [
      one.control_number,
      {
        exhibitId: Number(one.document_id),
        documentId: Number(one.document_document_id),
        documentKey: keys.get(one.control_number) ?? '',
        batchId,
      },
    ]),
  );
  const withValues = specs.flatMap(({ controlNumber, fields }) => {
    const exhibit = found.get(controlNumber);
    return fields === undefined || exhibit === undefined
      ? []
      : [
          {
            exhibitId: exhibit.exhibitId,
            values: fields,
            metadata: { importedAt: new Date(0).toISOString(), batchId },
          },
        ];
  });
  if (withValues.length > 0) {
    const segment = await writeSegment(objects, segmentKey(caseId, `test/${randomUUID()}`), withValues);
    await sessions.withCase(caseId, testActor, async (tx) =>
      linkSegment(tx, segment, { kind: 'expect', versions: segment.entries.map(() => 0) }),
    );
  }
  for (const spec of specs) {
    const exhibit = found.get(spec.controlNumber);
    const pdf = pdfs.get(spec.controlNumber);
    if (options.engine === false || exhibit === undefined || pdf === undefined) continue;
    const id = formatDocumentId({
      caseId,
      batchId: BatchId.parse(batchId),
      documentId: DocumentId.parse(exhibit.documentId),
      exhibitId: ExhibitId.parse(exhibit.exhibitId),
    });
    await engine.putDocument(id, pdf);
    if (spec.annotations !== undefined) await engine.createAnnotations(id, spec.annotations);
    if (spec.instantJson !== undefined) await engine.importInstantJson(id, parseInstantJson(spec.instantJson));
  }
  return found;
};
