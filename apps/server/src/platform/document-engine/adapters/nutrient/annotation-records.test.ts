import type { CommentAnnotation, PageAnnotation } from '@casebound/pdf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comment, highlight, note, redaction, stamp, sticker } from '../../testing/sample-annotations.ts';
import { faultOf, keepKnown } from '../../testing/nutrient-documents.ts';
import {
  factsOf,
  holds,
  type Json,
  type RawRecord,
  readAnnotation,
  readComment,
  sortRecords,
  writeAnnotation,
  writeComment,
} from './annotation-records.ts';

const at = new Date('2030-01-01T00:00:00.000Z');
const how = (order = 1) => ({ by: 'account-1', at, order });

/** A record as the engine keeps it: what it has no member for is dropped. */
const kept = (id: string, content: Json): RawRecord => ({
  id,
  content: JSON.parse(JSON.stringify({ ...keepKnown({ ...content }), id })),
  createdBy: 'account-1',
  updatedBy: 'account-1',
});

const samples: readonly PageAnnotation[] = [
  redaction('r', [1, 2, 3, 4]),
  highlight('h'),
  note('n', 'Größe ≠ 日本'),
  sticker('s', 'f'.repeat(64)),
  stamp('b', 'ACME000001'),
];

describe('annotations as records', () => {
  it.each(samples.map((one) => [one.type, one] as const))('are accepted and come back: %s', (_type, value) => {
    const content = writeAnnotation(value, how());
    expect(faultOf(content, 9)).toBeUndefined();
    const record = kept(value.id, content);
    expect(readAnnotation(record)).toEqual(value);
    expect(holds(record, value)).toBe(true);
    expect(holds(record, { ...value, opacity: 0.25 })).toBe(false);
    expect(factsOf(record)).toMatchObject({ createdBy: 'account-1', createdAt: at.toISOString() });
  });

  it('come back with members that the engine does not have, or not in this form', () => {
    const member = fc.constantFrom('creatorName', 'opacity', 'strange', 'fontSize', 'icon', 'v', 'customData', 'flags');
    const value = fc.oneof(fc.jsonValue(), fc.constant(null), fc.double({ noNaN: true, noDefaultInfinity: true }));
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.dictionary(member, value, { maxKeys: 4 }), (sample, extra) => {
        const { opacity, flags, v, customData, ...odd } = extra;
        const isObject = typeof customData === 'object' && !Array.isArray(customData);
        const typed = {
          ...odd,
          ...(isObject ? { customData } : {}),
          ...(typeof opacity === 'number' ? { opacity } : {}),
          ...(Array.isArray(flags) ? { flags } : {}),
          ...(v === 1 ? { v } : {}),
        };
        const given = JSON.parse(JSON.stringify({ ...sample, ...typed })) as PageAnnotation;
        const content = writeAnnotation(given, how());
        expect(faultOf(content, 9)).toBeUndefined();
        expect(readAnnotation(kept(given.id, content))).toEqual(given);
      }),
      { numRuns: 300 },
    );
  });

  it('say what was changed in the engine since', () => {
    const value = note('n', 'ours');
    const record = kept('n', writeAnnotation({ ...value, fontSize: 9.5, strange: 1 }, how()));
    const changed = { ...record, content: { ...record.content, text: { value: 'theirs' }, color: '#112233' } };
    expect(readAnnotation(changed)).toMatchObject({ text: { value: 'theirs' }, color: '#112233', strange: 1 });
    expect(factsOf(changed).version).not.toBe(factsOf(record).version);
    // That there are comments on it is no change of it.
    const root = { ...record, content: { ...record.content, isCommentThreadRoot: true } };
    expect(factsOf(root).version).toBe(factsOf(record).version);
  });

  it('keep who made them when they are changed, and stay roots of their comments', () => {
    const first = kept('h', writeAnnotation(highlight('h'), how()));
    const root = { ...first, content: { ...first.content, isCommentThreadRoot: true } };
    const later = new Date('2031-01-01T00:00:00.000Z');
    const content = writeAnnotation(highlight('h', 1), { by: 'account-2', at: later, order: 9, replaces: root });
    const second = kept('h', content);
    expect(content['isCommentThreadRoot']).toBe(true);
    expect(readAnnotation(second)).toEqual(highlight('h', 1));
    expect(factsOf(second)).toMatchObject({
      createdAt: at.toISOString(),
      updatedAt: later.toISOString(),
      updatedBy: 'account-2',
    });
  });

  it('are in the order of their pages and their making', () => {
    const records = [highlight('z'), note('a'), highlight('m', 1), note('b')].map((value, order) =>
      kept(value.id, writeAnnotation(value, how(order))),
    );
    expect(sortRecords(records.toReversed()).map(({ id }) => id)).toEqual(['z', 'a', 'b', 'm']);
  });
});

describe('comments as records', () => {
  const asKept = (value: CommentAnnotation): RawRecord => {
    const { text, ...content } = writeComment(value, how());
    return {
      id: value.id,
      content: {
        v: 2,
        type: 'pspdfkit/comment',
        rootId: value.rootId,
        text: { format: 'plain', value: text },
        ...content,
      },
      createdBy: 'account-1',
      updatedBy: 'account-1',
    };
  };

  it('come back as they were given, or as they were changed', () => {
    const rich: CommentAnnotation = {
      ...comment('c', 'h'),
      text: { format: 'xhtml', value: '<p>why?</p>' },
      creatorName: null,
      customData: { a: 1 },
      strange: [1],
    };
    for (const value of [comment('c', 'h'), rich]) {
      const record = asKept(value);
      expect(readComment(record, 'h', 0)).toEqual(value);
      expect(holds(record, value)).toBe(true);
      const changed = { ...record, content: { ...record.content, text: { value: 'because' } } };
      expect(readComment(changed, 'h', 0)['text']).toEqual({ format: 'plain', value: 'because' });
    }
  });
});
