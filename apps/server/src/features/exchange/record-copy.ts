/**
 * The record copy of an exchange: its selection, its plan, the copy itself, and what the ledger learns from it.
 *
 * - Every part can be repeated: the snapshot replaces itself until the copy has begun, the copy goes on where it was, and linking ledger and
 *   field values changes nothing the second time.
 * - Within one database the copy runs in transactions that hold both cases; between two its rows are streamed.
 */
import { CaseboundError, hasCode, type CaseId } from '@casebound/contract';
import {
  compileCopyPlan,
  copyRecords,
  copyState,
  mapRecords,
  openCopy,
  selectRecords,
  setValueMap,
  type CopyPlan,
  type CopySummary,
  type OpenCopyOptions,
  type RecordCopy,
  type RecordDatabase,
  type StreamingDatabase,
} from '@casebound/records';
import { caseSchema } from '../../database/index.ts';
import { newControlNumber } from './control-numbers.ts';
import { copyPolicy, valueMaps } from './copy-policy.ts';
import type { ExchangeDependencies } from './dependencies.ts';
import type { ExchangeJob } from './job-store.ts';
import { mapCodes, readCodes, requireOwnBits, usedBits } from './remap-confidentiality.ts';
import { readSelection, selectionSql, type SelectedExhibit } from './select-exhibits.ts';

type Parts = Pick<
  ExchangeDependencies,
  'sessions' | 'records' | 'control' | 'index' | 'config' | 'owner' | 'crashPoint'
>;

/** Reading a large selection or writing a large chunk may take longer than a request may. */
const longTransaction = { statementTimeoutMs: 600_000, transactionTimeoutMs: 1_800_000 };
const pageSize = 5_000;

export const batchName = (job: Pick<ExchangeJob, 'jobId' | 'request'>): string =>
  job.request.batchName ?? `Exchange ${job.jobId}`;

interface Placement {
  readonly server: string;
  readonly databaseName: string;
}

const placementOf = async ({ control }: Parts, caseId: CaseId): Promise<Placement> =>
  control.transaction({ readOnly: true, alongside: true }, async (tx) => {
    const { rows } = await tx.query<{ server: string; database_name: string }>(
      'SELECT server, database_name FROM core.case_placement JOIN core.case_database USING (case_database_id) WHERE case_id = $1',
      [caseId],
    );
    const [row] = rows;
    if (row === undefined) throw new CaseboundError('case_not_found', `There is no case ${caseId}.`);
    return { server: row.server, databaseName: row.database_name };
  });

/** Both cases in one transaction, with the destination's rights. */
const pairDatabase = ({ sessions }: Parts, job: ExchangeJob, signal: AbortSignal): RecordDatabase => ({
  transaction: async (fn) =>
    sessions.withTwoCases(job.sourceCaseId, job.destinationCaseId, job.createdBy, async (tx) => fn(tx), {
      ...longTransaction,
      retryOnConflict: false,
      signal,
    }),
});

const across = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<OpenCopyOptions['across']> => {
  const [from, to] = [await placementOf(parts, job.sourceCaseId), await placementOf(parts, job.destinationCaseId)];
  if (from.server === to.server && from.databaseName === to.databaseName) return undefined;
  const source: StreamingDatabase = {
    transaction: async (fn) =>
      parts
        .owner(from.server, from.databaseName)
        .transaction(
          { ...longTransaction, retryOnConflict: false, signal, alongside: true, isolation: 'repeatable read' },
          async (tx) => {
            await tx.script(`SET LOCAL search_path = "${caseSchema(job.sourceCaseId)}", pg_temp`);
            return fn(tx);
          },
        ),
  };
  const destination: StreamingDatabase = {
    transaction: async (fn) =>
      parts
        .owner(to.server, to.databaseName)
        .transaction({ ...longTransaction, retryOnConflict: false, signal, alongside: true }, async (tx) => {
          await tx.script(`SET LOCAL search_path = "${caseSchema(job.destinationCaseId)}", pg_temp`);
          return fn(tx);
        }),
  };
  return { source, destination };
};

