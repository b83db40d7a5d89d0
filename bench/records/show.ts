/**
 * Shows a record store at work over HTTP, as a process of its own on a database of its own, with any API schema:
 *
 * 1. it is served: provision time, start-up time, memory; one full document of every resource is written;
 * 2. the root of the longest chain of identities is renamed, and every dependent is shown with its new identity and etag;
 * 3. the same while many writers refer to the chain, and an audit afterwards;
 * 4. a document that others refer to is deleted, and the refusal names them;
 * 5. SIGKILL in the middle of a bulk write, the audit after the restart, and the same body sent again.
 *
 * `npm run bench records-show`, or `node bench/records/show.ts core.json [extension.json ...]`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  deriveModel,
  displayName,
  type JsonValue,
  loadSchema,
  type Model,
  type Resource,
} from '../../packages/records/src/index.ts';
import { fillEveryResource } from '../../packages/records/src/testing/fill-every-resource.ts';

type Json = { [key: string]: JsonValue };

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const launcher = here('../../apps/server/bin/casebound.js');

export interface ShowOptions {
  readonly schemaFiles: readonly string[];
  /** Writers at once in step 3, and for how long. */
  readonly writers: number;
  readonly seconds: number;
  /** Lines of the bulk write that is killed. */
  readonly bulkLines: number;
  readonly report: (line: string) => void;
}

export interface Shown {
  readonly serve: {
    readonly resources: number;
    readonly timings: Readonly<Record<string, number>>;
    readonly restartTimings: Readonly<Record<string, number>>;
    readonly memoryMb: number;
    readonly memoryAfterUseMb: number;
    readonly documents: number;
  };
  readonly rename: {
    readonly root: string;
    readonly levels: number;
    readonly changed: readonly { readonly resource: string; readonly level: number | null; readonly etag: string }[];
    readonly othersChanged: number;
    readonly milliseconds: number;
  };
  readonly contention: {
    readonly writers: number;
    readonly renames: number;
    readonly outcomes: Readonly<Record<string, number>>;
    readonly audit: Audit;
  };
  readonly refusedDelete: { readonly status: number; readonly types: readonly string[] };
  readonly killed: {
    readonly acknowledged: boolean;
    readonly kept: number;
    readonly sent: number;
    readonly audit: Audit;
    readonly again: Json;
  };
}

interface Audit {
  readonly checked: number;
  readonly damages: number;
}

interface Served {
  readonly child: ChildProcess;
  readonly address: string;
  readonly timings: Readonly<Record<string, number>>;
  readonly memoryMb: number;
}

class Store {
  private readonly source: readonly string[];
  private served: Served | null = null;

  constructor(schemaFiles: readonly string[], dataDir: string) {
    this.source = [...schemaFiles.flatMap((file) => ['--schema', file]), '--data', dataDir];
  }

  get address(): string {
    return this.served?.address ?? '';
  }

