/**
 * What of the records travels, and what changes on the way: the policy of the record copy, from the options of an exchange.
 *
 * - Exhibits and their documents are new in the destination; custodians, labels, folders, codes and definitions of fields are those that it
 *   has under the same name, else new. What the case model does not know yet travels by the record copy's own rule: matched, or new.
 * - Variants do not travel with the records: a processor adds each in the transaction that proves its object.
 */
import type { ControlNumberPolicy, ExchangeRequest } from '@casebound/contract';
import {
  lookUpValue,
  prefixValue,
  remapBits,
  sourceDocumentId,
  type ColumnHook,
  type CopyPolicy,
} from '@casebound/records';

/** Value maps that the copy of an exchange sets. */
export const valueMaps = {
  controlNumbers: 'control_numbers',
  /** Weight of a bit in the source -> weight in the destination. */
  confidentialityWeights: 'confidentiality_weights',
  /** Bit of a code in the source -> bit in the destination. */
  confidentialityBits: 'confidentiality_bits',
} as const;

/** Key of a copied document: the same whenever it is computed for the job. */
const newDocumentKey: ColumnHook = (scope) => `md5(${scope.parameter('job')} || '/' || ${scope.value})::uuid::text`;

const controlNumber = (policy: ControlNumberPolicy): Readonly<Record<string, ColumnHook | 'null'>> => {
  switch (policy.policy) {
    case 'keep':
      return {};
    case 'prefix':
      return { '$.controlNumber': prefixValue('prefix'), '$.controlNumberEnd': prefixValue('prefix') };
    case 'renumber':
      return { '$.controlNumber': lookUpValue(valueMaps.controlNumbers), '$.controlNumberEnd': 'null' };
  }
};

export const copyPolicy = (
  request: ExchangeRequest,
  facts: { readonly jobId: string; readonly batchName: string },
): CopyPolicy => {
  const { families, onConflict, includeHistory, includeLabels, includeFolders, includeText } = request;
  const split = families === 'split';
  const log = includeHistory ? ({ mode: 'insert', onConflict } as const) : ({ mode: 'exclude' } as const);
  return {
    mode: 'match',
    parameters: {
      job: facts.jobId,
      batch: facts.batchName,
      prefix: request.controlNumbers.policy === 'prefix' ? request.controlNumbers.prefix : '',
    },
    resources: {
      'Casebound.Batch': { mode: 'match', columns: { '$.name': (scope) => scope.parameter('batch') } },
      'Casebound.Document': {
        mode: 'insert',
        onConflict: 'fail',
        columns: {
          '$.documentKey': newDocumentKey,
          '$.documentProperties': 'null',
          ...(split ? { '$.familyRootReference': 'null' as const } : {}),
        },
        rows: { '$.variants': 'exclude' },
      },
      'Casebound.Exhibit': {
        mode: 'insert',
        onConflict,
        columns: {
          ...controlNumber(request.controlNumbers),
          '$.number': sourceDocumentId,
          '$.confidentialityStatus': remapBits(valueMaps.confidentialityWeights),
          ...(split ? ({ '$.parentExhibitReference': 'null', '$.familyReference': 'null' } as const) : {}),
          ...(includeText
            ? {}
            : ({
                '$.pages[*].textSource': 'null',
                '$.pages[*].textSize': 'null',
                '$.pages[*].textSha256': 'null',
              } as const)),
        },
        rows: {
          ...(includeLabels ? {} : ({ '$.labels': 'exclude' } as const)),
          ...(includeFolders ? {} : ({ '$.folders': 'exclude' } as const)),
        },
      },
      'Casebound.ConfidentialityCode': {
        mode: 'match',
        columns: { '$.bit': (scope) => `(${lookUpValue(valueMaps.confidentialityBits)(scope)})::bigint` },
      },
      'Casebound.ConfidentialityLog':
        log.mode === 'exclude'
          ? log
          : {
              ...log,
              columns: {
                '$.oldStatus': remapBits(valueMaps.confidentialityWeights),
                '$.newStatus': remapBits(valueMaps.confidentialityWeights),
              },
            },
      'Casebound.RelevancyLog': log,
      ...(includeLabels
        ? {}
        : { 'Casebound.Label': { mode: 'exclude' } as const, 'Casebound.LabelCategory': { mode: 'exclude' } as const }),
      ...(includeFolders ? {} : { 'Casebound.FolderTag': { mode: 'exclude' } as const }),
    },
    dependents: includeHistory
      ? [
          { resource: 'Casebound.ConfidentialityLog', reference: '$.exhibitReference' },
          { resource: 'Casebound.RelevancyLog', reference: '$.exhibitReference' },
        ]
      : [],
  };
};
