/** Runs a TypeScript file as a process of its own, to be killed at the worst moment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface SpawnedScript {
  readonly pid: number;
  /** Resolves with the first line of either stream that matches; rejects when the process ends or time runs out first. */
  waitForLine(pattern: RegExp, withinMs?: number): Promise<string>;
  /** SIGKILL, and wait until it is gone. */
  kill(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when the process has ended and its streams are read. */
  readonly ended: Promise<ScriptEnd>;
}

export interface ScriptEnd {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface SpawnScriptOptions {
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** It is killed after this. Default 60,000. */
  readonly timeoutMs?: number;
}

/** Starts `file` under the Node that runs the tests. */
export function spawnScript(file: string, options: SpawnScriptOptions = {}): SpawnedScript {
  const child = spawn(process.execPath, [file, ...(options.args ?? [])], {
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString('utf8');
    changed();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
    changed();
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000);
  let hasEnded = false;
  const ended = (async (): Promise<ScriptEnd> => {
    try {
      await once(child, 'close');
    } finally {
      clearTimeout(timer);
      hasEnded = true;
      changed();
    }
    return { exitCode: child.exitCode, signal: child.signalCode, stdout, stderr };
  })();
  const output = (): string => `stdout:\n${stdout}\nstderr:\n${stderr}`;
  return {
    pid: child.pid ?? 0,
    ended,
    async waitForLine(pattern, withinMs = 30_000) {
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void): void => {
          clearTimeout(timeout);
          listeners.delete(look);
          settle();
        };
        const look = (): void => {
          const line = `${stdout}\n${stderr}`.split('\n').find((one) => pattern.test(one));
          if (line !== undefined) {
            finish(() => {
              resolve(line);
            });
          } else if (hasEnded) {
            finish(() => {
              reject(new Error(`the script ended before it wrote ${String(pattern)}\n${output()}`));
            });
          }
        };
        const timeout = setTimeout(() => {
          finish(() => {
            reject(new Error(`the script did not write ${String(pattern)} within ${withinMs} ms\n${output()}`));
          });
        }, withinMs);
        listeners.add(look);
        look();
      });
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    signal(name) {
      child.kill(name);
    },
  };
}
