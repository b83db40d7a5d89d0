/** Comments, pictures, Instant JSON, pages, and redactions that are applied. */
import { createHash } from 'node:crypto';
import { type CaseId, ExchangeRequest } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  comment,
  highlight,
  note,
  redaction,
  samplePng,
  stamp,
  sticker,
} from '../../platform/document-engine/testing/sample-annotations.ts';
import { objectKey } from '../../platform/object-store/Port.ts';
import { readBytes } from '../../platform/object-store/read-bytes.ts';
import { archiveCase } from '../cases/index.ts';
import { caseDependencies } from '../cases/testing/case-dependencies.ts';
import { openTestExchange, type TestExchange } from '../exchange/testing/open-test-exchange.ts';
import { createAnnotations, deleteAnnotation, getAnnotation, listAnnotations } from './annotations.ts';
import { applyRedactions } from './apply-redactions.ts';
import { getAttachment, putAttachment } from './attachments.ts';
import { addComments, changeComment, deleteComment, listComments } from './comments.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { exportAnnotations, importAnnotations } from './instant-json.ts';
import { listPages, renderPage, searchText } from './pages.ts';
import { auditOf, codeOf, countIntents, makeExhibit, recordOf, type Subject } from './testing/make-exhibit.ts';
import { annotationParts } from './testing/open-test-annotations.ts';

let world: TestExchange;
let parts: AnnotationDependencies;
let caseId: CaseId;
let count = 0;
beforeAll(async () => {
  world = await openTestExchange();
  parts = annotationParts(world);
  caseId = await world.createCase('annotated');
});
afterAll(async () => world[Symbol.asyncDispose]());

const make = async (spec: Parameters<typeof makeExhibit>[3] = {}): Promise<Subject> => {
  count += 1;
  return makeExhibit(world, caseId, `W${count}`, spec);
};
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const bytesOf = async (body: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
};

describe('comments', () => {
  test('are a thread, changed one at a time, and stated without their words', async () => {
    const { call, exhibitId } = await make();
    await createAnnotations(parts, call, [{ ...highlight('h'), isCommentThreadRoot: true }]);
    const [first] = await addComments(parts, call, [
      comment('c1', 'h', 'is this privileged?'),
      comment('c2', 'h', 'no'),
    ]);
    expect((await listComments(parts, call, 'h')).map((one) => one.comment['id'])).toEqual(['c1', 'c2']);
    expect(await listComments(parts, call, 'other')).toEqual([]);
    const version = first?.version ?? '';
    const outcomes = await Promise.allSettled(
      ['yes', 'maybe', 'ask Ann'].map(async (text) =>
        changeComment(parts, call, 'c1', { version, comment: { text: { format: 'plain', value: text } } }),
      ),
    );
    const won = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(won).toHaveLength(1);
    for (const one of outcomes)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'annotation_conflict' });
    const now = (await listComments(parts, call, 'h')).find((one) => one.comment['id'] === 'c1');
    expect(now).toEqual(won[0]);
    expect(now?.version).not.toBe(version);
    expect(await codeOf(deleteComment(parts, call, 'c1', version))).toBe('annotation_conflict');
    await deleteComment(parts, call, 'c1', now?.version ?? '');
    expect(await codeOf(deleteComment(parts, call, 'c1', version))).toBe('annotation_not_found');
    expect(await codeOf(addComments(parts, call, [comment('c3', 'gone')]))).toBe('annotation_not_found');
    const audit = await auditOf(world, caseId, exhibitId);
    expect(audit.map(({ changes }) => Object.keys(changes))).toEqual([
      ['annotation h'],
      ['comment c1', 'comment c2'],
      ['comment c1'],
      ['comment c1'],
    ]);
    expect(audit[2]?.changes['comment c1']).toEqual([
      { kind: 'comment', page: 1, version },
      { kind: 'comment', page: 1, version: now?.version },
    ]);
    expect(JSON.stringify(audit)).not.toContain('privileged');
    expect(await countIntents(world, caseId)).toBe(0);
  });

  test('one that is being changed is in conflict, also in the moment when it is not there', async () => {
    const { call } = await make();
    await createAnnotations(parts, call, [{ ...highlight('h'), isCommentThreadRoot: true }]);
    const [first] = await addComments(parts, call, [comment('c1', 'h', 'is this privileged?')]);
    const version = first?.version ?? '';
    const gone = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const engine: typeof parts.engine = Object.create(parts.engine, {
      addComments: {
        value: async (...given: Parameters<typeof parts.engine.addComments>) => {
          gone.resolve();
          await goOn.promise;
          return parts.engine.addComments(...given);
        },
      },
    });
    const change = { version, comment: { text: { format: 'plain', value: 'yes' } } };
    const changing = changeComment({ ...parts, engine }, call, 'c1', change);
    await gone.promise;
    expect(await codeOf(changeComment(parts, call, 'c1', change))).toBe('annotation_conflict');
    expect(await codeOf(deleteComment(parts, call, 'c1', version))).toBe('annotation_conflict');
    goOn.resolve();
    expect(await changing).toMatchObject({ comment: { id: 'c1', text: { value: 'yes' } } });
  });
});

