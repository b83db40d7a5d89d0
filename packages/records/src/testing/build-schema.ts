/**
 * Writes API schemas from short descriptions, for tests and for the case model: JSON schema, path mapping, query fields and lists of coerced paths follow
 * from the members, so that a description cannot contradict itself.
 */

export type MemberSpec =
  | { readonly kind: 'integer' | 'boolean' | 'date' | 'time' | 'timestamp' | 'json' }
  | { readonly kind: 'string'; readonly maxLength?: number; readonly choices?: readonly string[] }
  | { readonly kind: 'number'; readonly totalDigits?: number; readonly decimalPlaces?: number }
  | { readonly kind: 'descriptor'; readonly target: string }
  /** `queryAs`: prefix of the query fields of the reference's elements, which are named like the target's own otherwise. */
  | { readonly kind: 'reference'; readonly target: string; readonly queryAs?: string }
  | { readonly kind: 'object'; readonly members: Members }
  | { readonly kind: 'list'; readonly members: Members; readonly unique?: readonly string[] }
  | { readonly kind: 'values'; readonly item: MemberSpec };

export type Members = Readonly<Record<string, MemberSpec & { readonly required?: boolean }>>;

export interface ResourceSpec {
  readonly endpoint: string;
  readonly members: Members;
  readonly identity: readonly string[];
  readonly allowIdentityUpdates?: boolean;
  readonly superclass?: { readonly name: string; readonly renames?: string };
  readonly isYearEnumeration?: boolean;
  readonly extends?: boolean;
  readonly equal?: readonly (readonly [string, string])[];
  readonly relational?: object;
}

export interface ProjectSpec {
  readonly name: string;
  readonly version?: string;
  readonly endpoint: string;
  readonly isExtension?: boolean;
  readonly descriptors?: readonly string[];
  readonly abstracts?: Readonly<Record<string, readonly string[]>>;
  readonly resources: Readonly<Record<string, ResourceSpec>>;
  /** Resources of the core that an extension's references may name. */
  readonly core?: ProjectSpec;
}

interface Collected {
  readonly mapping: Record<string, unknown>;
  readonly queries: Record<string, { path: string }[]>;
  readonly booleans: string[];
  readonly numbers: string[];
  readonly decimals: object[];
  readonly uniques: string[][];
}

const leafSchemas: Readonly<Record<string, object>> = {
  integer: { type: 'integer' },
  number: { type: 'number' },
  boolean: { type: 'boolean' },
  date: { type: 'string', format: 'date' },
  time: { type: 'string', format: 'time' },
  timestamp: { type: 'string', format: 'date-time' },
  descriptor: { type: 'string' },
  json: {},
};

const leafSchema = (spec: MemberSpec): object =>
  spec.kind === 'string'
    ? {
        type: 'string',
        ...(spec.choices === undefined ? { maxLength: spec.maxLength ?? 300 } : { enum: spec.choices }),
      }
    : (leafSchemas[spec.kind] ?? {});

const prefixed = (prefix: string | undefined, name: string): string =>
  prefix === undefined ? name : `${prefix}${name.charAt(0).toUpperCase()}${name.slice(1)}`;

class ProjectBuilder {
  private readonly project: ProjectSpec;

  constructor(project: ProjectSpec) {
    this.project = project;
  }

  private owner(target: string): ProjectSpec {
    const { project } = this;
    const declared = project.resources[target];
    const isOwn =
      (declared !== undefined && declared.extends !== true) ||
      project.descriptors?.includes(target) === true ||
      project.abstracts?.[target] !== undefined;
    return isOwn || project.core === undefined ? project : project.core;
  }

  /** Identity paths of a resource with the leaf that each ends in. */
  private identity(target: string): { path: string; member: string; leaf: MemberSpec }[] {
    const owner = this.owner(target);
    const abstract = owner.abstracts?.[target];
    const sample = Object.entries(owner.resources).find(([, spec]) => spec.superclass?.name === target);
    const spec = owner.resources[target] ?? sample?.[1];
    if (spec === undefined) throw new Error(`no resource ${target}`);
    return spec.identity.map((path, index) => {
      const [first = '', second] = path.slice(2).split('.');
      const member = spec.members[first];
      if (member === undefined) throw new Error(`no member ${path}`);
      const own = abstract?.[index] ?? path;
      const leaf =
        member.kind === 'reference'
          ? this.identity(member.target).find((element) => element.member === second)?.leaf
          : member;
      return { path: own, member: own.slice(own.lastIndexOf('.') + 1), leaf: leaf ?? { kind: 'string' } };
    });
  }

  private member(name: string, spec: MemberSpec, path: string, collected: Collected): object {
    switch (spec.kind) {
      case 'object':
        return this.object(spec.members, path, collected);
      case 'list': {
        if (spec.unique !== undefined) collected.uniques.push(spec.unique.map((inner) => `${path}[*].${inner}`));
        return { type: 'array', items: this.object(spec.members, `${path}[*]`, collected) };
      }
      case 'values':
        return { type: 'array', items: this.member(name, spec.item, `${path}[*]`, collected) };
      case 'reference': {
        const elements = this.identity(spec.target);
        collected.mapping[path] = {
          isReference: true,
          projectName: this.owner(spec.target).name,
          resourceName: spec.target,
          referenceJsonPaths: elements.map((element) => ({
            identityJsonPath: element.path,
            referenceJsonPath: `${path}.${element.member}`,
          })),
        };
        const properties = Object.fromEntries(
          elements.map((element) => {
            const inner = `${path}.${element.member}`;
            this.query(prefixed(spec.queryAs, element.member), inner, collected);
            if (element.leaf.kind === 'integer' || element.leaf.kind === 'number') collected.numbers.push(inner);
            return [element.member, leafSchema(element.leaf)];
          }),
        );
        return {
          type: 'object',
          properties,
          required: elements.map((element) => element.member),
          additionalProperties: false,
        };
      }
      default:
        this.leaf(name, spec, path, collected);
        return leafSchema(spec);
    }
  }

