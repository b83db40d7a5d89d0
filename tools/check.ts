/**
 * `npm run check`: everything that can be said about the code without running it. Each step prints one line; a step that
 * fails prints its output. All steps run, so that one run shows every complaint. Exit code 1 when any failed.
 *
 *   npm run check            all steps
 *   npm run check -- lint    only the steps named
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name: string): string => path.join(root, 'node_modules/.bin', name);

interface Step {
  readonly name: string;
  readonly about: string;
  readonly command: readonly [string, ...string[]];
}

const steps: readonly Step[] = [
  { name: 'types', about: 'the whole workspace', command: [bin('tsc'), '-p', '.'] },
  {
    name: 'types-contract',
    about: 'the contract without Node and DOM',
    command: [bin('tsc'), '-p', 'packages/contract'],
  },
  {
    name: 'lint',
    about: 'oxlint with type information',
    command: [bin('oxlint'), '--type-aware', '--deny-warnings', '.'],
  },
  { name: 'format', about: 'oxfmt', command: [bin('oxfmt'), '--check', '.'] },
  {
    name: 'import-law',
    about: 'who may import what',
    command: [process.execPath, 'tools/import-law/check-import-law.ts'],
  },
  { name: 'unused', about: 'knip: files, exports and dependencies nobody uses', command: [bin('knip')] },
  {
    name: 'generated',
    about: 'committed artefacts are fresh',
    command: [process.execPath, 'tools/generate/generate.ts', '--check'],
  },
];

const run = (step: Step): Promise<{ code: number; output: string; seconds: number }> =>
  new Promise((resolve, reject) => {
    const started = performance.now();
    const [program, ...args] = step.command;
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output, seconds: (performance.now() - started) / 1000 }));
  });

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`No such step: ${unknown.join(', ')}. Steps: ${steps.map((step) => step.name).join(', ')}.`);
  process.exit(2);
}

let failures = 0;
for (const step of steps.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const { code, output, seconds } = await run(step);
  if (code !== 0) failures += 1;
  console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${step.name.padEnd(15)} ${step.about} (${seconds.toFixed(1)} s)`);
  if (code !== 0) console.log(output.trimEnd().replaceAll(/^/gm, '     '));
}
console.log(failures === 0 ? 'check: all steps passed' : `check: ${failures} steps failed`);
process.exitCode = failures === 0 ? 0 : 1;
