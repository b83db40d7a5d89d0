/**
 * Says what an exchange would do, and refuses what it could not: the check before a start and the dry run are the same.
 *
 * - Reads both cases, changes neither. Memory is one part of the selection.
 */
import {
  CaseboundError,
  type Actor,
  type CaseId,
  type ExchangePreview,
  type ExchangeRequest,
} from '@casebound/contract';
import { compileCopyPlan } from '@casebound/records';
import type { Queryable } from '../../database/index.ts';
import { newControlNumber } from './control-numbers.ts';
import { copyPolicy } from './copy-policy.ts';
import type { ExchangeDependencies } from './dependencies.ts';
import { mapCodes, readCodes, usedBits } from './remap-confidentiality.ts';
import { refuseUnredacted } from './refuse-unredacted.ts';
import { readSelection, selectionSql, type SelectedExhibit } from './select-exhibits.ts';
import { annotationsTravel, stagesOf } from './stages.ts';

type Parts = Pick<ExchangeDependencies, 'sessions' | 'records' | 'index' | 'engine' | 'control'>;

const pageSize = 5_000;
const examples = 10;
const longRead = { readOnly: true, alongside: true, statementTimeoutMs: 300_000, transactionTimeoutMs: 600_000 };

interface Kinds {
  readonly byKind: Record<string, { objects: number; bytes: number }>;
  pages: number;
  redacted: number;
  withoutPdf: number;
  redactedNatives: number;
}

const refuseCases = async ({ control }: Parts, request: ExchangeRequest): Promise<void> => {
  if (request.sourceCaseId === request.destinationCaseId)
    throw new CaseboundError('exchange_same_case', `Case ${request.sourceCaseId} is both source and destination.`);
  const { rows } = await control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ case_id: string; state: string }>(
      'SELECT case_id, state FROM core.cases WHERE case_id = ANY ($1::bigint[])',
      [[request.sourceCaseId, request.destinationCaseId]],
    ),
  );
  const stateOf = (caseId: CaseId): string | undefined => rows.find((row) => Number(row.case_id) === caseId)?.state;
  for (const caseId of [request.sourceCaseId, request.destinationCaseId]) {
    const state = stateOf(caseId);
    if (state === undefined) throw new CaseboundError('case_not_found', `There is no case ${caseId}.`);
    if (state === 'creating' || state === 'deleting')
      throw new CaseboundError('case_busy', `Case ${caseId} is being made or deleted.`, { retryAfterSeconds: 1 });
  }
  if (stateOf(request.destinationCaseId) === 'archived')
    throw new CaseboundError(
      'case_archived',
      `The case ${request.destinationCaseId} is archived; restore it before you change it.`,
    );
};

const travels = (request: ExchangeRequest, type: string): boolean => {
  switch (type) {
    case 'native':
      return request.includeNatives;
    case 'image':
      return request.includeImages;
    case 'text':
      return request.includeText;
    default:
      return true;
  }
};

const count = async (
  tx: Queryable,
  request: ExchangeRequest,
  page: readonly SelectedExhibit[],
  kinds: Kinds,
): Promise<void> => {
  const exhibitIds = page.map(({ exhibitId }) => exhibitId);
  const { rows } = await tx.query<{ type: string; objects: number; bytes: string }>(
    `SELECT type, count(*)::int AS objects, sum(size)::bigint AS bytes FROM source_document__variants WHERE root_document_id = ANY ($1::bigint[]) GROUP BY type`,
    [page.map(({ documentId }) => documentId)],
  );
  for (const { type, objects, bytes } of rows) {
    if (!travels(request, type)) continue;
    const known = (kinds.byKind[type] ??= { objects: 0, bytes: 0 });
    known.objects += objects;
    known.bytes += Number(bytes);
  }
  const { rows: facts } = await tx.query<{
    pages: number;
    texts: number;
    text_bytes: string;
    redacted: number;
    bare: number;
    natives: number;
  }>(
    `SELECT (SELECT count(*)::int FROM exhibit__pages WHERE root_document_id = ANY ($1::bigint[])) AS pages,
            (SELECT count(*)::int FROM exhibit__pages WHERE root_document_id = ANY ($1::bigint[]) AND text_sha256 IS NOT NULL) AS texts,
            (SELECT coalesce(sum(text_size), 0)::bigint FROM exhibit__pages WHERE root_document_id = ANY ($1::bigint[])) AS text_bytes,
            (SELECT count(*)::int FROM exhibit WHERE document_id = ANY ($1::bigint[]) AND redacted) AS redacted,
            (SELECT count(*)::int FROM exhibit e WHERE document_id = ANY ($1::bigint[])
               AND NOT EXISTS (SELECT FROM source_document__variants v WHERE v.root_document_id = e.document_document_id AND v.type = 'pdf')) AS bare,
            (SELECT count(*)::int FROM exhibit e WHERE document_id = ANY ($1::bigint[]) AND redacted
               AND EXISTS (SELECT FROM source_document__variants v WHERE v.root_document_id = e.document_document_id AND v.type = 'native')) AS natives`,
    [exhibitIds],
  );
  const [fact] = facts;
  if (fact === undefined) return;
  kinds.pages += fact.pages;
  kinds.redacted += fact.redacted;
  kinds.withoutPdf += fact.bare;
  kinds.redactedNatives += fact.natives;
  if (request.includeText && fact.texts > 0) {
    const known = (kinds.byKind['pageText'] ??= { objects: 0, bytes: 0 });
    known.objects += fact.texts;
    known.bytes += Number(fact.text_bytes);
  }
};

