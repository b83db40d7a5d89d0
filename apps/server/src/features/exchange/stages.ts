/**
 * The stages that an exhibit passes, which of them an exchange needs, and what their queues and workers are called.
 *
 * - Names are made of job facts alone, so that a lost answer to a create call finds again what it made. What was made is kept in the job's
 *   row by its real name and address, and only that is used to find it.
 */
import {
  exchangeStages,
  type BatchId,
  type CaseId,
  type ExchangeRequest,
  type ExchangeStage,
} from '@casebound/contract';

/** Annotations travel when one kind at least is not left out. */
export const annotationsTravel = ({ annotations }: Pick<ExchangeRequest, 'annotations'>): boolean =>
  Object.values(annotations).some((route) => route !== 'omit');

/**
 * Which stages an exchange needs: object copy when natives, images or text travel or nothing is annotated; the pre-uploader and
 * reading text anew when annotations travel or it is asked for; the uploader and the index always.
 */
export const stagesOf = (request: ExchangeRequest): readonly ExchangeStage[] => {
  const annotated = annotationsTravel(request) || request.reOcr;
  const copies = request.includeNatives || request.includeImages || request.includeText || !annotated;
  return exchangeStages.filter((stage) => {
    switch (stage) {
      case 'object_copy':
        return copies;
      case 'pre_uploader':
      case 're_ocr':
        return annotated;
      case 'uploader':
      case 'search_text':
        return true;
    }
  });
};

/** Stages whose messages payload construction sends; the others are handed on to. */
export const firstStages = (stages: readonly ExchangeStage[]): readonly ExchangeStage[] =>
  stages.filter((stage) => stage === 'object_copy' || stage === 'pre_uploader');

export const queueName = (stage: ExchangeStage, caseId: CaseId, batchId: BatchId): string =>
  `doc_exch_${stage}_queue_${caseId}_${batchId}`;

export const workerName = (stage: ExchangeStage, caseId: CaseId, batchId: BatchId): string =>
  `doc_exch_${stage}_worker_${caseId}_${batchId}`;

/** Name of a stage's handler in the catalogue. */
export const handlerName = (stage: ExchangeStage): string => `exchange_${stage}`;
