/** A process that holds a data folder until it is killed: `hold-data-folder.ts DIR [write] [stop]`. */
import { CaseboundError } from '@casebound/contract';
import pg from 'pg';
import { startEmbedded } from '../embedded/start-embedded.ts';

const [dataDir = '', ...words] = process.argv.slice(2);
try {
  const server = await startEmbedded({ dataDir });
  if (words.includes('write')) {
    const client = new pg.Client({ ...server.target });
    await client.connect();
    await client.query('CREATE TABLE IF NOT EXISTS written (); INSERT INTO written DEFAULT VALUES');
    await client.end();
  }
  process.stdout.write(`ready ${server.pid()}\n`);
  if (words.includes('stop')) await server.stop();
  else setInterval(() => undefined, 60_000);
} catch (error) {
  if (!(error instanceof CaseboundError)) throw error;
  process.stdout.write(`${error.code}: ${error.message}\n`);
}
