/**
 * Copies the keys of a delimited load file while the file is read for its plan: it is read once, and the database copies while columns are
 * profiled.
 *
 * 1. They are copied in a transaction of their own, which ends before that of the plan begins: no import waits for a connection while it
 *    holds one. It commits under the fence, so that nothing is left behind by a worker whose import was cancelled or taken over.
 * 2. They mean nothing until the stage is made of them. Whoever does not know of them deletes them and reads the source; so does whoever
 *    undoes the import.
 * 3. They are read as the first rows propose, and hold where the plan that is made of all rows reads them alike.
 * 4. What is wrong with the file is kept for the stage, which writes it after the problems of the plan. Where more is wrong than is kept,
 *    they do not hold.
 */
import type { DelimitedDialect, LoadFileProblem, Row } from '@casebound/loadfile';
import type { HeldImport } from '../held-import.ts';
import type { RowProblem } from '../import-problem.ts';
import type { ImportPlan, LoadFilePlan } from '../plan/import-plan.ts';
import type { RowTaker } from '../plan/plan-import.ts';
import { fromLoadFile } from '../rows/load-file-source.ts';
import { PathSet } from '../rows/path-set.ts';
import { areKeysCore, createKeyReader, haveSameKeys } from '../rows/read-keys.ts';
import type { RowKeys } from '../source-row.ts';
import { maxWaiting } from './stage-problems.ts';
import { type CopiedKeys, copyKeys, stageOptions } from './stage-rows.ts';

/** Keys that hold. */
export interface KeysAhead extends CopiedKeys {
  /** In the order of the file. */
  readonly problems: readonly RowProblem[];
  /** Paths that the rows name. */
  readonly named: PathSet;
}

export class AheadOfPlan implements RowTaker {
  readonly #held: HeldImport;
  readonly #named = new PathSet();
  readonly #problems: LoadFileProblem[] = [];
  #copied: (CopiedKeys & { readonly plan: LoadFilePlan }) | undefined;

  constructor(held: HeldImport) {
    this.#held = held;
  }

  onProblem(found: LoadFileProblem): void {
    // One more than are kept tells that there are more.
    if (!this.#hasTooMany) this.#problems.push(found);
  }

  get #hasTooMany(): boolean {
    return this.#problems.length > maxWaiting;
  }

  take(plan: LoadFilePlan, dialect: DelimitedDialect, rows: AsyncIterable<readonly Row[]>): Promise<void> | undefined {
    const { mapping, custodian, overlay } = this.#held.job.request;
    const options = { plan, mapping, custodian, overlayKey: overlay?.key, definitions: new Map() };
    if (!areKeysCore(plan, options.overlayKey)) return undefined;
    return this.#copy(plan, rows, createKeyReader(options, dialect, this.#named));
  }

  async #copy(
    plan: LoadFilePlan,
    rows: AsyncIterable<readonly Row[]>,
    keysOf: (batch: readonly Row[]) => readonly RowKeys[],
  ): Promise<void> {
    const held = this.#held;
    const hasTooMany = (): boolean => this.#hasTooMany;
    async function* keys(): AsyncGenerator<readonly RowKeys[]> {
      for await (const batch of rows) if (!hasTooMany()) yield keysOf(batch);
    }
    const copied = await held.transaction(async (tx) => {
      const all = await copyKeys(tx, held.job.job_id, keys());
      await held.advance(tx, ['planning'], `state = 'planning'`);
      return all;
    }, stageOptions);
    this.#copied = { ...copied, plan };
  }

  /** What was copied, where it holds for the plan of all rows. */
  keysFor(plan: ImportPlan): KeysAhead | undefined {
    const copied = this.#copied;
    if (copied === undefined || plan.kind !== 'load_file' || this.#hasTooMany) return undefined;
    if (!haveSameKeys(copied.plan, plan)) return undefined;
    const problems = this.#problems.map((found) => fromLoadFile(found, plan.dataFile));
    return { rows: copied.rows, facts: copied.facts, problems, named: this.#named };
  }
}
