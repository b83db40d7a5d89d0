/**
 * What follows when redactions were applied: the case keeps nothing else that shows, on its pages, what was redacted.
 *
 * - The PDF of the exhibit's record is the one that redaction left; the texts of the pages are read from it; images of these pages go; the
 *   search index is told. The native stays, and the exhibit stays marked, so that an exchange withholds it.
 * - Done again it changes nothing more, so whoever finds it half done does all of it.
 * - Several may do it at once, upon files that were read before and after more was redacted. Objects and records are written while nobody else
 *   writes them, and not once a later reading was recorded: an older file shows what the newer one does not.
 */
import { createHash } from 'node:crypto';
import { type JsonValue, readMany, upsertDocument } from '@casebound/records';
import type { Queryable, Transaction } from '../../database/index.ts';
import { objectKey, type ObjectKey } from '../../platform/object-store/Port.ts';
import { indexAnew } from '../indexing/index.ts';
import { caseResource } from '../records/index.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import type { Entry } from './intent.ts';
import { type AnnotatedExhibit, beginReading, listRedactedPages, recordReading } from './store.ts';

type Body = { [member: string]: JsonValue };
type PdfEntry = Extract<Entry, { what: 'pdf' }>;

const system = { kind: 'system', reason: 'annotations' } as const;

/** Objects that are put at the same time. */
const textsAtOnce = 16;
/** For the texts of a file with very many pages. */
const recordingTimeoutMs = 600_000;

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const keyBelow = ({ caseId, batchId, documentKey }: AnnotatedExhibit, folder: string, name: string): ObjectKey =>
  objectKey(`case_${caseId}/processed-files/${batchId}/${folder}/${documentKey}/${name}`);

/** `pageIndex` is from 0. */
const textKey = (exhibit: AnnotatedExhibit, pageIndex: number): ObjectKey =>
  keyBelow(exhibit, 'txt', `attachments/${pageIndex + 1}/content.txt`);

const bodyOf = (text: string): Body => {
  const { id: _id, _etag, _lastModifiedDate, ...rest } = JSON.parse(text) as Body;
  return rest;
};

const listOf = (value: JsonValue | undefined): Body[] =>
  Array.isArray(value)
    ? value.flatMap((one) => (typeof one === 'object' && one !== null && !Array.isArray(one) ? [one] : []))
    : [];

const keyOf = ({ objectKey: key }: Body): string => (typeof key === 'string' ? key : '');

/** Variants that show pages on which something was redacted. One image for several pages shows them all. */
export const showsPages = (variants: readonly Body[], pageCount: number, pages: ReadonlySet<number>): Body[] => {
  const images = variants.filter(({ type }) => type === 'image');
  return variants.filter(
    ({ type, position }) =>
      type === 'pdf' || (type === 'image' && (images.length !== pageCount || pages.has(Number(position) - 1))),
  );
};

interface PageText {
  readonly size: number;
  readonly sha256: string;
}

interface TextToWrite {
  readonly page: number;
  readonly content: Buffer;
}

/** Texts of those of the pages that have one, as the redacted file has them. */
const readTexts = async (
  { pdf }: AnnotationDependencies,
  bytes: Uint8Array,
  pages: readonly number[],
): Promise<readonly TextToWrite[]> =>
  pages.length === 0
    ? []
    : (await pdf.text({ pdf: Uint8Array.from(bytes), pages })).flatMap(({ pageIndex: page, text }) =>
        text.trim() === '' ? [] : [{ page, content: Buffer.from(text.replaceAll('\0', '\uFFFD'), 'utf8') }],
      );

/** The transaction says something between them, so that it is not ended for its silence. */
const writeTexts = async (
  tx: Queryable,
  { objects }: AnnotationDependencies,
  exhibit: AnnotatedExhibit,
  texts: readonly TextToWrite[],
): Promise<ReadonlyMap<number, PageText>> => {
  const written = new Map<number, PageText>();
  for (let at = 0; at < texts.length; at += textsAtOnce) {
    if (at > 0) await tx.query('SELECT 1');
    await Promise.all(
      texts.slice(at, at + textsAtOnce).map(async ({ page, content }) => {
        const contentType = 'text/plain; charset=utf-8';
        const { size, sha256 } = await objects.put(textKey(exhibit, page), content, { contentType });
        written.set(page, { size, sha256 });
      }),
    );
  }
  return written;
};

const withText = ({ textSize: _size, textSha256: _sha256, ...page }: Body, text: PageText | undefined): Body =>
  text === undefined
    ? { ...page, textSource: 'none' }
    : { ...page, textSource: 'document', textSize: text.size, textSha256: text.sha256 };

/** The bodies of exhibit and document; undefined when they are gone. */
const readBodies = async (
  { sessions, records }: AnnotationDependencies,
  exhibit: AnnotatedExhibit,
): Promise<{ readonly exhibit: Body; readonly document: Body } | undefined> =>
  sessions.withCase(
    exhibit.caseId,
    system,
    async (tx) => {
      const store = await records.within(exhibit.caseId, tx);
      const one = async (endpoint: string, id: number) =>
        (await readMany(store, tx, caseResource(records.model, endpoint), [id])).get(id);
      const [own, document] = [await one('exhibits', exhibit.exhibitId), await one('documents', exhibit.documentId)];
      return own === undefined || document === undefined
        ? undefined
        : { exhibit: bodyOf(own.body), document: bodyOf(document.body) };
    },
    { readOnly: true },
  );

