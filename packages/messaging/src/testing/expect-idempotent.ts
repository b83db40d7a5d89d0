/**
 * Proves of a handler that a message has one effect, however it is delivered.
 *
 * The handler runs once on a fresh world; what every table and object then is, is what must be after each of:
 *   - twice, one after the other;
 *   - `concurrency` times at once;
 *   - once, with the acknowledgement lost in a crash, and again under a newer fencing token;
 *   - once, dying inside (at each crash point that it passes), and again.
 *
 * Generated columns (ids, times) differ between worlds by nature: name them in `ignore`.
 */
import type { Delivery, BatchHandler } from '../consumer/worker-definition.ts';
import { hasCode } from '@casebound/contract';
import type { CrashPoint, ReceivedMessage, Sql } from '../ports.ts';

export interface IdempotencyWorld {
  /** The handler, wired to this world. `crashPoint` is to be called where it calls its own. */
  readonly handler: (crashPoint: CrashPoint) => BatchHandler;
  readonly sql: Sql;
  /** Schemas whose tables are compared. */
  readonly schemas: readonly string[];
  /** `schema.table.column`, or `table.column`, of what may differ. */
  readonly ignore?: readonly string[];
  /** Every object of the world: key and a digest of its bytes. */
  readonly objects?: () => Promise<readonly { readonly key: string; readonly digest: string }[]>;
  close(): Promise<void>;
}

export interface IdempotencyOptions {
  /** Makes a world in which nothing has happened yet; called for each way of delivery. */
  readonly world: () => Promise<IdempotencyWorld>;
  readonly body: string;
  readonly fairnessKey?: number;
  /** Default 4. */
  readonly concurrency?: number;
}

/** A crash inside the handler: the process is gone, so what it held open is rolled back. */
class Crash extends Error {}

const tooManyRows = 100_000;

/** All rows of all tables, as text that can be compared. */
export const snapshotTables = async (
  sql: Sql,
  schemas: readonly string[],
  ignore: readonly string[] = [],
): Promise<ReadonlyMap<string, readonly string[]>> => {
  const { rows: columns } = await sql.query(
    `SELECT n.nspname AS schema, c.relname AS table, array_agg(a.attname ORDER BY a.attname)::text[] AS columns
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind = 'r' AND n.nspname = ANY ($1) GROUP BY 1, 2 ORDER BY 1, 2`,
    [schemas],
  );
  const snapshot = new Map<string, readonly string[]>();
  for (const { schema, table, columns: names } of columns) {
    const kept = (names as readonly string[]).filter(
      (column) =>
        !ignore.includes(`${String(table)}.${column}`) &&
        !ignore.includes(`${String(schema)}.${String(table)}.${column}`),
    );
    const quoted = (name: unknown): string => `"${String(name).replaceAll('"', '""')}"`;
    if (kept.length === 0) continue;
    const { rows } = await sql.query(
      `SELECT to_jsonb(t)::text AS row FROM (SELECT ${kept.map(quoted).join(', ')} FROM ${quoted(schema)}.${quoted(table)} LIMIT ${tooManyRows + 1}) AS t ORDER BY 1`,
    );
    if (rows.length > tooManyRows) throw new Error(`${String(schema)}.${String(table)} has too many rows to compare.`);
    snapshot.set(
      `${String(schema)}.${String(table)}`,
      rows.map(({ row }) => String(row)),
    );
  }
  return snapshot;
};

type World = ReadonlyMap<string, readonly string[]>;

const differences = (expected: World, found: World): string[] => {
  const lines: string[] = [];
  for (const place of new Set([...expected.keys(), ...found.keys()])) {
    const [before, after] = [expected.get(place) ?? [], found.get(place) ?? []];
    if (JSON.stringify(before) === JSON.stringify(after)) continue;
    const [left, right] = [[...before], [...after]];
    for (const row of before) {
      const at = right.indexOf(row);
      if (at >= 0) {
        right.splice(at, 1);
        left.splice(left.indexOf(row), 1);
      }
    }
    lines.push(
      `${place}: missing ${JSON.stringify(left.slice(0, 3))}, additional ${JSON.stringify(right.slice(0, 3))}`,
    );
  }
  return lines;
};

/** @throws Error that says after which way of delivery which table or object differs. */
export const expectIdempotent = async (options: IdempotencyOptions): Promise<void> => {
  const { body, fairnessKey = 0, concurrency = 4 } = options;
  const delivery = (fencingToken: number): Delivery => {
    const message: ReceivedMessage = {
      queue: 'expect-idempotent',
      messageId: 'm1',
      token: String(fencingToken),
      fencingToken,
      receiveCount: fencingToken,
      maxReceiveCount: 5,
      fairnessKey,
      sentAt: new Date(0),
      body,
      attributes: {},
      leaseMs: 60_000,
      receivedAtMs: 0,
    };
    return { message, body, signal: new AbortController().signal };
  };

  const deliver = async (
    world: IdempotencyWorld,
    fencingToken: number,
    crashPoint: CrashPoint = () => {},
  ): Promise<void> => {
    const one = delivery(fencingToken);
    const failures = await world.handler(crashPoint)([one], one.signal);
    if (failures[0] !== undefined) throw failures[0].error;
  };

  const inWorld = async (run: (world: IdempotencyWorld) => Promise<void>): Promise<World> => {
    const world = await options.world();
    try {
      await run(world);
      const objects = (await world.objects?.()) ?? [];
      return new Map([
        ...(await snapshotTables(world.sql, world.schemas, world.ignore)),
        ['objects', objects.map(({ key, digest }) => `${key} ${digest}`).sort()] as const,
      ]);
    } finally {
      await world.close();
    }
  };

  /** A delivery that may lose against another: being overtaken is a right outcome, anything else is not. */
  const lenient = async (delivered: Promise<void>): Promise<void> => {
    try {
      await delivered;
    } catch (error) {
      if (!hasCode(error, 'lease_lost') && !hasCode(error, 'conflict_retries_exhausted')) throw error;
    }
  };

  const points: string[] = [];
  const once = await inWorld(async (world) =>
    deliver(world, 1, (name) => {
      if (!points.includes(name)) points.push(name);
    }),
  );

  const check = async (how: string, run: (world: IdempotencyWorld) => Promise<void>): Promise<void> => {
    const lines = differences(once, await inWorld(run));
    if (lines.length > 0)
      throw new Error(`The handler is not idempotent: delivered ${how}, the world differs.\n${lines.join('\n')}`);
  };

  await check('twice', async (world) => {
    await deliver(world, 1);
    await deliver(world, 2);
  });
  await check(`${concurrency} times at once`, async (world) => {
    await Promise.all(Array.from({ length: concurrency }, async (_, index) => lenient(deliver(world, index + 1))));
    await deliver(world, concurrency + 1);
  });
  await check('again after its acknowledgement was lost, the older delivery late', async (world) => {
    await deliver(world, 2);
    await lenient(deliver(world, 1));
    await deliver(world, 3);
  });
  for (const point of points) {
    await check(`again after it died at ${point}`, async (world) => {
      await deliver(world, 1, (name) => {
        if (name === point) throw new Crash(point);
      }).catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error;
      });
      await deliver(world, 2);
    });
  }
};