const planOf = ({ records }: Pick<Parts, 'records'>, job: ExchangeJob): CopyPlan =>
  compileCopyPlan(
    records.model,
    records.model,
    copyPolicy(job.request, { jobId: job.jobId, batchName: batchName(job) }),
  );

const sourceStoreOf = (job: ExchangeJob): string => `case ${job.sourceCaseId}`;

/** Opens the copy of a job, which goes on where it was. */
export const openJobCopy = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<RecordCopy> => {
  const { records, config } = parts;
  const bridge = await across(parts, job, signal);
  const [source, destination] = [
    await records.open(job.sourceCaseId, job.createdBy, signal),
    await records.open(job.destinationCaseId, job.createdBy, signal),
  ];
  return openCopy({
    plan: planOf(parts, job),
    source,
    destination: bridge === undefined ? { ...destination, database: pairDatabase(parts, job, signal) } : destination,
    key: job.jobId,
    sourceStore: sourceStoreOf(job),
    parallel: config.copyParallel,
    chunkSize: config.copyChunk,
    signal,
    ...(bridge === undefined ? {} : { across: bridge }),
  });
};

const insertPage = async (
  parts: Parts,
  job: ExchangeJob,
  page: readonly SelectedExhibit[],
  firstOrdinal: number,
): Promise<void> => {
  const { request } = job;
  await parts.sessions.withCase(
    job.destinationCaseId,
    job.createdBy,
    async (tx) => {
      const hashes = request.deduplicate === 'destination' ? page.flatMap(({ hash }) => hash ?? []) : [];
      const { rows } =
        hashes.length === 0
          ? { rows: [] }
          : await tx.query<{ hash: string }>(
              'SELECT DISTINCT sha256_hash AS hash FROM source_document WHERE sha256_hash = ANY ($1)',
              [hashes],
            );
      const known = new Set(rows.map(({ hash }) => hash));
      await tx.query(
        `INSERT INTO exchange_exhibit (job_id, source_exhibit_id, source_document_id, ordinal, source_control_number, source_batch_id, source_document_key, control_number, action, by_family)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::boolean[])
         ON CONFLICT (job_id, source_exhibit_id) DO NOTHING`,
        [
          job.jobId,
          page.map(({ exhibitId }) => exhibitId),
          page.map(({ documentId }) => documentId),
          page.map((_, at) => firstOrdinal + at),
          page.map(({ controlNumber }) => controlNumber),
          page.map(({ batchId }) => batchId),
          page.map(({ documentKey }) => documentKey),
          page.map(({ controlNumber }, at) =>
            newControlNumber(request.controlNumbers, controlNumber, firstOrdinal + at),
          ),
          page.map(({ hash }) => (hash !== null && known.has(hash) ? 'duplicate' : 'selected')),
          page.map(({ byFamily }) => byFamily),
        ],
      );
    },
    { ...longTransaction, alongside: true },
  );
};

/** Writes down which exhibits travel, in order. Replaces what an interrupted snapshot left. @returns how many, and the bits of their codes. */
const snapshot = async (
  parts: Parts,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<{ readonly exhibits: number; readonly used: bigint }> => {
  const selection = await selectionSql(parts.index, job.request);
  await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
    tx.query('DELETE FROM exchange_exhibit WHERE job_id = $1', [job.jobId]),
  );
  return parts.sessions.withCase(
    job.sourceCaseId,
    job.createdBy,
    async (tx) => {
      let exhibits = 0;
      let used = 0n;
      const keepFamilies = job.request.families === 'keep';
      for await (const page of readSelection(tx, selection, { pageSize, keepFamilies })) {
        signal.throwIfAborted();
        await insertPage(parts, job, page, exhibits + 1);
        used |= await usedBits(
          tx,
          page.map(({ exhibitId }) => exhibitId),
        );
        exhibits += page.length;
      }
      return { exhibits, used };
    },
    { ...longTransaction, readOnly: true, alongside: true, retryOnConflict: false, signal },
  );
};

