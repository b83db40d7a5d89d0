/**
 * `node tools/write-performance.ts`: writes docs/performance.md from the latest figures of each bench in bench/results/. Figures are of
 * the machine that the bench ran on, which is named with them.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const results = path.join(root, 'bench', 'results');

type Entry = Readonly<Record<string, unknown>>;

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

const cell = (value: unknown): string => {
  if (!isScalar(value)) return '';
  const text = typeof value === 'number' ? String(Number(value.toPrecision(3 + Number(value >= 1000) * 4))) : value;
  return String(text).replaceAll('|', '\\|');
};

const tableOf = (rows: readonly Entry[]): string[] => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row).filter((name) => isScalar(row[name]))))];
  return [
    `| ${columns.join(' | ')} |`,
    `|${columns.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${columns.map((name) => cell(row[name])).join(' | ')} |`),
    '',
  ];
};

/** Where it was measured, and of what version it says nothing. */
const machineOf = (result: Entry): string => {
  const machine = isEntry(result['machine']) ? result['machine'] : {};
  const listed: unknown = Array.isArray(result['cpus']) ? result['cpus'] : [];
  const models = Array.isArray(listed) ? listed : [];
  const cores = machine['cpus'] ?? result['cores'] ?? (models.length > 0 ? models.length : result['cpus']);
  const model = machine['model'] ?? result['cpu'] ?? models[0];
  const at = typeof result['at'] === 'string' ? result['at'].slice(0, 10) : undefined;
  const parts = [
    ...(cores === undefined ? [] : [`${cell(cores)} cores`]),
    ...(model === undefined ? [] : [cell(model)]),
    ...(machine['node'] === undefined ? [] : [`Node ${cell(machine['node'])}`]),
    ...(at === undefined ? [] : [at]),
  ];
  return parts.length === 0 ? '' : `Measured on ${parts.join(', ')}.`;
};

/** The first lists of rows of a result, with what they are called: those that show the bench and not its every detail. */
const tablesOf = (value: Entry, name: string): { readonly name: string; readonly rows: readonly Entry[] }[] =>
  Object.entries(value).flatMap(([key, member]) => {
    if (Array.isArray(member)) {
      const rows = member.filter(isEntry);
      return rows.length === 0 ? [] : [{ name: ['figures', 'rows', 'results'].includes(key) ? name : key, rows }];
    }
    return isEntry(member) && key !== 'machine' && key !== 'more' ? tablesOf(member, key) : [];
  });

/** What the figures alone do not say. */
const notes: Readonly<Record<string, string>> = {
  'exchange-end-to-end':
    'The loop neither reads, nor hashes, nor indexes, nor proves, and lays no records. A small exchange pays for its start and end: some 1.5 s whatever its size. What was done and tried: ADR 0120, 0121 and 0122.',
  'exchange-annotated':
    'Both sides burn in the same pages with the same workers. The exchange proves its input and output, reads the text of the redacted pages anew from the PDF that arrived, puts it into engine and index, and signs.',
  import:
    'COPY into one flat table against records, references, custom fields, audit and progress; `sameTables` are the rows of the import, ready made, by hand into the same tables. ADR 0096 says what a row costs and what was tried.',
  'exchange-fairness': 'The small exchange is asked for when the large one works on documents already.',
};

const sectionOf = (name: string, result: Entry): string => {
  const lines = [`## ${name}`, '', machineOf(result), '', notes[name] ?? '', ''];
  for (const { name: title, rows } of tablesOf(result, name)) {
    if (title !== name) lines.push(`${title}:`, '');
    lines.push(...tableOf(rows));
  }
  return lines.join('\n').replaceAll(/\n{3,}/g, '\n\n');
};

const names = (await readdir(results)).filter((file) => file.endsWith('.json')).toSorted();
const sections: string[] = [];
for (const file of names) {
  // Benches of this repository wrote it.
  const result = JSON.parse(await readFile(path.join(results, file), 'utf8')) as Entry;
  sections.push(sectionOf(file.replace(/\.json$/, ''), result));
}
await writeFile(
  path.join(root, 'docs', 'performance.md'),
  `# Performance

Machines differ and are noisy: what counts is the **ratio** of two sides that were measured in turn, in one run, on the same data. The figures below are the latest of each bench, as
\`bench/results/\` has them, and are written here by \`node tools/write-performance.ts\`. \`npm run bench\` lists the benches; \`npm run bench NAME\` runs one and prints its table.
Sizes are set by variables that each bench names in its first lines: defaults end within a few minutes.

${sections.join('\n')}`,
);