const compare = async (
  parts: Parts,
  actor: Actor,
  request: ExchangeRequest,
  page: readonly SelectedExhibit[],
  firstOrdinal: number,
): Promise<{ readonly conflicts: readonly string[]; readonly duplicates: number }> =>
  parts.sessions.withCase(
    request.destinationCaseId,
    actor,
    async (tx) => {
      const hashes = page.flatMap(({ hash }) => hash ?? []);
      const known =
        request.deduplicate === 'destination'
          ? await tx.query<{ hash: string }>(
              'SELECT DISTINCT sha256_hash AS hash FROM source_document WHERE sha256_hash = ANY ($1)',
              [hashes],
            )
          : { rows: [] };
      const present = new Set(known.rows.map(({ hash }) => hash));
      const isNew = ({ hash }: SelectedExhibit): boolean => hash === null || !present.has(hash);
      const numbers = page.flatMap((exhibit, at) =>
        isNew(exhibit) ? [newControlNumber(request.controlNumbers, exhibit.controlNumber, firstOrdinal + at)] : [],
      );
      const { rows } = await tx.query<{ control_number: string }>(
        'SELECT control_number FROM exhibit WHERE control_number = ANY ($1) ORDER BY 1',
        [numbers],
      );
      return { conflicts: rows.map((row) => row.control_number), duplicates: page.length - numbers.length };
    },
    longRead,
  );

const warningsOf = (request: ExchangeRequest, kinds: Kinds, conflicts: number): ExchangePreview['warnings'] => {
  const warnings: ExchangePreview['warnings'] = [];
  const { redactionsAs } = request.annotations;
  if (redactionsAs !== 'brand_in') {
    warnings.push({
      code: 'unapplied_redactions',
      message:
        redactionsAs === 'layer'
          ? 'Redactions travel as marks: the text beneath them travels, and the manifest says `unapplied`.'
          : 'Redactions are left out: the text beneath them travels.',
      exhibits: kinds.redacted,
    });
  }
  if (request.includeNatives && kinds.redactedNatives > 0) {
    warnings.push(
      request.nativesOfRedacted === 'withhold'
        ? {
            code: 'natives_withheld',
            message: 'Natives of redacted exhibits are withheld.',
            exhibits: kinds.redactedNatives,
          }
        : {
            code: 'natives_of_redacted',
            message: 'Natives of redacted exhibits travel: they show what is redacted.',
            exhibits: kinds.redactedNatives,
          },
    );
  }
  if (kinds.withoutPdf > 0)
    warnings.push({
      code: 'no_pdf',
      message: 'Exhibits without a PDF do not go into the document engine.',
      exhibits: kinds.withoutPdf,
    });
  if (conflicts > 0)
    warnings.push({
      code: 'conflicts',
      message: `Control numbers exist already; the choice is ${request.onConflict}.`,
      exhibits: conflicts,
    });
  return warnings;
};

/**
 * Errors: `exchange_same_case`, `case_not_found`, `case_busy`, `case_archived`, `exchange_unredacted_denied`, `exchange_selection_empty`,
 * `exchange_code_without_bit`, `copy_not_possible`, and what an engine says that does not answer.
 */
export const previewExchange = async (
  parts: Parts,
  actor: Actor,
  request: ExchangeRequest,
  signal?: AbortSignal,
): Promise<ExchangePreview> => {
  await refuseCases(parts, request);
  refuseUnredacted(actor, request);
  compileCopyPlan(
    parts.records.model,
    parts.records.model,
    copyPolicy(request, { jobId: 'preview', batchName: 'preview' }),
  );
  await parts.records.open(request.sourceCaseId, actor, signal);
  await parts.records.open(request.destinationCaseId, actor, signal);
  if (annotationsTravel(request)) await parts.engine.probe(signal === undefined ? {} : { signal });
  const selection = await selectionSql(parts.index, request);
  const kinds: Kinds = { byKind: {}, pages: 0, redacted: 0, withoutPdf: 0, redactedNatives: 0 };
  const conflicting: string[] = [];
  let [exhibits, families, conflicts, duplicates, used] = [0, 0, 0, 0, 0n];
  const options = { ...longRead, ...(signal === undefined ? {} : { signal }), retryOnConflict: false };
  const sourceCodes = await parts.sessions.withCase(
    request.sourceCaseId,
    actor,
    async (tx) => {
      for await (const page of readSelection(tx, selection, { pageSize, keepFamilies: request.families === 'keep' })) {
        await count(tx, request, page, kinds);
        used |= await usedBits(
          tx,
          page.map(({ exhibitId }) => exhibitId),
        );
        const found = await compare(parts, actor, request, page, exhibits + 1);
        conflicts += found.conflicts.length;
        duplicates += found.duplicates;
        conflicting.push(...found.conflicts.slice(0, examples - conflicting.length));
        exhibits += page.length;
        families += page.filter(({ byFamily }) => byFamily).length;
      }
      return readCodes(tx);
    },
    options,
  );
  if (exhibits === 0)
    throw new CaseboundError(
      'exchange_selection_empty',
      `The selection by ${request.selection.by} holds no exhibit of case ${request.sourceCaseId}.`,
    );
  const destinationCodes = await parts.sessions.withCase(request.destinationCaseId, actor, readCodes, longRead);
  mapCodes(sourceCodes, destinationCodes, used);
  return {
    exhibits,
    families,
    duplicates,
    conflicts,
    conflictExamples: conflicting,
    byKind: kinds.byKind,
    pages: kinds.pages,
    redacted: kinds.redacted,
    stages: [...stagesOf(request)],
    warnings: warningsOf(request, kinds, conflicts),
  };
};
