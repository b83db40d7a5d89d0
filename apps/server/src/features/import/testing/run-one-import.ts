/**
 * A process that runs one import and may be made to die in it (`CASEBOUND_CRASH_AT`): `run-one-import.ts PLACE CASE JOB CHUNK_ROWS`.
 */
import { CaseId, JobId } from '@casebound/contract';
import { createCrashPoints } from '../../../platform/crash-points/create-crash-points.ts';
import { openTestImport, TestPlace } from './open-test-import.ts';

const [place = '', caseId = '', jobId = '', chunkRows = ''] = process.argv.slice(2);
await using test = await openTestImport({
  place: TestPlace.parse(JSON.parse(place)),
  crashPoint: createCrashPoints(process.env),
  chunkRows: Number(chunkRows),
});
const ended = await test.run(CaseId.parse(Number(caseId)), JobId.parse(jobId));
process.stdout.write(`${ended.state}\n`);