interface LedgerPage {
  readonly rows: readonly {
    readonly ordinal: number;
    readonly sourceExhibitId: number;
    readonly sourceControlNumber: string;
    readonly controlNumber: string;
  }[];
}

/** Exhibits to be copied, in pages by ordinal. */
async function* selectedPages(parts: Parts, job: ExchangeJob): AsyncGenerator<LedgerPage['rows']> {
  for (let after = 0; ;) {
    const from = after;
    const { rows } = await parts.sessions.withCase(
      job.destinationCaseId,
      job.createdBy,
      async (tx) =>
        tx.query<{ ordinal: string; source_exhibit_id: string; source_control_number: string; control_number: string }>(
          `SELECT ordinal, source_exhibit_id, source_control_number, control_number FROM exchange_exhibit
           WHERE job_id = $1 AND ordinal > $2 AND action = 'selected' ORDER BY ordinal LIMIT $3`,
          [job.jobId, from, pageSize],
        ),
      { readOnly: true },
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = Number(last.ordinal);
    yield rows.map((row) => ({
      ordinal: Number(row.ordinal),
      sourceExhibitId: Number(row.source_exhibit_id),
      sourceControlNumber: row.source_control_number,
      controlNumber: row.control_number,
    }));
  }
}

/** What an earlier try selected stays as it was, in the ledger too: what is not mapped yet is mapped now. */
const namedConflicts = 5;

/** Maps; a conflict is told with the control numbers that are taken, since somebody has to find them. */
const mapOrName = async (parts: Parts, job: ExchangeJob, copy: RecordCopy): Promise<void> => {
  try {
    await mapRecords(copy);
  } catch (error) {
    if (!(error instanceof CaseboundError) || error.code !== 'copy_conflict') throw error;
    const { rows } = await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
      tx.query<{ control_number: string; all: number }>(
        `SELECT x.control_number, (count(*) OVER ())::int AS all FROM exchange_exhibit e JOIN exhibit x ON x.control_number = e.control_number
         WHERE e.job_id = $1 AND e.action = 'selected' ORDER BY e.ordinal LIMIT ${namedConflicts}`,
        [job.jobId],
      ),
    );
    const [first] = rows;
    if (first === undefined) throw error;
    const more = first.all > rows.length ? ` and ${first.all - rows.length} more` : '';
    throw new CaseboundError(
      'copy_conflict',
      `${error.message} Taken: ${rows.map((row) => row.control_number).join(', ')}${more}. Choose \`skip\` or \`overlay\`, or other control numbers.`,
      { errors: error.errors, cause: error },
    );
  }
};

const prepareAgain = async (parts: Parts, job: ExchangeJob, copy: RecordCopy): Promise<{ exhibits: number }> => {
  if ((await copyState(copy)) === 'mapping') await mapOrName(parts, job, copy);
  const { rows } = await parts.sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) =>
    tx.query<{ exhibits: number }>('SELECT count(*)::int AS exhibits FROM exchange_exhibit WHERE job_id = $1', [
      job.jobId,
    ]),
  );
  return { exhibits: rows[0]?.exhibits ?? 0 };
};

/**
 * Selects and maps: says what every record will become, before one is written.
 * @throws CaseboundError `copy_conflict`, `copy_not_possible`, `exchange_code_without_bit`, `exchange_selection_empty`
 */
