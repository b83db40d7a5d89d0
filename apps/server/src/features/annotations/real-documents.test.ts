/** Documents that others made: found, marked, applied, and gone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { CaseId } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { objectKey } from '../../platform/object-store/Port.ts';
import { openTestExchange, type TestExchange } from '../exchange/testing/open-test-exchange.ts';
import { createAnnotations } from './annotations.ts';
import { applyRedactions } from './apply-redactions.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { listPages, searchText } from './pages.ts';
import { makeExhibit, recordOf } from './testing/make-exhibit.ts';
import { annotationParts } from './testing/open-test-annotations.ts';

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

const samples = path.resolve(import.meta.dirname, '../../../../../../shared/data/pdf');
const files = existsSync(samples) ? readdirSync(samples).filter((name) => name.endsWith('.pdf')) : [];

describe.runIf(files.length > 0)('documents of the world', () => {
  test.each(files)(
    '%s: a word that is redacted and applied is gone',
    async (file) => {
      count += 1;
      const subject = await makeExhibit(world, caseId, `R${count}`);
      const { call, documentId, controlNumber } = subject;
      const variants = (await recordOf(world, caseId, 'documents', documentId))['variants'] as {
        type: string;
        objectKey: string;
      }[];
      const key = objectKey(variants.find(({ type }) => type === 'pdf')!.objectKey);
      await world.parts.objects.put(key, readFileSync(path.join(samples, file)));
      const pages = await listPages(parts, call);
      expect(pages.length).toBeGreaterThan(0);
      const texts = await Promise.all(
        pages.slice(0, 3).map(async (_, at) => world.parts.engine.pageText(subject.engineId, at)),
      );
      const word = texts.map(({ text }) => /\b[A-Za-z]{5,}\b/.exec(text)?.[0]).find((one) => one !== undefined);
      if (word === undefined) return;
      const matches = await searchText(parts, call, word);
      await createAnnotations(
        parts,
        call,
        matches.map(({ pageIndex, rects }, at) => ({
          id: `r${at}`,
          type: 'pspdfkit/markup/redaction',
          pageIndex,
          rects: rects.map(({ left, top, width, height }) => [left, top, width, height]),
        })),
      );
      expect(await applyRedactions(parts, call, controlNumber)).toMatchObject({ applied: matches.length });
      expect(await searchText(parts, call, word)).toEqual([]);
      expect(await listPages(parts, call)).toEqual(pages);
    },
    60_000,
  );
});
