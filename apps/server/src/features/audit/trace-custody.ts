/**
 * Where the file of an exhibit has been: what brought it in, every exchange that brought or took it, every rendition made from it, with the
 * hashes that were recorded then.
 *
 * - What this case knows stands in its own tables. That an exchange took a file from here is known by the exchange's ledger, which lies in the
 *   case it went to: of that case only its number and the number the exhibit got there are told.
 */
import {
  CaseId,
  type Actor,
  type ChainOfCustody,
  CaseboundError,
  type CustodyEvent,
  hasCode,
} from '@casebound/contract';
import type { CaseSessions, Database, Queryable } from '../../database/index.ts';

export interface CustodyParts {
  readonly sessions: CaseSessions;
  readonly control: Database;
}

/** Exchanges out of a case that are looked through, the newest first. */
const maxExchanges = 200;

interface DocumentRow {
  readonly document_id: string;
  readonly control_number: string;
  readonly document_key: string;
  readonly source_path: string | null;
  readonly file_name: string | null;
  readonly file_size: string | null;
  readonly md5_hash: string | null;
  readonly sha1_hash: string | null;
  readonly sha256_hash: string | null;
  readonly batch: string;
  readonly kind: string;
  readonly job_id: string | null;
  readonly source: string | null;
  readonly created_by: string | null;
  readonly created_at: Date;
  readonly variants: { type: string; position: number; size: number; sha256: string; objectKey: string }[];
}

const readDocument = async (tx: Queryable, exhibitId: number): Promise<DocumentRow> => {
  const { rows } = await tx.query<DocumentRow & Record<string, unknown>>(
    `SELECT d.document_id, e.control_number, d.document_key, d.source_path, d.file_name, d.file_size, d.md5_hash, d.sha1_hash, d.sha256_hash,
            b.name AS batch, b.kind, b.job_id, b.source, b.created_by, r.created_at,
            coalesce((SELECT jsonb_agg(jsonb_build_object('type', v.type, 'position', v.position, 'size', v.size, 'sha256', v.sha256, 'objectKey', v.object_key)
                                       ORDER BY v.type, v.position)
                      FROM source_document__variants v WHERE v.root_document_id = d.document_id), '[]') AS variants
     FROM exhibit e JOIN document r USING (document_id) JOIN source_document d ON d.document_id = e.document_document_id
     JOIN batch b ON b.document_id = e.batch_document_id WHERE e.document_id = $1`,
    [exhibitId],
  );
  const [row] = rows;
  if (row === undefined) throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  return row;
};

const hasExchanges = async (tx: Queryable): Promise<boolean> => {
  const { rows } = await tx.query<{ has: boolean }>(`SELECT to_regclass('exchange_exhibit') IS NOT NULL AS has`);
  return rows[0]?.has === true;
};

interface Received {
  readonly job_id: string;
  readonly source_control_number: string;
  readonly updated_at: Date | null;
}

/** Exchanges that brought the exhibit, or overlaid it. */
const readReceived = async (tx: Queryable, exhibitId: number): Promise<readonly Received[]> => {
  if (!(await hasExchanges(tx))) return [];
  const { rows } = await tx.query<Received & Record<string, unknown>>(
    `SELECT x.job_id, x.source_control_number,
            (SELECT max(i.updated_at) FROM exchange_item i WHERE i.job_id = x.job_id AND i.exhibit_id = x.exhibit_id) AS updated_at
     FROM exchange_exhibit x WHERE x.exhibit_id = $1 AND x.action IN ('inserted', 'overlaid') ORDER BY x.job_id`,
    [exhibitId],
  );
  return rows;
};

interface Job {
  readonly job_id: string;
  readonly source_case_id: string;
  readonly destination_case_id: string;
  readonly created_by: { readonly accountId?: string };
  readonly created_at: Date;
  readonly finished_at: Date | null;
  readonly state: string;
}

