/** The same over the engine of another program, by its protocol: what depends on how it writes values down. */
import type { CaseId } from '@casebound/contract';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  comment,
  highlight,
  note,
  redaction,
  samplePng,
  sticker,
} from '../../platform/document-engine/testing/sample-annotations.ts';
import { openNutrient } from '../../platform/document-engine/testing/open-nutrient.ts';
import { type NutrientServer, startNutrientServer } from '../../platform/document-engine/testing/nutrient-server.ts';
import { openTestExchange, type TestExchange } from '../exchange/testing/open-test-exchange.ts';
import {
  changeAnnotation,
  createAnnotations,
  deleteAnnotation,
  getAnnotation,
  listAnnotations,
} from './annotations.ts';
import { applyRedactions } from './apply-redactions.ts';
import { putAttachment } from './attachments.ts';
import { addComments, changeComment, listComments } from './comments.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { exportAnnotations, importAnnotations } from './instant-json.ts';
import { searchText } from './pages.ts';
import { auditOf, codeOf, countIntents, makeExhibit, recordOf } from './testing/make-exhibit.ts';
import { annotationParts } from './testing/open-test-annotations.ts';

let world: TestExchange;
let server: NutrientServer;
let parts: AnnotationDependencies;
let caseId: CaseId;
beforeAll(async () => {
  world = await openTestExchange({ still: true });
  server = await startNutrientServer();
  parts = { ...annotationParts(world), engine: openNutrient(server).engine };
});
beforeEach(async () => {
  caseId = await world.createCase('annotated');
});
afterAll(async () => {
  await parts.engine.close();
  await server.stop();
  await world[Symbol.asyncDispose]();
});

test('annotations are added, changed, repeated and deleted, each stated once', async () => {
  const { call, exhibitId } = await makeExhibit(world, caseId, 'E1');
  const { attachmentId } = await putAttachment(parts, call, {
    contentType: 'image/png',
    binary: Buffer.from(samplePng(1)).toString('base64'),
  });
  const all = [
    { ...highlight('h'), isCommentThreadRoot: true },
    note('n'),
    sticker('s', attachmentId),
    redaction('r', [86, 88, 70, 18]),
  ];
  await createAnnotations(parts, call, all);
  await createAnnotations(parts, call, all);
  const { version } = await getAnnotation(parts, call, 'n');
  const changed = await changeAnnotation(parts, call, 'n', { version, annotation: { ...note('n', 'other') } });
  expect(await codeOf(changeAnnotation(parts, call, 'n', { version, annotation: { ...note('n', 'third') } }))).toBe(
    'annotation_conflict',
  );
  const [first] = await addComments(parts, call, [comment('c', 'h')]);
  await changeComment(parts, call, 'c', { version: first?.version ?? '', comment: { text: 'changed' } });
  expect((await listComments(parts, call, 'h')).map((one) => one.comment['text'])).toMatchObject([
    { value: 'changed' },
  ]);
  await deleteAnnotation(parts, call, 'n', changed.version);
  expect((await listAnnotations(parts, call, undefined)).map((one) => one.kind)).toEqual([
    'highlight',
    'sticker',
    'redaction',
  ]);
  expect(
    (await auditOf(world, caseId, exhibitId)).map(({ changes }) =>
      Object.keys(changes).toSorted((a, b) => a.localeCompare(b)),
    ),
  ).toEqual([
    [`attachment ${attachmentId}`],
    ['annotation h', 'annotation n', 'annotation r', 'annotation s', 'exhibit.redacted'],
    ['annotation n'],
    ['comment c'],
    ['comment c'],
    ['annotation n'],
  ]);
  expect((await recordOf(world, caseId, 'exhibits', exhibitId))['redacted']).toBe(true);
  expect(await countIntents(world, caseId)).toBe(0);
});

test('a document enters twice and is stated once; redactions are applied for good', async () => {
  const { call, exhibitId, controlNumber } = await makeExhibit(world, caseId, 'E2');
  const document = { annotations: [highlight('h', 1), redaction('r', [86, 88, 70, 18])] };
  await importAnnotations(parts, call, { document, replace: false });
  await importAnnotations(parts, call, { document: await exportAnnotations(parts, call), replace: false });
  expect(await auditOf(world, caseId, exhibitId)).toHaveLength(1);
  expect(await applyRedactions(parts, call, controlNumber)).toMatchObject({ applied: 1 });
  expect(await searchText(parts, call, 'secret')).toEqual([]);
  expect((await recordOf(world, caseId, 'exhibits', exhibitId))['redacted']).toBe(true);
});
