/** Thin: from the contract's operations to the use cases. */
import type { exchangeOperations, exchangeProofOperations, HandlersOf } from '@casebound/contract';
import { describeExchange } from './describe-exchange.ts';
import { getJob, listJobs } from './job-store.ts';
import { listItems } from './list-items.ts';
import { previewExchange } from './preview-exchange.ts';
import { requestExchange } from './request-exchange.ts';
import { watchExchange } from './watch-exchange.ts';
import { cancelExchange, retryFailed, rollBack } from './steer-exchange.ts';
import { checkManifest, readManifest } from './verification/check-manifest.ts';
import { renderExchangePage, renderExchangesPage } from './verification/report/status-page.ts';
import type { VerificationParts } from './verification/read-facts.ts';

export type ExchangeHandlers = HandlersOf<typeof exchangeOperations & typeof exchangeProofOperations>;

/** Shown on a page. */
const pageExchanges = 50;
const pageItems = 100;

export const createExchangeHandlers = (dependencies: VerificationParts): ExchangeHandlers => {
  const { control } = dependencies;
  return {
    createExchange: async ({ actor, body, idempotencyKey, signal }) => {
      const { job, created } = await requestExchange(dependencies, actor, body, idempotencyKey, signal);
      return { jobId: job.jobId, created, exchange: await describeExchange(dependencies, job) };
    },
    previewExchange: async ({ actor, body, signal }) => previewExchange(dependencies, actor, body, signal),
    listExchanges: async ({ query }) => {
      const jobs = await control.transaction({ readOnly: true }, async (tx) => {
        if (query.before !== undefined) await getJob(tx, query.before);
        return listJobs(tx, query);
      });
      const exchanges = [];
      for (const job of jobs) exchanges.push(await describeExchange(dependencies, job));
      return { exchanges, next: jobs.length === query.limit ? (jobs.at(-1)?.jobId ?? null) : null };
    },
    getExchange: async ({ params }) =>
      describeExchange(
        dependencies,
        await control.transaction({ readOnly: true }, async (tx) => getJob(tx, params.jobId)),
      ),
    listExchangeItems: async ({ params, query }) => listItems(dependencies, params.jobId, query),
    watchExchange: async ({ params, signal }) => watchExchange(dependencies, params.jobId, signal),
    cancelExchange: async ({ params }) =>
      describeExchange(dependencies, await cancelExchange(dependencies, params.jobId)),
    retryExchange: async ({ params }) => {
      const { items, job } = await retryFailed(dependencies, params.jobId);
      return { items, exchange: await describeExchange(dependencies, job) };
    },
    showExchangesPage: async () => {
      const jobs = await control.transaction({ readOnly: true }, async (tx) => listJobs(tx, { limit: pageExchanges }));
      const exchanges = [];
      for (const job of jobs) exchanges.push(await describeExchange(dependencies, job));
      return renderExchangesPage(exchanges);
    },
    showExchangePage: async ({ params }) => {
      const job = await control.transaction({ readOnly: true }, async (tx) => getJob(tx, params.jobId));
      const { items } = await listItems(dependencies, params.jobId, { state: 'failed', limit: pageItems });
      return renderExchangePage(await describeExchange(dependencies, job), items);
    },
    readExchangeManifest: async ({ params, query, signal }) =>
      readManifest(dependencies, params.jobId, query.offset, signal),
    checkExchangeManifest: async ({ actor, params, query, signal }) => {
      const { items, ...cursor } = query;
      return checkManifest(dependencies, params.jobId, actor, cursor, items, signal);
    },
    rollbackExchange: async ({ params }) => describeExchange(dependencies, await rollBack(dependencies, params.jobId)),
  };
};
