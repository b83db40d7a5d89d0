/** The tour of `npm run demo`: a server, two cases and what keeps them apart, a production imported, exchanged and proved. */
import { createClient, hasCode, type Case, type Client } from '@casebound/contract';
import type { Demonstration } from '../cli/engine.ts';
import type { System, SystemOptions } from '../compose.ts';
import { DatabaseError, quoteIdentifier } from '../database/index.ts';
import { showExchange } from './demo-exchange.ts';
import { startServer } from './serve.ts';

type Report = (line: string) => void;

const SYSTEM = { kind: 'system', reason: 'demo' } as const;

const timed = async <T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> => {
  const started = performance.now();
  const value = await work();
  return { value, ms: Math.round(performance.now() - started) };
};

const createCases = async (client: Client, stamp: string, report: Report): Promise<readonly [Case, Case]> => {
  const first = await timed(async () => client.createCase({ body: { name: `Meridian v. Halcyon (demo ${stamp})` } }));
  const second = await timed(async () => client.createCase({ body: { name: `In re Halcyon (demo ${stamp})` } }));
  for (const { value, ms } of [first, second]) {
    report(`   case ${value.caseId} "${value.name}": schema ${value.schema} in ${value.database}, made in ${ms} ms`);
  }
  return [first.value, second.value];
};

const showConflict = async (client: Client, name: string, report: Report): Promise<string> => {
  try {
    await client.createCase({ body: { name: name.toUpperCase() } });
  } catch (error) {
    if (!hasCode(error, 'case_name_taken')) throw error;
    report(`   the same name again, in capitals: ${error.message} (${error.code})`);
    return error.code;
  }
  throw new Error('A second case with the same name was made.');
};

/** What somebody would try who can run any SQL within one case. Each must be refused by PostgreSQL. */
const attemptsOn = (other: Case): readonly { readonly what: string; readonly sql: string }[] => {
  const schema = quoteIdentifier(other.schema);
  return [
    { what: 'read a table of the other case', sql: `SELECT * FROM ${schema}.${quoteIdentifier('demo')}` },
    { what: 'make a table in the other case', sql: `CREATE TABLE ${schema}.intruder ()` },
    { what: 'read who has an account', sql: 'SELECT * FROM core.accounts' },
    { what: 'run a program on the server', sql: `COPY (SELECT 1) TO PROGRAM 'true'` },
    { what: 'read a file of the server', sql: `SELECT pg_read_file('postgresql.conf')` },
  ];
};

const showIsolation = async (
  system: System,
  [mine, other]: readonly [Case, Case],
  report: Report,
): Promise<string[]> => {
  const refusals: string[] = [];
  for (const { what, sql } of attemptsOn(other)) {
    try {
      await system.databases.cases.withCase(mine.caseId, SYSTEM, async (tx) => tx.query(sql));
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      refusals.push(error.sqlState);
      report(`   ${what}: refused by PostgreSQL (SQLSTATE ${error.sqlState})`);
      continue;
    }
    throw new Error(`A case could ${what}.`);
  }
  return refusals;
};

/** Starts a server, shows what it does, and leaves it running. */
export const runDemo = async (
  options: SystemOptions,
  report: Report,
  interrupted: AbortSignal,
): Promise<Demonstration> => {
  const startedAt = performance.now();
  report(`1. Start a server on ${options.effective.dataFolder}`);
  const { server, system } = await startServer(options);
  try {
    const { status, address, startedInMs } = server;
    report(
      `   PostgreSQL ${status.database.serverVersion}, objects on ${status.objectStore.kind}, ${address}: up in ${startedInMs} ms`,
    );
    const client = createClient({
      baseUrl: address ?? '',
      token: system.localToken,
      fetch,
      timeoutSignal: (ms) => AbortSignal.timeout(ms),
    });
    report('2. Create two cases over HTTP');
    const cases = await createCases(client, status.startedAt, report);
    const conflict = await showConflict(client, cases[0].name, report);
    report('   and try to break out of the first with SQL of our own');
    const refusals = await showIsolation(system, cases, report);
    const exchanged = await showExchange(
      system,
      client,
      options.effective.dataFolder,
      [cases[0].caseId, cases[1].caseId],
      report,
      interrupted,
    );
    report('7. Ask whether all is well');
    const { ready, checks } = await client.healthReady();
    for (const check of checks) report(`   ${check.name}: ${check.detail}`);
    return {
      server,
      jobId: exchanged.exchange.jobId,
      facts: {
        startedInMs,
        cases,
        conflict,
        refusals,
        ready,
        ...exchanged,
        tookSeconds: Math.round((performance.now() - startedAt) / 100) / 10,
      },
    };
  } catch (error) {
    await server.stop('demo failed');
    throw error;
  }
};