describe('pictures', () => {
  test('come before the stickers that show them, and come back', async () => {
    const { call, exhibitId } = await make();
    const png = samplePng(9);
    const hash = createHash('sha256').update(png).digest('hex');
    expect(await codeOf(createAnnotations(parts, call, [sticker('s', hash)]))).toBe('attachment_missing');
    const put = { contentType: 'image/png', binary: base64(png) } as const;
    expect(await putAttachment(parts, call, put)).toEqual({ attachmentId: hash, size: png.length });
    await putAttachment(parts, call, put);
    await createAnnotations(parts, call, [sticker('s', hash)]);
    const file = await getAttachment(parts, call, hash);
    expect(file).toMatchObject({ contentType: 'image/png', size: png.length, sha256: hash });
    expect((await bytesOf(file.body)).equals(png)).toBe(true);
    expect((await auditOf(world, caseId, exhibitId)).map(({ changes }) => Object.keys(changes))).toEqual([
      [`attachment ${hash}`],
      ['annotation s'],
    ]);
    expect(await codeOf(getAttachment(parts, call, '0'.repeat(64)))).toBe('attachment_missing');
  });

  test('are bounded, and are what they say they are', async () => {
    const { call } = await make();
    const huge = Buffer.alloc(8 * 1024 * 1024 + 1);
    huge.set(samplePng(1).subarray(0, 8));
    expect(await codeOf(putAttachment(parts, call, { contentType: 'image/png', binary: base64(huge) }))).toBe(
      'annotation_invalid',
    );
    const script = Buffer.from('<svg onload="alert(1)">');
    expect(await codeOf(putAttachment(parts, call, { contentType: 'image/png', binary: base64(script) }))).toBe(
      'annotation_invalid',
    );
    expect(await codeOf(putAttachment(parts, call, { contentType: 'image/jpeg', binary: base64(samplePng(1)) }))).toBe(
      'annotation_invalid',
    );
  });
});

