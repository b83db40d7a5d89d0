/**
 * Runs the import law over the workspace and over the planted fixture.
 *
 * Invariants:
 * - Every tracked or new TypeScript file below `packages/`, `apps/`, `tests/`, `tools/`, `bench/` was read: a checker that
 *   silently reads nothing fails here instead of passing.
 * - The fixture yields exactly the violations that its files announce, so each rule is known to bite.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseOptions, type ICruiseResult, type IFlattenedRuleSet } from 'dependency-cruiser';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const fixtureRoot = path.join(root, 'tools/import-law/fixture');

const roots = ['packages', 'apps', 'tests', 'tools', 'bench', 'infra'];

interface LawConfiguration extends IFlattenedRuleSet {
  readonly options: ICruiseOptions;
}

export interface Violation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

const loadConfiguration = (): LawConfiguration =>
  createRequire(import.meta.url)(path.join(root, '.dependency-cruiser.cjs'));

/** TypeScript sources below `directory` that git tracks or would track, relative to it. */
export const sourcesOf = (directory: string): string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', '*.ts'], {
    cwd: directory,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file !== '' && roots.some((top) => file.startsWith(`${top}/`)))
    .filter((file) => !file.startsWith('tools/import-law/fixture/'));

/** Applies the law to a tree. `read` lists the modules that the checker has in fact parsed. */
export const applyLaw = async (directory: string): Promise<{ violations: Violation[]; read: ReadonlySet<string> }> => {
  const { options, ...ruleSet } = loadConfiguration();
  const tops = [...new Set(sourcesOf(directory).map((file) => file.split('/')[0] ?? ''))];
  const isFixture = directory !== root;
  const { exclude, ...rest } = options;
  const result = await cruise(
    tops,
    {
      ...rest,
      ...(isFixture || exclude === undefined ? {} : { exclude }),
      baseDir: directory,
      ruleSet,
      validate: true,
      outputType: 'json',
    },
    { extensions: ['.ts', '.js', '.json'], ...options.enhancedResolveOptions },
  );
  const output: ICruiseResult = typeof result.output === 'string' ? JSON.parse(result.output) : result.output;
  return {
    violations: output.summary.violations.map((violation) => ({
      rule: violation.rule.name,
      from: violation.from,
      to: violation.to,
    })),
    read: new Set(output.modules.filter((module) => module.coreModule !== true).map((module) => module.source)),
  };
};

/** The violations that the fixture's files announce in their first line: `// violates: rule-name`. */
export const announcedViolations = (): string[] =>
  sourcesOf(fixtureRoot)
    .flatMap((file) => {
      const announced = /^\/\/ violates: (.+)$/m.exec(readFileSync(path.join(fixtureRoot, file), 'utf8'));
      return (announced?.[1] ?? '')
        .split(',')
        .map((rule) => rule.trim())
        .filter((rule) => rule !== '')
        .map((rule) => `${rule}: ${file}`);
    })
    .toSorted();

const main = async (): Promise<number> => {
  const { violations, read } = await applyLaw(root);
  const unread = sourcesOf(root).filter((file) => !read.has(file));
  for (const { rule, from, to } of violations) console.error(`import law: ${rule}: ${from} -> ${to}`);
  for (const file of unread.slice(0, 20)) console.error(`import law: not read: ${file}`);
  const planted = await applyLaw(fixtureRoot);
  const found = new Set(planted.violations.map(({ rule, from }) => `${rule}: ${from}`));
  const missed = announcedViolations().filter((line) => !found.has(line));
  for (const line of missed) console.error(`import law: the planted violation was not found: ${line}`);
  const failed = violations.length + unread.length + missed.length > 0;
  console.log(
    `import law: ${read.size} modules read, ${violations.length} violations, ${announcedViolations().length - missed.length} of ${announcedViolations().length} planted ones found`,
  );
  return failed ? 1 : 0;
};

if (import.meta.main) process.exitCode = await main();
