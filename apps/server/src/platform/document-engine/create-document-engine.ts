/** The one place that knows which adapter a configuration asks for. */
import { CaseboundError } from '@casebound/contract';
import { openBuiltinDocumentEngine } from './adapters/builtin/builtin-document-engine.ts';
import type { BuiltinDependencies } from './adapters/builtin/dependencies.ts';
import type { NutrientDependencies } from './adapters/nutrient/dependencies.ts';
import type { DocumentEngineConfig } from './config.ts';
import type { DocumentEngine } from './Port.ts';

export interface CreateDocumentEngineOptions extends BuiltinDependencies {
  /** Asked for only when the configuration names the engine of Nutrient. */
  readonly nutrient?: () => NutrientDependencies;
}

/** Opens the engine. The caller closes it, and its workers after it. Errors: `config_invalid`. */
export const createDocumentEngine = async (
  config: DocumentEngineConfig,
  { nutrient, ...builtin }: CreateDocumentEngineOptions,
): Promise<DocumentEngine> => {
  switch (config.kind) {
    case 'builtin':
      return openBuiltinDocumentEngine(builtin);
    case 'nutrient': {
      if (nutrient === undefined)
        throw new CaseboundError(
          'config_invalid',
          'documentEngine.kind is `nutrient`, but this process has no way to reach that engine.',
        );
      const { openNutrientDocumentEngine } = await import('./adapters/nutrient/nutrient-document-engine.ts');
      return openNutrientDocumentEngine(config, nutrient());
    }
  }
};