describe('Instant JSON', () => {
  test('of all kinds leaves and enters; stamps stay what they are', async () => {
    const one = await make();
    const { attachmentId } = await putAttachment(parts, one.call, {
      contentType: 'image/png',
      binary: base64(samplePng(3)),
    });
    await createAnnotations(parts, one.call, [
      redaction('r', [86, 88, 70, 18]),
      { ...highlight('h'), isCommentThreadRoot: true },
      note('n'),
      sticker('s', attachmentId),
      { ...stamp('t', 'plain text'), customData: {} },
    ]);
    await addComments(parts, one.call, [comment('c', 'h')]);
    const exported = await exportAnnotations(parts, one.call);
    expect(exported.annotations.map((value) => value['id'])).toEqual(['r', 'h', 'n', 's', 't']);
    const two = await make();
    await createAnnotations(parts, two.call, [note('mine')]);
    await world.parts.engine.createAnnotations(two.engineId, [stamp('b', 'ACME1')]);
    await world.parts.engine.addComments(two.engineId, [comment('on-stamp', 'b')]);
    expect(await importAnnotations(parts, two.call, { document: exported, replace: false })).toEqual({
      annotations: 5,
      comments: 1,
    });
    const ids = async () =>
      (await listAnnotations(parts, two.call, undefined)).map((each) => String(each.annotation['id']));
    expect(await ids()).toEqual(['mine', 'b', 'r', 'h', 'n', 's', 't']);
    expect((await recordOf(world, caseId, 'exhibits', two.exhibitId))['redacted']).toBe(true);
    const audited = (await auditOf(world, caseId, two.exhibitId)).length;
    await importAnnotations(parts, two.call, { document: exported, replace: false });
    expect(await auditOf(world, caseId, two.exhibitId)).toHaveLength(audited);
    expect(
      await importAnnotations(parts, two.call, {
        document: { annotations: [{ ...note('n', 'other') }] },
        replace: true,
      }),
    ).toEqual({ annotations: 1, comments: 0 });
    expect((await ids()).toSorted()).toEqual(['b', 'n']);
    expect((await listComments(parts, two.call, undefined)).map((each) => each.comment['id'])).toEqual(['on-stamp']);
    expect((await recordOf(world, caseId, 'exhibits', two.exhibitId))['redacted']).toBeUndefined();
    expect(Object.keys((await auditOf(world, caseId, two.exhibitId)).at(-1)?.changes ?? {}).toSorted()).toEqual([
      'annotation h',
      'annotation mine',
      'annotation n',
      'annotation r',
      'annotation s',
      'annotation t',
      'comment c',
      'exhibit.redacted',
    ]);
    const stamped = { annotations: [{ ...stamp('b2', 'ACME2') }] };
    expect(await codeOf(importAnnotations(parts, two.call, { document: stamped, replace: true }))).toBe(
      'annotation_read_only',
    );
    expect((await ids()).toSorted()).toEqual(['b', 'n']);
    const back = await exportAnnotations(parts, two.call);
    await importAnnotations(parts, two.call, { document: back, replace: true });
    expect((await ids()).toSorted()).toEqual(['b', 'n']);
  });
});

