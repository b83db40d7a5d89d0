/** `/openapi.json` and `/docs`, rendered once at start. */
import { createHash } from 'node:crypto';
import type { OperationMap } from '@casebound/contract';
import { describeApi } from './describe-api.ts';
import { docsStyle, renderDocs } from './render-docs.ts';

export interface Document {
  readonly path: '/docs' | '/openapi.json';
  readonly operation: string;
  readonly answer: { readonly headers: Readonly<Record<string, string>>; readonly body: string };
}

export const createDocuments = (operations: OperationMap, version: string): Document[] => {
  const styleHash = createHash('sha256').update(docsStyle).digest('base64');
  return [
    {
      path: '/openapi.json',
      operation: 'getOpenApi',
      answer: {
        headers: { 'content-type': 'application/json; charset=utf-8' },
        body: JSON.stringify(describeApi(operations, version)),
      },
    },
    {
      path: '/docs',
      operation: 'getDocs',
      answer: {
        headers: {
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
        },
        body: renderDocs(operations, version),
      },
    },
  ];
};
