import { createCircuitBreaker } from '@casebound/messaging';
import { describe, expect, it } from 'vitest';
import { createClock } from '../../../clock/create-clock.ts';
import { objectKey } from '../../../object-store/Port.ts';
import { SecretValue } from '../../../secrets/Port.ts';
import { nutrientDocumentEngineConfig, pdfWorkersConfigSchema } from '../../config.ts';
import { describeDocumentEngine } from '../../conformance.ts';
import { createDocumentEngine } from '../../create-document-engine.ts';
import { createPdfWorkers } from '../../pdf-workers/create-pdf-workers.ts';
import { redaction } from '../../testing/sample-annotations.ts';
import { samplePdf } from '../../testing/sample-pdf.ts';
import { startNutrientServer } from '../../testing/nutrient-server.ts';
import { nutrientCase, nutrientId, openNutrient } from '../../testing/open-nutrient.ts';

describeDocumentEngine('Nutrient', async () => {
  const server = await startNutrientServer();
  const { engine } = openNutrient(server);
  return {
    engine,
    caseId: nutrientCase,
    // It is given the bytes.
    store: async () => Promise.resolve(objectKey('unused')),
    remove: async () => Promise.resolve(),
    dispose: async () => {
      await engine.close();
      const copies = server.requests.filter(({ path }) => /copy/.test(path));
      await server.stop();
      // The copy of a document has its unredacted base layer.
      if (copies.length > 0) throw new Error('a document was copied');
    },
  };
});

describe('Nutrient as the configuration asks for it', () => {
  it('has its redactions proved by the worker threads of this process', async () => {
    const server = await startNutrientServer();
    const workers = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
    const clock = createClock();
    const config = nutrientDocumentEngineConfig.parse({
      kind: 'nutrient',
      url: server.url,
      apiToken: 'secret://engine/token',
    });
    const unused = { withCase: async () => Promise.reject(new Error('not asked for')) };
    const engine = await createDocumentEngine(config, {
      workers,
      cases: unused,
      objects: {
        put: unused.withCase,
        get: unused.withCase,
        readAll: unused.withCase,
        copyAll: unused.withCase,
        delete: unused.withCase,
        flush: unused.withCase,
      },
      nutrient: () => ({
        clock,
        secrets: { get: async () => new SecretValue('secret-token'), refresh: async () => undefined },
        breaker: createCircuitBreaker({ name: 'nutrient', clock }),
        workers,
      }),
    });
    const id = nutrientId(1);
    // Large enough for its bytes to be moved to the worker, not copied.
    const pages = Array.from({ length: 300 }, (_, at) => ['Pay the SECRET amount today', `page ${at}`]);
    const pdf = samplePdf(pages);
    expect(pdf.length).toBeGreaterThan(65_536);
    await engine.putDocument(id, pdf);
    await engine.createAnnotations(
      id,
      [0, 150, 299].map((page) => redaction(`r${page}`, [107, 86, 58, 18], page)),
    );
    expect(await engine.applyRedactions(id)).toMatchObject({ applied: 3, pageCount: 300 });
    expect(await engine.searchText(id, 'secret')).toHaveLength(297);
    expect(workers.statistics().finished).toBe(1);
    await engine.close();
    await workers.close();
    await server.stop();
  }, 30_000);
});
