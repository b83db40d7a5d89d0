/**
 * node tests/chaos/messaging/run-chaos.ts [--seconds 60] [--items 20000] [--workers 3] [--seed N]
 *
 * Prints its seed, what was killed, and the proof; exits with 1 when the proof fails.
 */
import { parseArgs } from 'node:util';
import { runChaos } from './chaos-run.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    items: { type: 'string', default: '20000' },
    workers: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const proof = await runChaos({
  seed: Number(values.seed),
  items: Number(values.items),
  seconds: Number(values.seconds),
  workers: Number(values.workers),
  report: (line) => console.log(line),
});
console.table(proof.stages);
console.log(JSON.stringify({ ...proof, stages: undefined }, undefined, 2));
console.log(
  proof.holds
    ? `Proved: each of ${values.items} items had exactly one effect in each of ${proof.stages.length} stages. Repeat with --seed ${values.seed}.`
    : `NOT proved. Repeat with --seed ${values.seed}.`,
);
process.exitCode = proof.holds ? 0 : 1;
