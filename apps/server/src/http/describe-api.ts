/** The OpenAPI document of Casebound, as it is served and as it is committed. */
import { describeOpenApi } from '@casebound/contract';
import type { OpenApiDocument, OperationMap } from '@casebound/contract';

export const describeApi = (operations: OperationMap, version: string): OpenApiDocument =>
  describeOpenApi(operations, {
    title: 'Casebound',
    version,
    description:
      'Self-hosted eDiscovery. Errors are problem documents (RFC 9457); docs/errors.md explains their codes, docs/http.md the rules that all operations share.',
  });