const readJobs = async (control: Database, caseId: CaseId, received: readonly string[]): Promise<readonly Job[]> =>
  control.transaction({ readOnly: true, alongside: true }, async (tx) => {
    const { rows: known } = await tx.query<{ has: boolean }>(`SELECT to_regclass('exchange.job') IS NOT NULL AS has`);
    if (known[0]?.has !== true) return [];
    const { rows } = await tx.query<Job & Record<string, unknown>>(
      `SELECT job_id, source_case_id, destination_case_id, created_by, created_at, finished_at, state FROM exchange.job
       WHERE source_case_id = $1 OR job_id = ANY ($2::uuid[]) ORDER BY job_id DESC LIMIT $3`,
      [caseId, received, maxExchanges],
    );
    return rows;
  });

const byOf = (job: Job | undefined): string | null =>
  job?.created_by.accountId ?? (job === undefined ? null : 'system');

/** The number that an exhibit got in the case an exchange took it to; undefined when that exchange did not take it. */
const findSent = async (
  sessions: CaseSessions,
  actor: Actor,
  job: Job,
  exhibitId: number,
): Promise<{ readonly control_number: string | null } | undefined> => {
  try {
    return await sessions.withCase(
      CaseId.parse(Number(job.destination_case_id)),
      actor,
      async (tx) => {
        if (!(await hasExchanges(tx))) return undefined;
        const { rows } = await tx.query<{ control_number: string | null }>(
          `SELECT control_number FROM exchange_exhibit WHERE job_id = $1 AND source_exhibit_id = $2 AND action IN ('inserted', 'overlaid')`,
          [job.job_id, exhibitId],
        );
        return rows[0];
      },
      { readOnly: true },
    );
  } catch (error) {
    if (hasCode(error, 'case_not_found') || hasCode(error, 'case_busy')) return undefined;
    throw error;
  }
};

export const traceCustody = async (
  { sessions, control }: CustodyParts,
  actor: Actor,
  caseId: CaseId,
  exhibitId: number,
): Promise<ChainOfCustody> => {
  const { document, received } = await sessions.withCase(
    caseId,
    actor,
    async (tx) => ({ document: await readDocument(tx, exhibitId), received: await readReceived(tx, exhibitId) }),
    { readOnly: true },
  );
  const jobs = await readJobs(
    control,
    caseId,
    received.map((it) => it.job_id),
  );
  const files = document.variants.map(({ objectKey: _key, ...file }) => file);
  const natives = files.filter(({ type }) => type === 'native');
  const events: CustodyEvent[] = [];
  if (document.kind === 'import') {
    events.push({
      at: document.created_at.toISOString(),
      kind: 'imported',
      what: `Import into the batch ${document.batch}${document.source === null ? '' : ` from ${document.source}`}.`,
      jobId: document.job_id,
      by: document.created_by,
      files: natives,
    });
  }
  for (const it of received) {
    const job = jobs.find(({ job_id: id }) => id === it.job_id);
    events.push({
      at: (it.updated_at ?? job?.finished_at ?? job?.created_at)?.toISOString() ?? null,
      kind: 'received',
      what: `Exchange${job === undefined ? '' : ` from the case ${job.source_case_id}`}, where it was ${it.source_control_number}.`,
      jobId: it.job_id,
      by: byOf(job),
      files,
    });
  }
  for (const job of jobs.filter(({ source_case_id: source }) => Number(source) === caseId).toReversed()) {
    const sent = await findSent(sessions, actor, job, exhibitId);
    if (sent === undefined) continue;
    events.push({
      at: (job.finished_at ?? job.created_at).toISOString(),
      kind: 'sent',
      what: `Exchange to the case ${job.destination_case_id}${sent.control_number === null ? '' : `, where it is ${sent.control_number}`} (${job.state}).`,
      jobId: job.job_id,
      by: byOf(job),
      files: [],
    });
  }
  for (const [type, renditions] of Map.groupBy(files, (file) => file.type)) {
    if (type === 'native') continue;
    events.push({
      at: null,
      kind: 'rendition',
      what: `Rendition as ${type}.`,
      jobId: null,
      by: null,
      files: renditions,
    });
  }
  return {
    exhibitId,
    controlNumber: document.control_number,
    documentKey: document.document_key,
    source: {
      path: document.source_path,
      fileName: document.file_name,
      size: document.file_size === null ? null : Number(document.file_size),
      md5: document.md5_hash,
      sha1: document.sha1_hash,
      sha256: document.sha256_hash,
    },
    events,
  };
};
