/** Processes that are killed at each point of a change: the next call finds it whole and stated once, or not done and not stated. */
import { fileURLToPath } from 'node:url';
import type { CaseId } from '@casebound/contract';
import { spawnScript } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { comment, highlight, note, redaction } from '../../platform/document-engine/testing/sample-annotations.ts';
import type { CrashPointName } from '../../platform/crash-points/Port.ts';
import { objectKey } from '../../platform/object-store/Port.ts';
import { openTestExchange, type TestExchange } from '../exchange/testing/open-test-exchange.ts';
import { createAnnotations, deleteAnnotation, getAnnotation, listAnnotations } from './annotations.ts';
import { addComments, listComments } from './comments.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { searchText } from './pages.ts';
import { auditOf, countIntents, makeExhibit, recordOf, type Subject } from './testing/make-exhibit.ts';
import { annotationParts, reviewer } from './testing/open-test-annotations.ts';

const script = fileURLToPath(new URL('testing/annotate-and-die.ts', import.meta.url));

let world: TestExchange;
let parts: AnnotationDependencies;
let caseId: CaseId;
let count = 0;
beforeAll(async () => {
  world = await openTestExchange({ still: true });
  parts = annotationParts(world);
  caseId = await world.createCase('killed');
});
afterAll(async () => world[Symbol.asyncDispose]());

/** With a note `n`, a redaction `old` and a comment `c` on a highlight. */
const make = async (): Promise<Subject> => {
  count += 1;
  const subject = await makeExhibit(world, caseId, `K${count}`);
  await createAnnotations(parts, subject.call, [
    note('n', 'first'),
    redaction('old', [86, 88, 70, 18]),
    { ...highlight('h'), isCommentThreadRoot: true },
  ]);
  await addComments(parts, subject.call, [comment('c', 'h', 'first')]);
  return subject;
};

const die = async (subject: Subject, act: string, point: CrashPointName): Promise<void> => {
  const end = await spawnScript(script, {
    env: {
      DIE_PLACE: JSON.stringify(world.place),
      DIE_CASE: String(caseId),
      DIE_EXHIBIT: String(subject.exhibitId),
      DIE_NUMBER: subject.controlNumber,
      DIE_ACT: act,
      DIE_AT: point,
    },
  }).ended;
  expect(end).toMatchObject({ signal: 'SIGKILL' });
  expect(end.stdout).toContain(`dying at ${point}`);
};

/** Rows that state a change of what the dead process was about. */
const statedOf = async ({ exhibitId }: Subject, name: string) =>
  (await auditOf(world, caseId, exhibitId)).slice(2).filter(({ changes }) => name in changes);
const actor = reviewer.kind === 'account' ? reviewer.accountId : '';
const died = { actor, requestId: 'the one that died', origin: 'annotations, stated by a later call' };

const isMarked = async ({ exhibitId }: Subject): Promise<boolean> =>
  (await recordOf(world, caseId, 'exhibits', exhibitId))['redacted'] === true;

test('before the engine was asked: nothing is done, and what is done again is stated once', async () => {
  const subject = await make();
  const { call } = subject;
  await die(subject, 'create', 'annotations.intent.written');
  expect((await listAnnotations(parts, call, undefined)).map((one) => one.annotation['id'])).toEqual(['n', 'old', 'h']);
  expect(await statedOf(subject, 'annotation r')).toEqual([]);
  await createAnnotations(parts, call, [redaction('r', [86, 88, 70, 18])]);
  await listAnnotations(parts, call, undefined);
  const stated = await statedOf(subject, 'annotation r');
  expect(stated).toMatchObject([{ requestId: call.requestId, origin: null }]);
  expect(await countIntents(world, caseId)).toBe(0);
}, 60_000);

