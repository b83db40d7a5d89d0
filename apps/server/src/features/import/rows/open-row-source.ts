/** Opens the source that a plan describes. */
import type { ImportRequest } from '@casebound/contract';
import type { FieldDefinition } from '../../fields/index.ts';
import type { ImportPlan } from '../plan/import-plan.ts';
import type { RowSource } from '../source-row.ts';
import { openImportRoot } from '../sources/open-import-root.ts';
import { PinnedRoot } from '../sources/pinned-root.ts';
import { createLoadFileSource } from './load-file-source.ts';
import { createLooseSource } from './loose-source.ts';
import type { PathSet } from './path-set.ts';

export const openRowSource = async ({
  plan,
  request,
  definitions,
  named,
}: {
  readonly plan: ImportPlan;
  readonly request: ImportRequest;
  readonly definitions: ReadonlyMap<string, FieldDefinition>;
  /** As `LoadFileSourceOptions` has it. */
  readonly named?: PathSet | undefined;
}): Promise<RowSource> => {
  const root = await openImportRoot(plan.root);
  switch (plan.kind) {
    case 'load_file':
      return createLoadFileSource({
        root: new PinnedRoot(root, plan.root, plan.pins),
        plan,
        mapping: request.mapping,
        definitions,
        rootedPaths: request.rootedPaths,
        custodian: request.custodian,
        overlayKey: request.overlay?.key,
        named,
      });
    case 'loose_files':
      return createLooseSource({ root, request });
  }
};
