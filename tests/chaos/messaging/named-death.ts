/** Death at a named crash point, told with the last breath: a SIGKILL alone does not say where it struck. */
import { writeSync } from 'node:fs';

/** Dies when it is first called with the name in CHAOS_CRASH_AT. */
export const createNamedDeath = (environment: Readonly<Record<string, string | undefined>>) => {
  const wanted = environment['CHAOS_CRASH_AT'];
  return (name: string): void => {
    if (name !== wanted) return;
    writeSync(1, `dying at ${name}\n`);
    process.kill(process.pid, 'SIGKILL');
  };
};
