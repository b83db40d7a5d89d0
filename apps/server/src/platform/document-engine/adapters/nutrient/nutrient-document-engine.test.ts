import { describeDocumentEngine } from '../../conformance.ts';
import { startNutrientServer } from '../../testing/nutrient-server.ts';
import { nutrientCase, openNutrient } from '../../testing/open-nutrient.ts';

describeDocumentEngine('Nutrient', async () => {
  const server = await startNutrientServer();
  const { engine } = openNutrient(server);
  return {
    engine,
    caseId: nutrientCase,
    dispose: async () => {
      await engine.close();
      const copies = server.requests.filter(({ path }) => /copy/.test(path));
      await server.stop();
      // The copy of a document has its unredacted base layer.
      if (copies.length > 0) throw new Error('a document was copied');
    },
  };
});
