/**
 * Reads API schemas (one core project and any number of extensions) into one set of resources.
 *
 * - Every problem of every file is listed in one error; nothing is loaded when there is one.
 * - An extension of a resource (`isResourceExtension`) is merged into the resource it extends; a new resource of an extension
 *   project stands beside the core's.
 */
import { CaseboundError, type FieldError } from '@casebound/contract';

import {
  type AbstractResource,
  apiSchemaForm,
  type JsonSchema,
  type LoadedResource,
  resourceSchemaForm,
} from './api-schema.ts';
import { checkJsonSchema } from './check-json-schema.ts';
import { combineFingerprints, fingerprintOf, isDeeperThan } from './fingerprint.ts';

export interface LoadedSchema {
  readonly fingerprint: string;
  readonly components: readonly {
    readonly projectName: string;
    readonly version: string;
    readonly fingerprint: string;
  }[];
  readonly resources: readonly LoadedResource[];
  readonly abstracts: readonly AbstractResource[];
}

export class Problems {
  readonly list: FieldError[] = [];
  add(path: string, message: string): void {
    this.list.push({ path, message });
  }
  /** Throws `schema_invalid` with everything found so far, if anything was. */
  throwIfAny(): void {
    if (this.list.length === 0) return;
    const shown = this.list.slice(0, 500);
    const first = shown.slice(0, 5).map((problem) => `${problem.path} ${problem.message}`);
    throw new CaseboundError(
      'schema_invalid',
      `The API schema has ${this.list.length} problem${this.list.length === 1 ? '' : 's'}: ${first.join('; ')}.`,
      { errors: shown },
    );
  }
}

const asSchema = (value: unknown): JsonSchema | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonSchema) : null;

/** Adds the members of an extension's JSON Schema to the one it extends; what both declare must be objects or arrays. */
const mergeJsonSchema = (base: JsonSchema, extension: JsonSchema, path: string, problems: Problems): JsonSchema => {
  const properties: Record<string, unknown> = { ...asSchema(base['properties']) };
  for (const [name, added] of Object.entries(asSchema(extension['properties']) ?? {})) {
    const [ours, theirs] = [Object.hasOwn(properties, name) ? asSchema(properties[name]) : null, asSchema(added)];
    if (ours === null) properties[name] = added;
    else if (theirs !== null && ours['type'] === 'object' && theirs['type'] === 'object') {
      properties[name] = mergeJsonSchema(ours, theirs, `${path}.${name}`, problems);
    } else if (theirs !== null && ours['type'] === 'array' && theirs['type'] === 'array') {
      const [ourItems, theirItems] = [asSchema(ours['items']), asSchema(theirs['items'])];
      if (ourItems !== null && theirItems !== null) {
        properties[name] = { ...ours, items: mergeJsonSchema(ourItems, theirItems, `${path}.${name}[*]`, problems) };
      }
    } else
      problems.add(`${path}.${name}`, 'is declared by the extension although the extended resource has it already');
  }
  return { ...base, properties };
};

const mergeExtension = (base: LoadedResource, extension: LoadedResource, problems: Problems): LoadedResource => {
  const mapping = { ...base.documentPathsMapping };
  for (const [key, entry] of Object.entries(extension.documentPathsMapping)) {
    mapping[`${extension.projectName}:${key}`] = entry;
  }
  const queryFieldMapping = { ...base.queryFieldMapping };
  for (const [field, targets] of Object.entries(extension.queryFieldMapping)) {
    if (!Object.hasOwn(queryFieldMapping, field)) queryFieldMapping[field] = targets;
    else
      problems.add(
        `${extension.endpoint}.queryFieldMapping.${field}`,
        'is a query field of the extended resource already',
      );
  }
  return {
    ...base,
    documentPathsMapping: mapping,
    queryFieldMapping,
    jsonSchemaForInsert: mergeJsonSchema(base.jsonSchemaForInsert, extension.jsonSchemaForInsert, '$', problems),
    equalityConstraints: [...base.equalityConstraints, ...extension.equalityConstraints],
    arrayUniquenessConstraints: [...base.arrayUniquenessConstraints, ...extension.arrayUniquenessConstraints],
    booleanJsonPaths: [...base.booleanJsonPaths, ...extension.booleanJsonPaths],
    numericJsonPaths: [...base.numericJsonPaths, ...extension.numericJsonPaths],
    dateJsonPaths: [...base.dateJsonPaths, ...extension.dateJsonPaths],
    dateTimeJsonPaths: [...base.dateTimeJsonPaths, ...extension.dateTimeJsonPaths],
    decimalPropertyValidationInfos: [
      ...base.decimalPropertyValidationInfos,
      ...extension.decimalPropertyValidationInfos,
    ],
    ...(base.relational === undefined && extension.relational === undefined
      ? {}
      : {
          relational: {
            ...base.relational,
            nameOverrides: { ...base.relational?.nameOverrides, ...extension.relational?.nameOverrides },
          },
        }),
  };
};

