/** Annotations of an exhibit: on the built-in engine, with the audit, the mark and the events that follow. */
import { CaseId, type ExhibitAnnotation } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { highlight, note, redaction, stamp } from '../../platform/document-engine/testing/sample-annotations.ts';
import { objectKey } from '../../platform/object-store/Port.ts';
import { openTestExchange, type TestExchange } from '../exchange/testing/open-test-exchange.ts';
import {
  changeAnnotation,
  createAnnotations,
  deleteAnnotation,
  getAnnotation,
  listAnnotations,
} from './annotations.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { auditOf, codeOf, makeExhibit, recordOf } from './testing/make-exhibit.ts';
import { annotationParts, reviewer } from './testing/open-test-annotations.ts';

let world: TestExchange;
let parts: AnnotationDependencies;
let caseId: CaseId;
let count = 0;
beforeAll(async () => {
  world = await openTestExchange({ still: true });
  parts = annotationParts(world);
  caseId = await world.createCase('annotated');
});
afterAll(async () => world[Symbol.asyncDispose]());

const make = async (spec: Parameters<typeof makeExhibit>[3] = {}) => {
  count += 1;
  return makeExhibit(world, caseId, `N${count}`, spec);
};
const bodyOf = async (exhibitId: number) => recordOf(world, caseId, 'exhibits', exhibitId);
const auditOfExhibit = async (exhibitId: number) => auditOf(world, caseId, exhibitId);

const eventsOf = async (exhibitId: number): Promise<{ fields: string[] }[]> => {
  const [place] = await world.parts.caseDatabases.list();
  if (place === undefined) throw new Error('no database');
  return world.parts.owner(place.server, place.databaseName).transaction({ readOnly: true }, async (tx) => {
    const { rows } = await tx.query<{ body: string }>('SELECT body::text FROM messaging.outbox');
    return rows
      .map((row) => JSON.parse(row.body))
      .filter((event) => event.eventType === 'EXHIBITS_CHANGED' && event.exhibitIds.includes(exhibitId))
      .map((event) => event.eventDetail);
  });
};

const only = (list: readonly ExhibitAnnotation[]): ExhibitAnnotation => {
  expect(list).toHaveLength(1);
  return list[0]!;
};

const secret: [number, number, number, number] = [86, 88, 70, 18];

describe('a document that the engine has not seen', () => {
  test('is made from the PDF, once, however many ask first', async () => {
    const { call, engineId } = await make();
    expect(await world.parts.engine.findDocument(engineId)).toBeUndefined();
    const lists = await Promise.all(Array.from({ length: 8 }, async () => listAnnotations(parts, call, undefined)));
    expect(lists).toEqual(Array.from({ length: 8 }, () => []));
    expect(await world.parts.engine.findDocument(engineId)).toMatchObject({ pageCount: 2 });
  });

  test.each(['annotations', 'layers'])('is not made without the %s that the exhibit came with', async (folder) => {
    const { call, documentId, engineId } = await make();
    const { documentKey } = await recordOf(world, caseId, 'documents', documentId);
    const [, batch] = /^document_\d+_(\d+)_/.exec(engineId) ?? [];
    await world.parts.objects.put(
      objectKey(`case_${caseId}/processed-files/${batch}/${folder}/${String(documentKey)}/instant.json`),
      Buffer.from('{"annotations":[{"type":"unknown"}]}'),
    );
    expect(await codeOf(listAnnotations(parts, call, undefined))).toBe('annotations_unread');
    expect(await codeOf(createAnnotations(parts, call, [note('n')]))).toBe('annotations_unread');
    expect(await world.parts.engine.findDocument(engineId)).toBeUndefined();
  });

  test('cannot be made without a PDF, in a case that has no such exhibit, in no case', async () => {
    const { call } = await make({ withoutPdf: true });
    expect(await codeOf(listAnnotations(parts, call, undefined))).toBe('exhibit_without_pdf');
    expect(await codeOf(createAnnotations(parts, call, [note('n')]))).toBe('exhibit_without_pdf');
    expect(await codeOf(listAnnotations(parts, { ...call, exhibitId: 999_999 }, undefined))).toBe('exhibit_not_found');
    expect(await codeOf(listAnnotations(parts, { ...call, caseId: CaseId.parse(999) }, undefined))).toBe(
      'case_not_found',
    );
  });
});

