/**
 * Files that are made from code and committed, so that they can be read without running anything. A new one adds its line
 * here; `npm run check` and a test fail while one is stale.
 */
import { operations, renderEvents } from '@casebound/contract';
import serverPackage from '../../apps/server/package.json' with { type: 'json' };
import { renderConfigurationReference } from '../../apps/server/src/config/render-reference.ts';
import { describeApi } from '../../apps/server/src/http/describe-api.ts';
import { renderCaseSchema } from './case-schema.ts';
import { renderErrors } from './render-errors.ts';

export interface Artefact {
  /** From the root of the repository. */
  readonly path: string;
  /** The whole file. The same code must give the same text. */
  readonly render: () => string | Promise<string>;
}

export const artefacts: readonly Artefact[] = [
  { path: 'schemas/case.api-schema.json', render: renderCaseSchema },
  {
    path: 'openapi.json',
    render: () => `${JSON.stringify(describeApi(operations, serverPackage.version), undefined, 2)}\n`,
  },
  { path: 'docs/errors.md', render: renderErrors },
  { path: 'docs/events.md', render: renderEvents },
  { path: 'docs/configuration.md', render: renderConfigurationReference },
];
