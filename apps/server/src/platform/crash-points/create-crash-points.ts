/**
 * Named places at which a process can be made to die, so that a crash between two steps is a test and not luck.
 *
 * A crash point does nothing unless `CASEBOUND_CRASH_AT` names it: then the process kills itself with SIGKILL, as a power
 * cut would, with no handler run and nothing flushed. An unknown name in the variable is refused, for a test that waits
 * for a crash that cannot come proves nothing.
 */
import { CaseboundError } from '@casebound/contract';
import { crashPointNames, type CrashPoint } from './Port.ts';

/** Errors: `config_invalid` when the variable names no crash point. */
export function createCrashPoints(environment: Readonly<Record<string, string | undefined>>): CrashPoint {
  const wanted = environment['CASEBOUND_CRASH_AT'];
  if (wanted === undefined || wanted === '') return () => undefined;
  if (!crashPointNames.some((name) => name === wanted)) {
    throw new CaseboundError(
      'config_invalid',
      `CASEBOUND_CRASH_AT is ${JSON.stringify(wanted)}, which is no crash point; use one of ${crashPointNames.join(', ')}, or unset it.`,
    );
  }
  return (name) => {
    if (name === wanted) process.kill(process.pid, 'SIGKILL');
  };
}
