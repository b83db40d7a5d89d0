/** A process that copies the store `source` to the store `destination`, to be killed: argument 1 is the connection as JSON. */
import { openStore } from '../open-store.ts';
import { mapRecords } from '../copy/map-records.ts';
import { copyRecords } from '../copy/run-copy.ts';
import { openRecordDatabase } from './open-database.ts';
import { libraryModel } from './open-library.ts';
import { startCopy } from './start-copy.ts';

const target: unknown = JSON.parse(process.argv[2] ?? '{}');
const database = openRecordDatabase(typeof target === 'object' && target !== null ? target : {}, { max: 6 });
const model = libraryModel();
const [source, destination] = [
  await openStore({ model, database, schema: 'source' }),
  await openStore({ model, database, schema: 'destination' }),
];
const copy = await startCopy({ source, destination, chunkSize: 20, parallel: 4 });
process.stdout.write('copying\n');
await mapRecords(copy);
await copyRecords(copy);
await database.close();
