/** The process: signals, standard streams, exit code. Everything else is composition. */
import { runCli } from './cli/program.ts';
import { createEngine } from './run/engine.ts';

const FORCED_EXIT_CODE = 130;

const interruption = new AbortController();
const interrupt = (): void => {
  if (interruption.signal.aborted) process.exit(FORCED_EXIT_CODE);
  interruption.abort();
};
process.on('SIGINT', interrupt);
process.on('SIGTERM', interrupt);
process.on('SIGHUP', interrupt);
// Output piped into `head` ends early; that is no failure of ours, but what is open is to be closed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  interruption.abort();
});

await runCli(process.argv.slice(2), {
  engine: createEngine({ env: process.env, cwd: process.cwd() }),
  streams: { stdout: process.stdout, stderr: process.stderr },
  env: process.env,
  cwd: process.cwd(),
  setExitCode: (code) => {
    process.exitCode = code;
  },
  interrupted: interruption.signal,
});
process.off('SIGINT', interrupt);
process.off('SIGTERM', interrupt);
process.off('SIGHUP', interrupt);
