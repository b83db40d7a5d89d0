/** A process that copies a store to another, to be killed. Arguments: the connection as JSON, the schema of the source, that of the destination. */
import { openStore } from '../open-store.ts';
import { mapRecords } from '../copy/map-records.ts';
import { copyRecords } from '../copy/run-copy.ts';
import { openRecordDatabase } from './open-database.ts';
import { libraryModel } from './open-library.ts';
import { startCopy } from './start-copy.ts';

const [, , connection = '{}', from = '', to = ''] = process.argv;
const target: unknown = JSON.parse(connection);
const database = openRecordDatabase(typeof target === 'object' && target !== null ? target : {}, { max: 6 });
const model = libraryModel();
const [source, destination] = [
  await openStore({ model, database, schema: from }),
  await openStore({ model, database, schema: to }),
];
const copy = await startCopy({ source, destination, chunkSize: 20, parallel: 4 });
process.stdout.write('copying\n');
await mapRecords(copy);
await copyRecords(copy);
await database.close();