describe('what nobody should send', () => {
  test('is refused with its reason, and nothing is changed or left behind', async () => {
    const { call, exhibitId } = await make();
    await createAnnotations(parts, call, [note('n')]);
    const add = async (...given: Record<string, unknown>[]) => codeOf(createAnnotations(parts, call, given));
    expect(await add({ ...note('x'), type: 'pspdfkit/ink' })).toBe('annotation_unknown_type');
    expect(await add({ ...note('x'), type: '__proto__' })).toBe('annotation_unknown_type');
    expect(await add({ ...comment('x', 'n') })).toBe('annotation_invalid');
    for (const bbox of [
      [Number.NaN, 0, 9, 9],
      [0, 0, Number.POSITIVE_INFINITY, 9],
      [0, 0, 0, 9],
      [0, 0, -9, 9],
      [0, 0],
      'all',
      null,
    ])
      expect(await add({ ...note('x'), bbox })).toBe('annotation_invalid');
    expect(await add({ ...note('x'), bbox: [5_000, 5_000, 9, 9] })).toBe('annotation_invalid');
    expect(await add({ ...note('x'), pageIndex: 2 })).toBe('pdf_page_out_of_range');
    expect(await add({ ...note('x'), pageIndex: -1 })).toBe('annotation_invalid');
    expect(await add({ ...note('x'), pageIndex: 1e15 })).toBe('pdf_page_out_of_range');
    expect(await add({ ...note('x y') })).toBe('annotation_invalid');
    expect(await add({ ...note('x'.repeat(201)) })).toBe('annotation_invalid');
    expect(await add({ ...note('x', 'a'.repeat(70_000)) })).toBe('annotation_invalid');
    expect(await add({ ...note('x', 'nul \0') })).toBe('annotation_invalid');
    expect(await add({ ...note('x') }, { ...note('x') })).toBe('annotation_invalid');
    expect(await add({ ...note('good') }, { ...note('x'), bbox: [9_999, 0, 1, 1] })).toBe('annotation_invalid');
    expect((await listAnnotations(parts, call, undefined)).map((one) => one.annotation['id'])).toEqual(['n']);
    const many = Array.from({ length: 100_000 }, (_, at) => ({ ...note(`n${at}`) }));
    expect(await codeOf(importAnnotations(parts, call, { document: { annotations: many }, replace: true }))).toBe(
      'too_many_annotations',
    );
    expect((await listAnnotations(parts, call, undefined)).map((one) => one.annotation['id'])).toEqual(['n']);
    expect(await auditOf(world, caseId, exhibitId)).toHaveLength(1);
    expect(await countIntents(world, caseId)).toBe(0);
  });

  test('texts that look like something else stay texts', async () => {
    const { call, exhibitId } = await make();
    const words = `'); DROP TABLE engine_annotation; -- <img src=x onerror=alert(1)> \${7*7} {{7*7}} \u202Eevil \u{1F4A3}`;
    const id = `'"><script>;--`;
    await createAnnotations(parts, call, [{ ...note(id, words), customData: { constructor: { prototype: words } } }]);
    const found = await getAnnotation(parts, call, id);
    expect(found.annotation['text']).toEqual({ format: 'plain', value: words });
    expect((await exportAnnotations(parts, call)).annotations).toHaveLength(1);
    expect(Object.keys((await auditOf(world, caseId, exhibitId))[0]?.changes ?? {})).toEqual([`annotation ${id}`]);
  });

  test('ten thousand are the limit', async () => {
    const { call } = await make();
    const many = Array.from({ length: 10_000 }, (_, at) => ({ ...note(`n${at}`) }));
    await importAnnotations(parts, call, { document: { annotations: many }, replace: false });
    expect(await codeOf(createAnnotations(parts, call, [note('one too many')]))).toBe('annotation_invalid');
    expect(await codeOf(createAnnotations(parts, call, [note('one-too-many')]))).toBe('too_many_annotations');
    expect(await codeOf(createAnnotations(parts, call, [note('n5')]))).toBe('succeeded');
    expect(await listAnnotations(parts, call, undefined)).toHaveLength(10_000);
  }, 60_000);
});

describe('pages', () => {
  test('have sizes, pictures and boxes of words', async () => {
    const { call } = await make();
    expect(await listPages(parts, call)).toEqual([
      { pageIndex: 0, width: 400, height: 300 },
      { pageIndex: 1, width: 400, height: 300 },
    ]);
    const bare = await renderPage(parts, call, 0, { dpi: 72, annotations: true });
    expect(bare.contentType).toBe('image/png');
    await createAnnotations(parts, call, [highlight('h')]);
    const drawn = await renderPage(parts, call, 0, { dpi: 72, annotations: true });
    expect(drawn.sha256).not.toBe(bare.sha256);
    expect((await renderPage(parts, call, 0, { dpi: 72, annotations: false })).sha256).toBe(bare.sha256);
    expect(await codeOf(renderPage(parts, call, 2, { dpi: 72, annotations: true }))).toBe('pdf_page_out_of_range');
    const [match, ...others] = await searchText(parts, call, 'secret');
    expect(others).toEqual([]);
    expect(match).toMatchObject({ pageIndex: 0, text: 'SECRET' });
    expect(match?.rects).toHaveLength(1);
    expect(await codeOf(searchText(parts, call, '/(/'))).toBe('validation_failed');
  });
});

