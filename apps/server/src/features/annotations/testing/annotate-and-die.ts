/**
 * A process that changes what lies on an exhibit, and dies by SIGKILL at a named crash point.
 *
 * Environment: DIE_PLACE (JSON of a `TestPlace`), DIE_CASE, DIE_EXHIBIT (ids), DIE_AT (crash point), DIE_ACT (a name of `acts`).
 */
import { writeSync } from 'node:fs';
import { CaseId } from '@casebound/contract';
import { highlight, note, redaction } from '../../../platform/document-engine/testing/sample-annotations.ts';
import { joinTestExchange, type TestPlace } from '../../exchange/testing/open-test-exchange.ts';
import { changeAnnotation, createAnnotations, deleteAnnotation, getAnnotation } from '../annotations.ts';
import { applyRedactions } from '../apply-redactions.ts';
import { changeComment, listComments } from '../comments.ts';
import type { AnnotationDependencies } from '../dependencies.ts';
import type { ExhibitCall } from '../exhibit-document.ts';
import { importAnnotations } from '../instant-json.ts';
import { annotationParts, reviewer } from './open-test-annotations.ts';

type Act = (parts: AnnotationDependencies, call: ExhibitCall) => Promise<unknown>;

const acts: Readonly<Record<string, Act>> = {
  create: async (parts, call) => createAnnotations(parts, call, [redaction('r', [86, 88, 70, 18])]),
  change: async (parts, call) =>
    changeAnnotation(parts, call, 'n', {
      version: (await getAnnotation(parts, call, 'n')).version,
      annotation: { ...note('n', 'changed') },
    }),
  delete: async (parts, call) =>
    deleteAnnotation(parts, call, 'old', (await getAnnotation(parts, call, 'old')).version),
  replace: async (parts, call) =>
    importAnnotations(parts, call, { document: { annotations: [highlight('new')] }, replace: true }),
  comment: async (parts, call) => {
    const [first] = await listComments(parts, call, undefined);
    return changeComment(parts, call, 'c', {
      version: first?.version ?? '',
      comment: { text: { format: 'plain', value: 'changed' } },
    });
  },
  apply: async (parts, call) => applyRedactions(parts, call, process.env['DIE_NUMBER'] ?? ''),
};

const { DIE_PLACE = '', DIE_CASE, DIE_EXHIBIT, DIE_AT, DIE_ACT = '' } = process.env;
const world = await joinTestExchange(
  // The test that started this process wrote it.
  JSON.parse(DIE_PLACE) as TestPlace,
  { still: true },
);
const parts = annotationParts(world, (name) => {
  if (name !== DIE_AT) return;
  writeSync(1, `dying at ${name}\n`);
  process.kill(process.pid, 'SIGKILL');
});
await acts[DIE_ACT]?.(parts, {
  caseId: CaseId.parse(Number(DIE_CASE)),
  exhibitId: Number(DIE_EXHIBIT),
  actor: reviewer,
  requestId: 'the one that died',
});
writeSync(1, 'it lived\n');
await world[Symbol.asyncDispose]();