  private leaf(name: string, spec: MemberSpec, path: string, collected: Collected): void {
    if (spec.kind === 'descriptor') {
      const project = this.owner(spec.target).name;
      collected.mapping[path] = {
        isReference: true,
        isDescriptor: true,
        path,
        projectName: project,
        resourceName: spec.target,
      };
    } else collected.mapping[path] = { isReference: false, path };
    if (spec.kind === 'boolean') collected.booleans.push(path);
    if (spec.kind === 'integer' || spec.kind === 'number') collected.numbers.push(path);
    if (spec.kind === 'number' && spec.totalDigits !== undefined) {
      collected.decimals.push({ path, totalDigits: spec.totalDigits, decimalPlaces: spec.decimalPlaces ?? 0 });
    }
    if (spec.kind !== 'json') this.query(name, path, collected);
  }

  private query(name: string, path: string, collected: Collected): void {
    (collected.queries[name] ??= []).push({ path });
  }

  private object(members: Members, path: string, collected: Collected): object {
    const properties = Object.fromEntries(
      Object.entries(members).map(([name, spec]) => [name, this.member(name, spec, `${path}.${name}`, collected)]),
    );
    const required = Object.entries(members).flatMap(([name, spec]) => (spec.required === true ? [name] : []));
    return { type: 'object', properties, additionalProperties: false, ...(required.length > 0 ? { required } : {}) };
  }

  private resource(name: string, spec: ResourceSpec): object {
    const collected: Collected = { mapping: {}, queries: {}, booleans: [], numbers: [], decimals: [], uniques: [] };
    const members: Members =
      spec.extends === true
        ? { _ext: { kind: 'object', members: { [this.project.endpoint]: { kind: 'object', members: spec.members } } } }
        : spec.members;
    const jsonSchemaForInsert = this.object(members, '$', collected);
    return {
      resourceName: name,
      isDescriptor: false,
      isSubclass: spec.superclass !== undefined,
      ...(spec.superclass === undefined
        ? {}
        : {
            superclassResourceName: spec.superclass.name,
            superclassProjectName: this.owner(spec.superclass.name).name,
            subclassType: 'domainEntity',
            ...(spec.superclass.renames === undefined ? {} : { superclassIdentityJsonPath: spec.superclass.renames }),
          }),
      isResourceExtension: spec.extends === true,
      isSchoolYearEnumeration: spec.isYearEnumeration === true,
      allowIdentityUpdates: spec.allowIdentityUpdates === true,
      identityJsonPaths: spec.identity,
      documentPathsMapping: collected.mapping,
      jsonSchemaForInsert,
      queryFieldMapping: collected.queries,
      equalityConstraints: (spec.equal ?? []).map(([sourceJsonPath, targetJsonPath]) => ({
        sourceJsonPath,
        targetJsonPath,
      })),
      arrayUniquenessConstraints: collected.uniques.map((paths) => ({ paths })),
      booleanJsonPaths: collected.booleans,
      numericJsonPaths: collected.numbers,
      dateJsonPaths: [],
      dateTimeJsonPaths: [],
      decimalPropertyValidationInfos: collected.decimals,
      ...(spec.relational === undefined ? {} : { relational: spec.relational }),
    };
  }

  build(): object {
    const { project } = this;
    const descriptors = (project.descriptors ?? []).map((name) => [
      `${name.charAt(0).toLowerCase()}${name.slice(1)}s`,
      descriptorSchema(name),
    ]);
    const resources = Object.entries(project.resources).map(([name, spec]) => [
      spec.endpoint,
      this.resource(name, spec),
    ]);
    return {
      apiSchemaVersion: '1.0.0',
      projectSchema: {
        projectName: project.name,
        projectEndpointName: project.endpoint,
        projectVersion: project.version ?? '1.0.0',
        isExtensionProject: project.isExtension === true,
        abstractResources: Object.fromEntries(
          Object.entries(project.abstracts ?? {}).map(([name, identityJsonPaths]) => [name, { identityJsonPaths }]),
        ),
        resourceNameMapping: {},
        caseInsensitiveEndpointNameMapping: {},
        resourceSchemas: Object.fromEntries([...descriptors, ...resources]),
      },
    };
  }
}

const descriptorSchema = (resourceName: string): object => ({
  resourceName,
  isDescriptor: true,
  isSubclass: false,
  isResourceExtension: false,
  isSchoolYearEnumeration: false,
  allowIdentityUpdates: false,
  identityJsonPaths: [],
  documentPathsMapping: {},
  jsonSchemaForInsert: {
    type: 'object',
    additionalProperties: false,
    properties: {
      namespace: { type: 'string', maxLength: 255, minLength: 1 },
      codeValue: { type: 'string', maxLength: 50, minLength: 1 },
      shortDescription: { type: 'string', maxLength: 75 },
      description: { type: 'string', maxLength: 1024 },
      effectiveBeginDate: { type: 'string', format: 'date' },
      effectiveEndDate: { type: 'string', format: 'date' },
    },
    required: ['namespace', 'codeValue', 'shortDescription'],
  },
  queryFieldMapping: { codeValue: [{ path: '$.codeValue' }], namespace: [{ path: '$.namespace' }] },
});

/** An API schema file as parsed JSON. */
export const buildSchema = (project: ProjectSpec): object => new ProjectBuilder(project).build();