describe('redactions that are applied', () => {
  const mark = async (subject: Subject, word = 'secret') => {
    const matches = await searchText(parts, subject.call, word);
    return createAnnotations(
      parts,
      subject.call,
      matches.map(({ pageIndex, rects }, at) => ({
        id: word === 'secret' ? `r${at}` : `${word}-${at}`,
        type: 'pspdfkit/markup/redaction',
        pageIndex,
        rects: rects.map(({ left, top, width, height }) => [left, top, width, height]),
      })),
    );
  };

  test('need the control number, and leave nothing in the case that shows what was there', async () => {
    const subject = await make();
    const { call, exhibitId, documentId, controlNumber } = subject;
    expect(await applyRedactions(parts, call, controlNumber)).toMatchObject({ applied: 0 });
    await mark(subject);
    await createAnnotations(parts, call, [highlight('elsewhere', 1)]);
    const before = await recordOf(world, caseId, 'documents', documentId);
    const oldKey = (before['variants'] as { type: string; objectKey: string }[]).find(
      ({ type }) => type === 'pdf',
    )!.objectKey;
    expect(await codeOf(applyRedactions(parts, call, 'yes'))).toBe('validation_failed');
    const applied = await applyRedactions(parts, call, controlNumber);
    expect(applied).toMatchObject({ applied: 1, removedAnnotations: [], pdf: { pageCount: 2 } });
    expect(await searchText(parts, call, 'secret')).toEqual([]);
    const after = await recordOf(world, caseId, 'documents', documentId);
    const pdf = (after['variants'] as { type: string; objectKey: string; sha256: string }[]).find(
      ({ type }) => type === 'pdf',
    )!;
    expect(pdf.sha256).toBe(applied.pdf.sha256);
    expect(await world.parts.objects.head(objectKey(oldKey))).toBeUndefined();
    const bytes = await readBytes(world.parts.objects, objectKey(pdf.objectKey), { maxBytes: 1_000_000 });
    expect(bytes.includes('SECRET')).toBe(false);
    const exhibit = await recordOf(world, caseId, 'exhibits', exhibitId);
    expect(exhibit).toMatchObject({ redacted: true, pages: [{ textSource: 'document' }, { textSource: 'load_file' }] });
    const found = async (text: string) => world.parts.index.search(caseId, { text }, { limit: 100 });
    expect(await found('secret')).not.toContain(exhibitId);
    expect(await found('amount')).toContain(exhibitId);
    expect((await auditOf(world, caseId, exhibitId)).at(-1)?.changes).toMatchObject({
      pdf: [{ sha256: expect.any(String) }, { sha256: applied.pdf.sha256 }],
      'annotation r0': [{ kind: 'redaction', page: 1 }, null],
    });
    const { version } = await getAnnotation(parts, call, 'elsewhere');
    await deleteAnnotation(parts, call, 'elsewhere', version);
    const [again] = await createAnnotations(parts, call, [redaction('later', [10, 10, 5, 5])]);
    await deleteAnnotation(parts, call, 'later', again!.version);
    expect((await recordOf(world, caseId, 'exhibits', exhibitId))['redacted']).toBe(true);
    expect(await countIntents(world, caseId)).toBe(0);
  });

  test('are recorded by the newest file, whoever read an older one before and records it later', async () => {
    const subject = await make({ pages: [['Pay the SECRET amount today']] });
    const { call, documentId, exhibitId, controlNumber } = subject;
    await mark(subject);
    const [wasRead, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const engine: typeof parts.engine = Object.create(parts.engine, {
      getPdf: {
        value: async (...given: Parameters<typeof parts.engine.getPdf>) => {
          const bytes = await parts.engine.getPdf(...given);
          wasRead.resolve();
          await goOn.promise;
          return bytes;
        },
      },
    });
    const first = applyRedactions({ ...parts, engine }, call, controlNumber);
    await wasRead.promise;
    await mark(subject, 'amount');
    const second = await applyRedactions(parts, call, controlNumber);
    goOn.resolve();
    const older = (await first).pdf.sha256;
    expect(older).not.toBe(second.pdf.sha256);
    const { variants } = await recordOf(world, caseId, 'documents', documentId);
    const pdfs = (variants as { type: string; sha256: string; objectKey: string }[]).filter(
      ({ type }) => type === 'pdf',
    );
    expect(pdfs.map(({ sha256 }) => sha256)).toEqual([second.pdf.sha256]);
    const olderKey = pdfs[0]!.objectKey.replace(second.pdf.sha256.slice(0, 32), older.slice(0, 32));
    expect(await world.parts.objects.head(objectKey(olderKey))).toBeUndefined();
    const { documentKey } = await recordOf(world, caseId, 'documents', documentId);
    const folder = objectKey(pdfs[0]!.objectKey).replace(/\/pdf\/.*$/, '');
    const text = objectKey(`${folder}/txt/${String(documentKey)}/attachments/1/content.txt`);
    expect((await readBytes(world.parts.objects, text, { maxBytes: 1_000 })).toString()).not.toContain('amount');
    const { pages } = await recordOf(world, caseId, 'exhibits', exhibitId);
    const { sha256 } = (await world.parts.objects.head(text))!;
    expect(pages).toMatchObject([{ textSource: 'document', textSha256: sha256 }]);
    expect(await world.parts.index.search(caseId, { text: 'amount' }, { limit: 100 })).not.toContain(exhibitId);
  });

  test('are not needed for an exchange, which burns in what is marked', async () => {
    const subject = await make();
    await mark(subject);
    const to = await world.createCase(`to ${subject.controlNumber}`);
    const job = await world.run(
      ExchangeRequest.parse({
        sourceCaseId: caseId,
        destinationCaseId: to,
        selection: { by: 'exhibits', exhibitIds: [subject.exhibitId] },
        annotations: {
          redactionsAs: 'brand_in',
          highlightsAs: 'omit',
          notesAs: 'omit',
          stickersAs: 'omit',
          batesAs: 'omit',
          confidentialityCodesAs: 'omit',
          comments: 'omit',
        },
      }),
    );
    expect(job.state).toBe('FINISHED');
    const { rows } = await world.parts.sessions.withCase(to, { kind: 'system', reason: 'test' }, async (tx) =>
      tx.query<{ object_key: string; redacted: boolean }>(
        `SELECT v.object_key, e.redacted FROM exhibit e JOIN source_document__variants v ON v.root_document_id = e.document_document_id AND v.type = 'pdf'`,
      ),
    );
    expect(rows).toMatchObject([{ redacted: true }]);
    const bytes = await readBytes(world.parts.objects, objectKey(rows[0]!.object_key), { maxBytes: 1_000_000 });
    const [page] = await world.parts.pdf.text({ pdf: Uint8Array.from(bytes), pages: [0] });
    expect(page?.text).not.toContain('SECRET');
    expect(page?.text).toContain('amount today');
    expect(await searchText(parts, subject.call, 'secret')).toHaveLength(1);
  });
});

describe('an archived case', () => {
  test('is read, and not changed', async () => {
    const archived = await world.createCase('archived');
    const seen = await makeExhibit(world, archived, 'A1');
    const unseen = await makeExhibit(world, archived, 'A2');
    await createAnnotations(parts, seen.call, [note('n')]);
    await archiveCase(caseDependencies(world.databases), { kind: 'system', reason: 'test' }, archived);
    expect(await listAnnotations(parts, seen.call, undefined)).toHaveLength(1);
    expect(await codeOf(createAnnotations(parts, seen.call, [note('m')]))).toBe('case_archived');
    expect(await listAnnotations(parts, unseen.call, undefined)).toEqual([]);
    expect(await listComments(parts, unseen.call, undefined)).toEqual([]);
    expect((await exportAnnotations(parts, unseen.call)).annotations).toEqual([]);
    expect(await codeOf(listPages(parts, unseen.call))).toBe('case_archived');
  });
});
