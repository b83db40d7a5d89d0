/** The handler of `run_import`: carries one import on. Delivered again, it goes on where the checkpoint is, or finds nothing to do. */
import { jobCatalogue } from '@casebound/contract';
import { type BatchHandler, handleJob } from '@casebound/messaging';
import { runImport, type RunImportDependencies } from './run-import.ts';

export const createRunImportHandler = (dependencies: RunImportDependencies): BatchHandler =>
  handleJob(jobCatalogue.run_import, async ({ context, signal }) =>
    runImport(dependencies, context.caseId, context.jobId, signal),
  );