/** Levels of JSON in one file; a schema as deep as derivation takes one needs far fewer. */
const maxFileDepth = 200;

interface ReadProject {
  readonly component: { readonly projectName: string; readonly version: string; readonly fingerprint: string };
  readonly endpoint: string;
  readonly isExtension: boolean;
  readonly resources: readonly LoadedResource[];
  readonly abstracts: readonly AbstractResource[];
}

const readProject = (input: unknown, position: number, problems: Problems): ReadProject | null => {
  if (isDeeperThan(input, maxFileDepth)) {
    problems.add(`schema[${position}]`, `is nested deeper than ${maxFileDepth} levels`);
    return null;
  }
  const parsed = apiSchemaForm.safeParse(input);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      problems.add(`schema[${position}].${issue.path.map(String).join('.')}`, issue.message);
    }
    return null;
  }
  const project = parsed.data.projectSchema;
  const resources: LoadedResource[] = [];
  const seen = new Map<string, string>();
  const lowerEndpoints = new Map<string, string>();
  for (const [endpoint, candidate] of Object.entries(project.resourceSchemas)) {
    const resource = resourceSchemaForm.safeParse(candidate);
    if (!resource.success) {
      for (const issue of resource.error.issues) {
        problems.add(`${project.projectName}.${endpoint}.${issue.path.map(String).join('.')}`, issue.message);
      }
      continue;
    }
    checkJsonSchema(
      resource.data.jsonSchemaForInsert,
      `${project.projectName}.${endpoint}.jsonSchemaForInsert`,
      problems,
    );
    const twin = seen.get(resource.data.resourceName);
    if (twin !== undefined) problems.add(`${project.projectName}.${endpoint}`, `has the resource name of ${twin}`);
    seen.set(resource.data.resourceName, endpoint);
    const lower = lowerEndpoints.get(endpoint.toLowerCase());
    if (lower !== undefined) {
      problems.add(`${project.projectName}.${endpoint}`, `differs from the endpoint ${lower} by letter case only`);
    }
    lowerEndpoints.set(endpoint.toLowerCase(), endpoint);
    resources.push({
      ...resource.data,
      projectName: project.projectName,
      projectEndpoint: project.projectEndpointName,
      projectVersion: project.projectVersion,
      isExtensionProject: project.isExtensionProject,
      endpoint,
    });
  }
  return {
    component: {
      projectName: project.projectName,
      version: project.projectVersion,
      fingerprint: fingerprintOf(input),
    },
    endpoint: project.projectEndpointName,
    isExtension: project.isExtensionProject,
    resources,
    abstracts: Object.entries(project.abstractResources).map(([resourceName, entry]) => ({
      projectName: project.projectName,
      isExtensionProject: project.isExtensionProject,
      resourceName,
      identityJsonPaths: entry.identityJsonPaths,
    })),
  };
};

/**
 * Reads parsed API schema files into one set.
 * @param inputs parsed JSON, the core project and its extensions in any order
 * @throws `schema_invalid` with every problem at its place
 */
export const loadSchema = (inputs: readonly unknown[]): LoadedSchema => {
  const problems = new Problems();
  const projects = inputs
    .map((input, position) => readProject(input, position, problems))
    .filter((read) => read !== null);
  problems.throwIfAny();
  if (projects.filter((project) => !project.isExtension).length !== 1) {
    problems.add('schema', 'needs exactly one core project (isExtensionProject false) beside its extensions');
  }
  const names = new Set<string>();
  const endpoints = new Set<string>();
  for (const project of projects) {
    if (names.has(project.component.projectName)) problems.add(project.component.projectName, 'is loaded twice');
    if (endpoints.has(project.endpoint.toLowerCase())) {
      problems.add(project.component.projectName, `uses the endpoint ${project.endpoint} of another project`);
    }
    names.add(project.component.projectName);
    endpoints.add(project.endpoint.toLowerCase());
  }
  const all = projects.flatMap((project) => project.resources);
  const resources = all.filter((resource) => !resource.isResourceExtension);
  for (const extension of all.filter((resource) => resource.isResourceExtension)) {
    const at = resources.findIndex((resource) => resource.resourceName === extension.resourceName);
    const base = resources[at];
    if (base === undefined) {
      problems.add(
        `${extension.projectName}.${extension.endpoint}`,
        `extends ${extension.resourceName}, which no project has`,
      );
    } else resources[at] = mergeExtension(base, extension, problems);
  }
  problems.throwIfAny();
  const components = projects
    .map((project) => project.component)
    .sort((a, b) => (a.projectName < b.projectName ? -1 : 1));
  return {
    fingerprint: combineFingerprints(
      components.map((component) => `${component.projectName} ${component.fingerprint}`),
    ),
    components,
    resources,
    abstracts: projects.flatMap((project) => project.abstracts),
  };
};
