import { CaseId } from '@casebound/contract';
import { createCircuitBreaker } from '@casebound/messaging';
import { createClock } from '../../../clock/create-clock.ts';
import { SecretValue } from '../../../secrets/Port.ts';
import { nutrientDocumentEngineConfig } from '../../config.ts';
import { describeDocumentEngine } from '../../conformance.ts';
import { startNutrientServer } from '../../testing/nutrient-server.ts';
import { openNutrientDocumentEngine } from './nutrient-document-engine.ts';

describeDocumentEngine('Nutrient', async () => {
  const server = await startNutrientServer();
  const clock = createClock();
  const engine = openNutrientDocumentEngine(
    nutrientDocumentEngineConfig.parse({ kind: 'nutrient', url: server.url, apiToken: 'secret-token' }),
    {
      clock,
      secrets: { get: async () => new SecretValue('secret-token'), refresh: async () => undefined },
      breaker: createCircuitBreaker({ name: 'document-engine', clock }),
      verify: server.pdf.verify,
    },
  );
  return {
    engine,
    caseId: CaseId.parse(7),
    dispose: async () => {
      await engine.close();
      await server.stop();
    },
  };
});
