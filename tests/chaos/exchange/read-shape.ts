/** What a case and its installation hold, in counts that are equal for equal exchanges. */
import path from 'node:path';
import { BatchId, DocumentId, ExhibitId, type CaseId } from '@casebound/contract';
import type { JoinedExchange } from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import { testActor } from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import { formatDocumentId } from '../../../apps/server/src/platform/document-engine/Port.ts';
import { objectPrefix } from '../../../apps/server/src/platform/object-store/Port.ts';

export interface Shape {
  /** Rows of each table of the case. */
  readonly rows: Readonly<Record<string, number>>;
  /** Objects by key, without what differs from exchange to exchange. */
  readonly objects: Readonly<Record<string, number>>;
  readonly indexed: number;
  readonly engineDocuments: number;
  readonly annotations: number;
}

/** Tables that hold how the work went and not what it led to. */
const ofTheWork = /^(record_copy_chunk|audit_|etag_bump|document_cache)/;

const rowCounts = async ({ parts }: JoinedExchange, caseId: CaseId): Promise<Record<string, number>> =>
  parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1`,
    );
    const names = rows.flatMap(({ name }) => (ofTheWork.test(name) ? [] : [name]));
    const counts = await tx.query<{ name: string; n: number }>(
      names.map((name) => `SELECT '${name}' AS name, count(*)::int AS n FROM "${name}"`).join(' UNION ALL '),
    );
    return Object.fromEntries(counts.rows.map(({ name, n }) => [name, n]));
  });

/** A part of a key with a digit is an id, a hash or a position. */
const anonymous = (key: string): string =>
  key
    .split('/')
    .map((part) => (/\d/.test(part) ? `*${path.extname(part)}` : part))
    .join('/');

/** What a process that died had begun to write into the engine is written down as loose, and goes a day later: now. */
const sweepEngine = async ({ parts }: JoinedExchange, caseId: CaseId): Promise<void> => {
  await parts.sessions.withCase(caseId, testActor, async (tx) =>
    tx.query('UPDATE engine_loose_object SET delete_after = now()'),
  );
  const nobody = {
    batchId: BatchId.parse(1),
    documentId: DocumentId.parse(1),
    exhibitId: ExhibitId.parse(999_999_999),
  };
  await parts.engine.deleteDocument(formatDocumentId({ caseId, ...nobody }));
};

export const readShape = async (world: JoinedExchange, caseId: CaseId): Promise<Shape> => {
  const { objects, index, engine } = world.parts;
  await sweepEngine(world, caseId);
  const keys: Record<string, number> = {};
  for await (const page of objects.list(objectPrefix(`case_${caseId}/`)))
    for (const { key } of page) keys[anonymous(key)] = (keys[anonymous(key)] ?? 0) + 1;
  let engineDocuments = 0;
  let annotations = 0;
  for await (const page of engine.listDocuments(caseId))
    for (const id of page) {
      engineDocuments += 1;
      const json = await engine.exportInstantJson(id);
      annotations += json.annotations.length + json.comments.length;
    }
  return {
    rows: await rowCounts(world, caseId),
    objects: keys,
    indexed: await index.count(caseId),
    engineDocuments,
    annotations,
  };
};

/** Names of what an exchange should have taken with it. */
export const readLeftovers = async ({ messaging, databases }: JoinedExchange): Promise<string[]> => {
  const of = (found: readonly { readonly name: string }[], kind: string): string[] =>
    found.flatMap(({ name }) => (name.startsWith('doc_exch_') ? [`${kind} ${name}`] : []));
  const { rows } = await databases.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ name: string }>(
      `SELECT 'subscription ' || coalesce(q.name, 'of a queue that is gone') AS name FROM messaging.subscription LEFT JOIN messaging.queue q USING (queue_id) WHERE q.name IS NULL OR starts_with(q.name, 'doc_exch_')
       UNION ALL SELECT 'message of ' || coalesce(q.name, 'a queue that is gone') FROM messaging.message LEFT JOIN messaging.queue q USING (queue_id) WHERE q.name IS NULL OR starts_with(q.name, 'doc_exch_')
       UNION ALL SELECT 'dead letter of ' || queue_name || ': ' || code FROM messaging.dead_letter`,
    ),
  );
  return [
    ...of(await messaging.queues.list(), 'queue'),
    ...of(await messaging.fleet.list(), 'worker'),
    ...rows.map(({ name }) => name),
  ];
};