test('after the engine created, changed, deleted', async () => {
  const subject = await make();
  const { call } = subject;
  const old = await getAnnotation(parts, call, 'old');
  await deleteAnnotation(parts, call, 'old', old.version);
  expect(await isMarked(subject)).toBe(false);
  await die(subject, 'create', 'annotations.engine.changed');
  expect(await isMarked(subject)).toBe(false);
  await Promise.all([1, 2, 3].map(async () => listAnnotations(parts, call, undefined)));
  expect(await statedOf(subject, 'annotation r')).toMatchObject([
    { ...died, changes: { 'annotation r': [null, { kind: 'redaction' }], 'exhibit.redacted': [null, true] } },
  ]);
  expect(await isMarked(subject)).toBe(true);
  await die(subject, 'change', 'annotations.engine.changed');
  await createAnnotations(parts, call, [note('after')]);
  expect(await statedOf(subject, 'annotation n')).toMatchObject([died]);
  expect((await getAnnotation(parts, call, 'n')).annotation['text']).toMatchObject({ value: 'changed' });
  await createAnnotations(parts, call, [redaction('old', [10, 10, 5, 5], 1)]);
  await die(subject, 'delete', 'annotations.engine.changed');
  await listAnnotations(parts, call, undefined);
  expect((await statedOf(subject, 'annotation old')).at(-1)).toMatchObject({
    ...died,
    changes: { 'annotation old': [{ kind: 'redaction', page: 2 }, null] },
  });
  expect(await isMarked(subject)).toBe(true);
  expect(await countIntents(world, caseId)).toBe(0);
}, 90_000);

test('after a document was imported in the place of another', async () => {
  const subject = await make();
  await die(subject, 'replace', 'annotations.engine.changed');
  await listAnnotations(parts, subject.call, undefined);
  const [row] = await statedOf(subject, 'annotation new');
  expect(row).toMatchObject(died);
  expect(Object.keys(row?.changes ?? {}).toSorted()).toEqual([
    'annotation h',
    'annotation n',
    'annotation new',
    'annotation old',
    'comment c',
    'exhibit.redacted',
  ]);
  expect(await isMarked(subject)).toBe(false);
  expect(await countIntents(world, caseId)).toBe(0);
}, 60_000);

test('between the two steps of a comment: nothing of it is lost', async () => {
  const subject = await make();
  await die(subject, 'comment', 'annotations.comment.deleted');
  expect(await world.parts.engine.listComments(subject.engineId)).toEqual([]);
  const comments = await listComments(parts, subject.call, 'h');
  expect(comments.map((one) => one.comment['text'])).toEqual([{ format: 'plain', value: 'changed' }]);
  expect(await statedOf(subject, 'comment c')).toMatchObject([died]);
  expect(await countIntents(world, caseId)).toBe(0);
}, 60_000);

test.each(['annotations.engine.changed', 'annotations.redactions.recorded'] as const)(
  'while redactions were applied, at %s',
  async (point) => {
    const subject = await make();
    const { call, documentId, exhibitId } = subject;
    const variantsOf = async () =>
      (await recordOf(world, caseId, 'documents', documentId))['variants'] as { type: string; objectKey: string }[];
    const before = (await variantsOf()).find(({ type }) => type === 'pdf')!;
    await die(subject, 'apply', point);
    expect(await listAnnotations(parts, call, undefined)).toHaveLength(2);
    const now = (await variantsOf()).find(({ type }) => type === 'pdf')!;
    expect(now.objectKey).not.toBe(before.objectKey);
    expect(await world.parts.objects.head(objectKey(before.objectKey))).toBeUndefined();
    expect(await searchText(parts, call, 'secret')).toEqual([]);
    expect(await world.parts.index.search(caseId, { text: 'secret' }, { limit: 99 })).not.toContain(exhibitId);
    expect(await statedOf(subject, 'pdf')).toMatchObject([died]);
    expect(await isMarked(subject)).toBe(true);
    expect((await recordOf(world, caseId, 'exhibits', exhibitId))['pages']).toMatchObject([
      { textSource: 'document' },
      { textSource: 'load_file' },
    ]);
    expect(await countIntents(world, caseId)).toBe(0);
  },
  60_000,
);