describe('annotations', () => {
  test('are added, listed, changed and deleted, and each is stated', async () => {
    const { call, exhibitId, controlNumber } = await make();
    const [made] = await createAnnotations(parts, call, [highlight('h'), note('n', 'call the <b>bank</b>', 1)]);
    expect(made).toMatchObject({
      kind: 'highlight',
      isReadOnly: false,
      createdBy: reviewer.kind === 'account' ? reviewer.accountId : '',
    });
    expect((await listAnnotations(parts, call, undefined)).map((one) => one.annotation['id'])).toEqual(['h', 'n']);
    expect((await listAnnotations(parts, call, 1)).map((one) => one.annotation['id'])).toEqual(['n']);
    const before = await getAnnotation(parts, call, 'n');
    const changed = await changeAnnotation(parts, call, 'n', {
      version: before.version,
      annotation: { ...note('n', 'called', 1) },
    });
    expect(changed.version).not.toBe(before.version);
    await deleteAnnotation(parts, call, 'n', changed.version);
    expect((await listAnnotations(parts, call, undefined)).map((one) => one.annotation['id'])).toEqual(['h']);
    const audit = await auditOfExhibit(exhibitId);
    expect(audit).toMatchObject([
      {
        actor: reviewer.kind === 'account' ? reviewer.accountId : '',
        requestId: call.requestId,
        resource: 'exhibits',
        recordKey: controlNumber,
        changes: {
          'annotation h': [null, { kind: 'highlight', page: 1, version: made?.version }],
          'annotation n': [null, { kind: 'note', page: 2, version: before.version }],
        },
      },
      {
        changes: {
          'annotation n': [
            { kind: 'note', page: 2, version: before.version },
            { kind: 'note', page: 2, version: changed.version },
          ],
        },
      },
      { changes: { 'annotation n': [{ kind: 'note', page: 2, version: changed.version }, null] } },
    ]);
    expect(JSON.stringify(audit)).not.toContain('bank');
    expect(await eventsOf(exhibitId)).toEqual([
      { fields: ['annotations'] },
      { fields: ['annotations'] },
      { fields: ['annotations'] },
    ]);
    expect((await bodyOf(exhibitId))['redacted']).toBeUndefined();
  });

  test('get an id when they have none; a repeat changes nothing and is not stated', async () => {
    const { call, exhibitId } = await make();
    const { id: _id, ...nameless } = { ...note('x') };
    const made = only(await createAnnotations(parts, call, [nameless]));
    expect(made.annotation['id']).toMatch(/^[0-9a-f-]{36}$/);
    const again = only(await createAnnotations(parts, call, [made.annotation]));
    expect(again.version).toBe(made.version);
    expect(await auditOfExhibit(exhibitId)).toHaveLength(1);
    expect(await codeOf(createAnnotations(parts, call, [{ ...made.annotation, icon: 'help' }]))).toBe(
      'annotation_exists',
    );
    expect(await auditOfExhibit(exhibitId)).toHaveLength(1);
  });

  test('of two changes of one version exactly one wins, and the other one is shown what is there', async () => {
    const { call } = await make();
    const { version } = only(await createAnnotations(parts, call, [note('n', 'first')]));
    const outcomes = await Promise.allSettled(
      ['left', 'right', 'third'].map(async (text) =>
        changeAnnotation(parts, call, 'n', { version, annotation: { ...note('n', text) } }),
      ),
    );
    const won = outcomes.filter((one) => one.status === 'fulfilled');
    const lost = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(won).toHaveLength(1);
    const now = await getAnnotation(parts, call, 'n');
    expect(won[0]?.value).toEqual(now);
    for (const error of lost) {
      expect(error).toMatchObject({ code: 'annotation_conflict', status: 409 });
      expect(error.errors[0]).toMatchObject({ path: '$.version' });
      expect(JSON.parse(error.errors[0].message.replace(/^now /, ''))).toEqual(now);
    }
    expect(await codeOf(deleteAnnotation(parts, call, 'n', version))).toBe('annotation_conflict');
    expect(await codeOf(deleteAnnotation(parts, call, 'gone', version))).toBe('annotation_not_found');
  });
});

describe('the mark as redacted', () => {
  test('comes with the first redaction, goes with the last, and the record moves on', async () => {
    const { call, exhibitId } = await make();
    const etag = async () => (await bodyOf(exhibitId))['_etag'];
    const before = await etag();
    const [one, two] = await createAnnotations(parts, call, [
      redaction('r1', secret),
      redaction('r2', [10, 10, 5, 5], 1),
    ]);
    expect((await bodyOf(exhibitId))['redacted']).toBe(true);
    expect(await etag()).not.toBe(before);
    await deleteAnnotation(parts, call, 'r1', one!.version);
    expect((await bodyOf(exhibitId))['redacted']).toBe(true);
    await deleteAnnotation(parts, call, 'r2', two!.version);
    expect((await bodyOf(exhibitId))['redacted']).toBeUndefined();
    expect((await auditOfExhibit(exhibitId)).map(({ changes }) => changes['exhibit.redacted'])).toEqual([
      [null, true],
      undefined,
      [true, null],
    ]);
    expect(await eventsOf(exhibitId)).toEqual([
      { fields: ['annotations', 'redacted'] },
      { fields: ['annotations'] },
      { fields: ['annotations', 'redacted'] },
    ]);
  });

  test('that came with the exhibit stays', async () => {
    const { call, exhibitId } = await make({ redacted: true });
    const { version } = only(await createAnnotations(parts, call, [redaction('r', secret)]));
    await deleteAnnotation(parts, call, 'r', version);
    expect((await bodyOf(exhibitId))['redacted']).toBe(true);
  });

  test('tells the truth whatever happens at once', async () => {
    const { call, exhibitId, engineId } = await make();
    for (let round = 0; round < 5; round += 1) {
      const [old] = await createAnnotations(parts, call, [redaction(`old${round}`, secret)]);
      await Promise.all([
        deleteAnnotation(parts, call, `old${round}`, old!.version),
        createAnnotations(parts, call, [redaction(`new${round}`, secret)]),
      ]);
      expect((await bodyOf(exhibitId))['redacted']).toBe(true);
      const left = await world.parts.engine.listAnnotations(engineId);
      await Promise.all(left.map(async ({ value, version }) => deleteAnnotation(parts, call, value.id, version)));
      expect((await bodyOf(exhibitId))['redacted']).toBeUndefined();
    }
  });
});

