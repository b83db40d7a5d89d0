/** Applies the redactions of an exhibit to the case's own document, for good. */
import { CaseboundError } from '@casebound/contract';
import { kindOf } from '@casebound/pdf';
import { changeExhibit } from './change-exhibit.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { engineCall, type ExhibitCall } from './exhibit-document.ts';
import { annotationEntry, type Entry } from './intent.ts';
import { finishRedactedFile, listRevealing } from './redacted-file.ts';

export interface Applied {
  readonly applied: number;
  readonly removedAnnotations: string[];
  readonly pdf: { readonly size: number; readonly sha256: string; readonly pageCount: number };
}

/** Errors: `validation_failed` when `confirm` is not the control number, `redaction_unverified`, and then nothing has changed. */
export const applyRedactions = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  confirm: string,
): Promise<Applied> =>
  changeExhibit(parts, call, async (exhibit) => {
    const { engine } = parts;
    const { engineId, controlNumber } = exhibit;
    if (confirm !== controlNumber)
      throw new CaseboundError(
        'validation_failed',
        'What is redacted is removed for good; confirm it with the control number of the exhibit.',
        { errors: [{ path: '$.confirm', message: `is not ${controlNumber}` }] },
      );
    const [all, before] = await Promise.all([
      engine.listAnnotations(engineId, engineCall(call)),
      engine.findDocument(engineId, engineCall(call)),
    ]);
    if (before === undefined) throw new CaseboundError('annotation_conflict', 'The document was removed meanwhile.');
    const redactions = all.filter(({ value }) => kindOf(value) === 'redaction');
    if (redactions.length === 0) {
      const { size, sha256, pageCount } = before;
      const result = { applied: 0, removedAnnotations: [], pdf: { size, sha256, pageCount } };
      return { entries: [], run: async () => Promise.resolve({ result, done: [] }) };
    }
    const pages = new Set(redactions.map(({ value }) => value.pageIndex));
    const file: Extract<Entry, { what: 'pdf' }> = {
      what: 'pdf',
      sha256: before.sha256,
      pages: [...pages],
      ...(await listRevealing(parts, exhibit, before.pageCount, pages)),
    };
    const entries = new Map(
      all.map(({ value, version }) => {
        const entry = annotationEntry('delete', value, version);
        return [value.id, entry.kind === 'redaction' ? entry : { ...entry, isOptional: true }] as const;
      }),
    );
    return {
      entries: [file, ...entries.values()],
      redactions: { present: true },
      run: async () => {
        const applied = await engine.applyRedactions(engineId, engineCall(call));
        const { size, sha256, pageCount } = applied;
        const gone = new Set([...redactions.map(({ value }) => value.id), ...applied.removedAnnotations]);
        return {
          result: {
            applied: applied.applied,
            removedAnnotations: [...applied.removedAnnotations],
            pdf: { size, sha256, pageCount },
          },
          done: [{ entry: file, sha256 }, ...[...entries].flatMap(([id, entry]) => (gone.has(id) ? [{ entry }] : []))],
          finish: async () => finishRedactedFile(parts, exhibit, file),
          keepsMark: true,
        };
      },
    };
  });