  async serve(): Promise<Served> {
    const child = spawn(process.execPath, [launcher, 'records', 'serve', ...this.source, '--port', '0', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (part: Buffer) => (complaint += part.toString()));
    let text = '';
    for await (const part of child.stdout) {
      text += String(part);
      if (!text.trimEnd().endsWith('}')) continue;
      this.served = { child, ...(JSON.parse(text) as Omit<Served, 'child'>) };
      return this.served;
    }
    throw new Error(`the store could not be served: ${complaint}`);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.served?.child;
    this.served = null;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async audit(): Promise<Audit> {
    const child = spawn(process.execPath, [launcher, 'records', 'audit', ...this.source, '--restart', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const part of child.stdout) text += String(part);
    return JSON.parse(text) as Audit;
  }

  async send(method: string, where: string, body?: JsonValue): Promise<Response> {
    return fetch(where.startsWith('/') ? new URL(where, this.address) : `${this.address}/${where}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  }

  async memoryMb(): Promise<number> {
    const text = await (await this.send('GET', '/metrics')).text();
    return Math.round(Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 1e6);
  }
}

const pathOf = (resource: Resource): string => `${resource.projectEndpoint}/${resource.endpoint}`;
/** A member as a text; objects as JSON. */
const textOf = (value: JsonValue | undefined): string =>
  typeof value === 'string' ? value : JSON.stringify(value ?? null);
const withoutMeta = ({ id: _id, _etag, _lastModifiedDate, ...members }: Json): Json => members;

/** A text of the resource's own that stands in its identity. */
const ownText = (resource: Resource): string | null => {
  const element = resource.identity.find(
    ({ source }) => source.kind === 'scalar' && source.column.type.kind === 'text',
  );
  return element !== undefined && /^\$\.[^.]+$/.test(element.path) ? element.path.slice(2) : null;
};

/** The longest chain of resources, each with the one before in its identity, from one whose identity can be changed. */
export const longestChain = (model: Model): readonly Resource[] => {
  const above = new Map<string, Set<Resource>>();
  for (const resource of model.resources.values()) {
    for (const { reference } of resource.references) {
      if (reference?.isIdentity !== true) continue;
      const name = displayName(reference.target);
      above.set(name, (above.get(name) ?? new Set()).add(resource));
    }
  }
  const from = (resource: Resource): readonly Resource[] => {
    const longer = [...(above.get(displayName(resource.name)) ?? [])].map(from);
    return [resource, ...(longer.sort((a, b) => b.length - a.length)[0] ?? [])];
  };
  const roots = [...model.resources.values()].filter((root) => root.allowIdentityUpdates && ownText(root) !== null);
  return roots.map(from).sort((a, b) => b.length - a.length)[0] ?? [];
};

interface Tour {
  readonly store: Store;
  readonly chain: readonly Resource[];
  readonly options: ShowOptions;
  /** Addresses of one document of each resource. */
  readonly locations: ReadonlyMap<Resource, string>;
}

const readAll = async ({ store, locations }: Tour): Promise<ReadonlyMap<Resource, Json>> => {
  const bodies = new Map<Resource, Json>();
  for (const [resource, location] of locations)
    bodies.set(resource, (await (await store.send('GET', location)).json()) as Json);
  return bodies;
};

const identityOf = (resource: Resource, body: Json): string =>
  resource.source.identityJsonPaths
    .map((each) => {
      let value: JsonValue | undefined = body;
      for (const name of each.slice(2).split('.')) value = (value as Json)[name];
      return `${each.slice(2)}=${textOf(value)}`;
    })
    .join(' ');

const renameRoot = async ({ store, chain, locations }: Tour, to: string): Promise<number> => {
  const [root] = chain;
  const location = root === undefined ? undefined : locations.get(root);
  if (root === undefined || location === undefined) throw new Error('no chain');
  const body = (await (await store.send('GET', location)).json()) as Json;
  const answer = await store.send('PUT', location, { ...body, [ownText(root) ?? '']: to });
  return answer.status;
};

const showRename = async (tour: Tour): Promise<Shown['rename']> => {
  const { chain, options } = tour;
  const before = await readAll(tour);
  const started = performance.now();
  const status = await renameRoot(tour, 'Renamed');
  const milliseconds = performance.now() - started;
  if (status !== 204) throw new Error(`the rename was answered with ${status}`);
  const after = await readAll(tour);
  const changed = [...after].filter(([resource, body]) => body['_etag'] !== before.get(resource)?.['_etag']);
  const [root] = chain;
  options.report(
    `2. ${root === undefined ? '' : displayName(root.name)} renamed in ${milliseconds.toFixed(0)} ms; its chain of ${chain.length} and what shows it:`,
  );
  const shown = changed.map(([resource, body]) => {
    const at = chain.indexOf(resource);
    options.report(
      `   ${at < 0 ? '  shows' : `level ${at}`}  etag ${textOf(before.get(resource)?.['_etag'])} -> ${textOf(body['_etag'])}  ${displayName(resource.name)}  ${identityOf(resource, body)}`,
    );
    return { resource: displayName(resource.name), level: at < 0 ? null : at, etag: textOf(body['_etag']) };
  });
  const untouched = [...after].filter(([resource]) => !changed.some(([other]) => other === resource));
  const othersChanged = untouched.filter(
    ([resource, body]) => JSON.stringify(body) !== JSON.stringify(before.get(resource)),
  ).length;
  return {
    root: root === undefined ? '' : displayName(root.name),
    levels: chain.length,
    changed: shown,
    othersChanged,
    milliseconds,
  };
};

const showContention = async (tour: Tour): Promise<Shown['contention']> => {
  const { store, chain, locations, options } = tour;
  const outcomes: Record<string, number> = {};
  const note = (what: string): void => void (outcomes[what] = (outcomes[what] ?? 0) + 1);
  const variable = chain.slice(1).filter((resource) => ownText(resource) !== null);
  const deadline = performance.now() + options.seconds * 1_000;
  let renames = 0;
  const writer = async (id: number): Promise<void> => {
    for (let n = 0; performance.now() < deadline; n += 1) {
      const resource = variable[(id + n) % variable.length];
      const location = resource === undefined ? undefined : locations.get(resource);
      if (resource === undefined || location === undefined) return;
      const body = (await (await store.send('GET', location)).json()) as Json;
      const key = ownText(resource) ?? '';
      const answer = await store.send('POST', pathOf(resource), { ...withoutMeta(body), [key]: `w${id}n${n % 20}` });
      const problem = answer.status < 400 ? null : ((await answer.json()) as { code?: string; type?: string });
      note(problem === null ? `written ${answer.status}` : `${answer.status} ${problem.type ?? ''}`);
      // Some of what was written goes again: deletes race with references.
      if (answer.status === 201 && n % 5 === 0) {
        const gone = await store.send('DELETE', answer.headers.get('location') ?? '');
        note(`delete ${gone.status}`);
      }
    }
  };
  const renamer = async (): Promise<void> => {
    for (let n = 0; performance.now() < deadline; n += 1) {
      const status = await renameRoot(tour, `Name ${n}`);
      note(`rename ${status}`);
      if (status === 204) renames += 1;
    }
  };
  await Promise.all([...Array.from({ length: options.writers }, async (_, id) => writer(id)), renamer()]);
  await store.end('SIGTERM');
  const audit = await store.audit();
  options.report(
    `3. ${options.writers} writers and ${renames} renames in ${options.seconds} s: ${JSON.stringify(outcomes)}`,
  );
  options.report(`   audit: ${audit.checked} documents checked, ${audit.damages} damages`);
  return { writers: options.writers, renames, outcomes, audit };
};

const showRefusedDelete = async ({ store, chain, locations, options }: Tour): Promise<Shown['refusedDelete']> => {
  const [root] = chain;
  const answer = await store.send('DELETE', (root === undefined ? undefined : locations.get(root)) ?? '');
  const { detail, errors } = (await answer.json()) as { detail: string; errors: { message: string }[] };
  options.report(`4. DELETE of the root: ${answer.status}, ${detail}`);
  return { status: answer.status, types: errors.map((error) => error.message) };
};

const showKill = async (tour: Tour): Promise<Shown['killed']> => {
  const { store, chain, locations, options } = tour;
  const [, child] = chain;
  const location = child === undefined ? undefined : locations.get(child);
  if (child === undefined || location === undefined) throw new Error('no chain');
  const key = ownText(child) ?? '';
  const base = withoutMeta((await (await store.send('GET', location)).json()) as Json);
  const lines = Array.from({ length: options.bulkLines }, (_, n) =>
    JSON.stringify({ resource: pathOf(child), document: { ...base, [key]: `bulk${n}` } }),
  ).join('\n');
  const bulk = async (): Promise<Response> =>
    fetch(`${store.address}/$bulk`, {
      method: 'POST',
      body: lines,
      headers: { 'content-type': 'application/x-ndjson' },
    });
  const count = async (): Promise<number> =>
    Number((await store.send('GET', `${pathOf(child)}?limit=1&totalCount=true`)).headers.get('total-count'));
  const before = await count();
  const sending = bulk().then(
    () => true,
    () => false,
  );
  // Killed when the first chunk is there and more are on the way.
  for (let seen = before; seen === before;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    seen = await count();
  }
  await store.end('SIGKILL');
  const acknowledged = await sending;
  const audit = await store.audit();
  await store.serve();
  const kept = (await count()) - before;
  const again = (await (await bulk()).json()) as Json;
  options.report(
    `5. killed with ${kept} of ${options.bulkLines} rows written (answered: ${String(acknowledged)}); audit after the restart: ${audit.checked} checked, ${audit.damages} damages`,
  );
  options.report(`   the same body again: ${JSON.stringify({ ...again, failures: undefined })}`);
  return { acknowledged, kept, sent: options.bulkLines, audit, again };
};

/** Runs the tour; a server of its own is started and stopped, and its folder removed. */
export const showRecords = async (options: ShowOptions): Promise<Shown> => {
  const { report } = options;
  const model = deriveModel(
    loadSchema(
      await Promise.all(
        options.schemaFiles.map(async (file): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'))),
      ),
    ),
  );
  const dataDir = await mkdtemp(path.join(tmpdir(), 'casebound-show-'));
  const store = new Store(options.schemaFiles, dataDir);
  try {
    const first = await store.serve();
    const locations = new Map<Resource, string>();
    await fillEveryResource(model, async ({ resource, document }) => {
      const answer = await store.send('POST', pathOf(resource), document);
      if (answer.status !== 201) throw new Error(`${resource.endpoint}: ${answer.status} ${await answer.text()}`);
      locations.set(resource, answer.headers.get('location') ?? '');
    });
    const memoryAfterUseMb = await store.memoryMb();
    await store.end('SIGTERM');
    const second = await store.serve();
    const serve = {
      resources: model.resources.size,
      timings: first.timings,
      restartTimings: second.timings,
      memoryMb: first.memoryMb,
      memoryAfterUseMb,
      documents: locations.size,
    };
    report(
      `1. ${model.resources.size} resources: provisioned in ${first.timings['provision']} ms, first start ${JSON.stringify(first.timings)}, next start ${JSON.stringify(second.timings)}`,
    );
    report(
      `   memory ${first.memoryMb} MB at the start, ${memoryAfterUseMb} MB after one full document of each was written`,
    );
    const tour: Tour = { store, chain: longestChain(model), options, locations };
    const rename = await showRename(tour);
    const contention = await showContention(tour);
    await store.serve();
    const refusedDelete = await showRefusedDelete(tour);
    const killed = await showKill(tour);
    return { serve, rename, contention, refusedDelete, killed };
  } finally {
    await store.end('SIGTERM');
    await rm(dataDir, { recursive: true, force: true });
  }
};

/** The large schema where it lies beside the checkout, the committed fixture otherwise. */
export const defaultSchemaFiles = (): readonly string[] => {
  const large = here('../../../shared/data/apischema/ed-fi-5.1.json');
  if (existsSync(large)) return [large];
  return ['library.api-schema.json', 'library-archive.api-schema.json'].map((name) =>
    here(`../../packages/records/fixtures/${name}`),
  );
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2).map((file) => path.resolve(file));
  const schemaFiles = given.length > 0 ? given : defaultSchemaFiles();
  const shown = await showRecords({
    schemaFiles,
    writers: Number(process.env['WRITERS'] ?? 50),
    seconds: Number(process.env['SECONDS'] ?? 10),
    bulkLines: Number(process.env['BULK_LINES'] ?? 20_000),
    report: (line) => console.log(line),
  });
  const folder = here('../results');
  await mkdir(folder, { recursive: true });
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
  const content = { name: 'records-show', machine, schema: schemaFiles.map((file) => path.basename(file)), ...shown };
  await writeFile(path.join(folder, 'records-show.json'), `${JSON.stringify(content, null, 2)}\n`);
}