/** Something else happens at an exact moment. */
const withEngine = (change: Partial<AnnotationDependencies['engine']>): AnnotationDependencies => ({
  ...parts,
  engine: { ...parts.engine, ...change },
});

test('a redaction that comes between the look and the word keeps the mark', async () => {
  const { call, exhibitId } = await make();
  const { version } = only(await createAnnotations(parts, call, [redaction('old', secret)]));
  const [begun, looked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const creator = withEngine({
    createAnnotations: async (...asked) => {
      begun.resolve();
      await looked.promise;
      return parts.engine.createAnnotations(...asked);
    },
  });
  const created = createAnnotations(creator, call, [redaction('new', secret)]);
  await begun.promise;
  let looks = 0;
  const deleter = withEngine({
    listAnnotations: async (...asked) => {
      const seen = await parts.engine.listAnnotations(...asked);
      looks += 1;
      // The first look is that for what is left to settle, the second one that for the mark.
      if (looks === 2) {
        looked.resolve();
        await created;
      }
      return seen;
    },
  });
  await deleteAnnotation(deleter, call, 'old', version);
  expect(looks).toBe(3);
  expect((await listAnnotations(parts, call, undefined)).map((one) => one.annotation['id'])).toEqual(['new']);
  expect((await bodyOf(exhibitId))['redacted']).toBe(true);
});

test('a change that is refused last takes off the mark that another one left to it', async () => {
  const { call, exhibitId } = await make();
  const { version } = only(await createAnnotations(parts, call, [redaction('old', secret)]));
  const slow = withEngine({
    createAnnotations: async (...asked) => {
      await deleteAnnotation(parts, call, 'old', version);
      expect((await bodyOf(exhibitId))['redacted']).toBe(true);
      return parts.engine.createAnnotations(...asked);
    },
  });
  expect(await codeOf(createAnnotations(slow, call, [redaction('no', [5_000, 10, 5, 5])]))).toBe('annotation_invalid');
  expect((await bodyOf(exhibitId))['redacted']).toBeUndefined();
});

test('many at once are all made and stated', async () => {
  const { call, exhibitId } = await make();
  const boxes = Array.from({ length: 40 }, (_, at) => at);
  await Promise.all(boxes.map(async (at) => createAnnotations(parts, call, [redaction(`r${at}`, [at * 5, 10, 4, 4])])));
  expect(await listAnnotations(parts, call, undefined)).toHaveLength(40);
  expect(await auditOfExhibit(exhibitId)).toHaveLength(40);
  expect((await bodyOf(exhibitId))['redacted']).toBe(true);
}, 60_000);

describe('stamps', () => {
  test('are listed and cannot be made, changed, deleted, or slipped in', async () => {
    const { call, engineId } = await make();
    await listAnnotations(parts, call, undefined);
    for (const type of ['bates_stamp', 'confidentiality_stamp'] as const) {
      await world.parts.engine.createAnnotations(engineId, [stamp(type, 'ACME0001', type)]);
      const found = await getAnnotation(parts, call, type);
      expect(found).toMatchObject({ kind: type, isReadOnly: true });
      const { version } = found;
      expect(await codeOf(createAnnotations(parts, call, [stamp(`${type}2`, 'X', type)]))).toBe('annotation_read_only');
      expect(
        await codeOf(changeAnnotation(parts, call, type, { version, annotation: { ...stamp(type, 'Y', type) } })),
      ).toBe('annotation_read_only');
      const plain = { ...stamp(type, 'ACME0001', type), customData: {} };
      expect(await codeOf(changeAnnotation(parts, call, type, { version, annotation: plain }))).toBe(
        'annotation_read_only',
      );
      expect(await codeOf(deleteAnnotation(parts, call, type, version))).toBe('annotation_read_only');
    }
    const text = { ...stamp('t', 'free'), customData: {} };
    const { version, kind } = only(await createAnnotations(parts, call, [text]));
    expect(kind).toBe('text');
    expect(await codeOf(changeAnnotation(parts, call, 't', { version, annotation: { ...stamp('t', 'free') } }))).toBe(
      'annotation_read_only',
    );
  });
});
