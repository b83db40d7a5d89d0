/**
 * What a test file leaves behind: sockets, servers, timers, child processes, temporary files, pools.
 *
 * `const leaks = watchForLeaks()` at the top of a file, `afterAll(() => leaks.expectNone())` at its end. A test runner keeps
 * resources of its own open, so what counts is what was not there at the start.
 */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasFailedTry } from './failed-tries.ts';

export interface LeakWatch {
  /** Fails, naming each kind and number, when something is still open after a grace of five seconds. */
  expectNone(): Promise<void>;
}

interface LeakOptions {
  /** Further counts that must end at zero: connections of a pool, open file handles of a store. */
  readonly counts?: Readonly<Record<string, () => number>>;
  /** Folder whose `casebound-*` entries are counted; default the system's temporary folder. */
  readonly temporaryFolder?: string;
  /** Leave files out: several test files share the temporary folder and run at the same time. Default false. */
  readonly files?: boolean;
  readonly graceMs?: number;
}

/** Kinds of `process.getActiveResourcesInfo()` that a closed program does not hold. */
const watchedKinds = ['TCPSocketWrap', 'TCPServerWrap', 'PipeWrap', 'ProcessWrap', 'FSReqPromise', 'Timeout', 'Worker'];

export function watchForLeaks(options: LeakOptions = {}): LeakWatch {
  const before = countResources();
  const filesBefore = options.files === true ? listFiles(options.temporaryFolder) : undefined;
  return {
    async expectNone() {
      const deadline = performance.now() + (options.graceMs ?? 5_000);
      for (;;) {
        const found = [
          ...differences(before, countResources()),
          ...pending(options.counts ?? {}),
          ...(filesBefore === undefined ? [] : newFiles(filesBefore, options.temporaryFolder)),
        ];
        if (found.length === 0 || hasFailedTry()) return;
        if (performance.now() > deadline) throw new Error(`the test leaks: ${found.join('; ')}`);
        await sleep(20);
      }
    },
  };
}

function countResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

function differences(before: Map<string, number>, now: Map<string, number>): string[] {
  return watchedKinds.flatMap((kind) => {
    // Our own wait between two looks is a timer too, but it has fired by the time of the look.
    const more = (now.get(kind) ?? 0) - (before.get(kind) ?? 0);
    return more > 0 ? [`${more} ${kind}`] : [];
  });
}

function pending(counts: Readonly<Record<string, () => number>>): string[] {
  return Object.entries(counts).flatMap(([name, count]) => {
    const open = count();
    return open === 0 ? [] : [`${open} ${name}`];
  });
}

/** Read at once: a baseline that is read later would count what came meanwhile as old. */
function listFiles(folder = tmpdir()): ReadonlySet<string> {
  return new Set(readdirSync(folder).filter((name) => name.startsWith('casebound-')));
}

function newFiles(before: ReadonlySet<string>, folder = tmpdir()): string[] {
  const now = listFiles(folder);
  return [...now].filter((name) => !before.has(name)).map((name) => `the file ${name}`);
}