export const prepareRecords = async (
  parts: Parts,
  job: ExchangeJob,
  signal: AbortSignal,
): Promise<{ exhibits: number }> => {
  const copy = await openJobCopy(parts, job, signal);
  if ((await copyState(copy)) !== 'selecting') return prepareAgain(parts, job, copy);
  const { exhibits, used } = await snapshot(parts, job, signal);
  if (exhibits === 0) throw new CaseboundError('exchange_selection_empty', 'The selection holds no exhibit any more.');
  const read = { readOnly: true, signal };
  const source = await parts.sessions.withCase(
    job.sourceCaseId,
    job.createdBy,
    async (tx) => ({
      codes: await readCodes(tx),
      fields: job.request.includeCustomFields
        ? (await tx.query<{ id: string }>('SELECT document_id AS id FROM custom_field')).rows.map(({ id }) =>
            Number(id),
          )
        : [],
    }),
    read,
  );
  const present = await parts.sessions.withCase(job.destinationCaseId, job.createdBy, readCodes, read);
  const codes = mapCodes(source.codes, present, used);
  const weight = (bit: number): string => String(1n << BigInt(bit));
  await setValueMap(
    copy,
    valueMaps.confidentialityBits,
    codes.map(({ from, to }) => [String(from), String(to)] as const),
  );
  await setValueMap(
    copy,
    valueMaps.confidentialityWeights,
    codes.map(({ from, to }) => [weight(from), weight(to)] as const),
  );
  if (job.request.controlNumbers.policy === 'renumber') {
    const numbers: (readonly [string, string])[] = [];
    for await (const page of selectedPages(parts, job))
      for (const row of page) numbers.push([row.sourceControlNumber, row.controlNumber]);
    await setValueMap(copy, valueMaps.controlNumbers, numbers);
  }
  await selectRecords(copy, [...codes.map(({ documentId }) => documentId), ...source.fields]);
  for await (const page of selectedPages(parts, job)) {
    signal.throwIfAborted();
    await selectRecords(
      copy,
      page.map(({ sourceExhibitId }) => sourceExhibitId),
    );
  }
  await mapOrName(parts, job, copy);
  return { exhibits };
};

/** Writes what `prepareRecords` mapped, or goes on writing it, and tells the ledger what became of each exhibit. */
export const copyJobRecords = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<CopySummary> => {
  const summary = await copyRecords(await openJobCopy(parts, job, signal));
  await parts.sessions.withCase(
    job.destinationCaseId,
    job.createdBy,
    async (tx) => {
      await requireOwnBits(tx, job.jobId);
      await linkLedger(tx, job.jobId);
    },
    { ...longTransaction, signal },
  );
  return summary;
};

const linkLedger = async (
  tx: { query(text: string, values: readonly unknown[]): Promise<unknown> },
  jobId: string,
): Promise<void> => {
  await tx.query(
    `UPDATE exchange_exhibit e
     SET action = CASE m.action WHEN 'i' THEN 'inserted' WHEN 'o' THEN 'overlaid' ELSE 'skipped' END,
         exhibit_id = CASE WHEN m.action IN ('i', 'o') THEN m.document_id END,
         document_id = CASE WHEN m.action IN ('i', 'o') THEN x.document_document_id END,
         document_key = CASE WHEN m.action IN ('i', 'o') THEN d.document_key END,
         control_number = x.control_number
     FROM record_copy_job j JOIN record_copy_map m USING (job_id) JOIN exhibit x ON x.document_id = m.document_id
       JOIN source_document d ON d.document_id = x.document_document_id
     WHERE e.job_id = $1 AND e.action = 'selected' AND j.job_key = $1::text AND m.source_document_id = e.source_exhibit_id`,
    [jobId],
  );
  await tx.query(`UPDATE exchange_exhibit SET action = 'missing' WHERE job_id = $1 AND action = 'selected'`, [jobId]);
};

/**
 * Opens the copy of a job for taking it back, which concerns the destination alone: the source may be gone by now, and then the
 * destination's store, of the same model, stands in its place.
 */
export const openJobRemoval = async (parts: Parts, job: ExchangeJob, signal: AbortSignal): Promise<RecordCopy> => {
  const { records, config } = parts;
  const destination = await records.open(job.destinationCaseId, job.createdBy, signal);
  const source = await records.open(job.sourceCaseId, job.createdBy, signal).catch((error: unknown) => {
    if (hasCode(error, 'case_not_found') || hasCode(error, 'case_busy')) return destination;
    throw error;
  });
  return openCopy({
    plan: planOf(parts, job),
    source,
    destination,
    key: job.jobId,
    sourceStore: sourceStoreOf(job),
    parallel: config.copyParallel,
    chunkSize: config.copyChunk,
    signal,
  });
};