/** What shows what is going to be redacted: keys of objects, and whether each page has a text of its own. */
export const listRevealing = async (
  parts: AnnotationDependencies,
  exhibit: AnnotatedExhibit,
  pageCount: number,
  pages: ReadonlySet<number>,
): Promise<Pick<PdfEntry, 'objects' | 'isByPage'>> => {
  const bodies = await readBodies(parts, exhibit);
  const pageList = listOf(bodies?.exhibit['pages']);
  const hasText = (page: number): boolean => pageList[page]?.['textSha256'] !== undefined;
  return {
    objects: showsPages(listOf(bodies?.document['variants']), pageCount, pages).map(keyOf),
    // A text that is not its page's own may hold what stood on another one.
    isByPage: [...pages].every(hasText) || !pageList.some((_, at) => hasText(at)),
  };
};

/** Errors: those of the engine, the object store and the record store. */
export const finishRedactedFile = async (
  parts: AnnotationDependencies,
  exhibit: AnnotatedExhibit,
  entry: PdfEntry,
): Promise<void> => {
  const { engine, objects, sessions, records, index, fields } = parts;
  const { caseId, exhibitId, documentId } = exhibit;
  const { reading, pages } = await sessions.withCase(caseId, system, async (tx) => ({
    reading: await beginReading(tx, exhibitId),
    pages: await listRedactedPages(tx, exhibitId),
  }));
  const [bytes, sizes] = await Promise.all([
    engine.getPdf(exhibit.engineId, { actor: system }),
    engine.pageSizes(exhibit.engineId, { actor: system }),
  ]);
  const { isByPage } = entry;
  const affected: ReadonlySet<number> = new Set(
    isByPage ? [...entry.pages, ...pages].filter((page) => page < sizes.length) : sizes.keys(),
  );
  const sha256 = sha256Of(bytes);
  const key = keyBelow(exhibit, 'pdf', `redacted-${sha256.slice(0, 32)}.pdf`);
  await objects.put(key, bytes, { expected: { sha256 }, contentType: 'application/pdf' });
  const found = await readTexts(
    parts,
    bytes,
    [...affected].toSorted((a, b) => a - b),
  );
  const hasText = new Set(found.map(({ page }) => page));

  const record = async (tx: Transaction): Promise<readonly string[]> => {
    const isNewest = await recordReading(tx, exhibitId, reading);
    const texts = isNewest ? await writeTexts(tx, parts, exhibit, found) : new Map<number, PageText>();
    await objects.flush();
    await tx.query('SELECT FROM document WHERE document_id = ANY ($1::bigint[]) ORDER BY document_id FOR UPDATE', [
      [exhibitId, documentId],
    ]);
    const store = await records.within(caseId, tx);
    const read = async (endpoint: string, id: number): Promise<Body | undefined> => {
      const stored = (await readMany(store, tx, caseResource(records.model, endpoint), [id])).get(id);
      return stored === undefined ? undefined : bodyOf(stored.body);
    };
    const own = await read('exhibits', exhibitId);
    const document = await read('documents', documentId);
    if (own === undefined || document === undefined) return [];
    const variants = listOf(document['variants']);
    if (!isNewest) return variants.some((one) => keyOf(one) === key) ? [] : [key];
    const shown = new Set(showsPages(variants, sizes.length, affected));
    const hadTexts = variants.some(({ type }) => type === 'text');
    const isStale = (one: Body): boolean =>
      shown.has(one) || (one['type'] === 'text' && (!isByPage || affected.has(Number(one['position']) - 1)));
    const fresh: Body[] = [
      {
        type: 'pdf',
        position: 1,
        objectKey: key,
        size: bytes.length,
        sha256,
        mimeType: 'application/pdf',
      },
      ...(hadTexts
        ? [...texts].map(([page, text]): Body => ({
            type: 'text',
            position: page + 1,
            objectKey: textKey(exhibit, page),
            size: text.size,
            sha256: text.sha256,
            mimeType: 'text/plain',
          }))
        : []),
    ];
    const kept = [...variants.filter((one) => !isStale(one)), ...fresh];
    await upsertDocument(store, caseResource(records.model, 'documents'), { ...document, variants: kept });
    const ownPages = listOf(own['pages']).map((page, at) => (affected.has(at) ? withText(page, texts.get(at)) : page));
    await upsertDocument(store, caseResource(records.model, 'exhibits'), { ...own, pages: ownPages });
    const inUse = new Set(kept.map(keyOf));
    const gone = variants.filter(isStale).map(keyOf);
    const silent = [...affected].filter((page) => !texts.has(page)).map((page) => String(textKey(exhibit, page)));
    return [...new Set([...entry.objects, ...gone, ...silent])].filter((one) => !inUse.has(one));
  };
  const dropped = await sessions.withCase(caseId, system, record, { transactionTimeoutMs: recordingTimeoutMs });
  parts.crashPoint('annotations.redactions.recorded');
  const own = `case_${caseId}/`;
  const deletable = dropped.filter((one) => one.startsWith(own) && !hasText.has(pageOfText(exhibit, one)));
  if (deletable.length > 0) await objects.delete(deletable.map((one) => objectKey(one)));
  await indexAnew({ sessions, objects, index, fields }, caseId, system, [exhibitId], new AbortController().signal);
};

/** Page of a key of a text, from 0; -1 for another key. */
const pageOfText = (exhibit: AnnotatedExhibit, key: string): number => {
  const found = /\/attachments\/(\d+)\/content\.txt$/.exec(key);
  const page = found === null ? -1 : Number(found[1]) - 1;
  return page >= 0 && String(textKey(exhibit, page)) === key ? page : -1;
};
