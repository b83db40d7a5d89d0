/**
 * Derives the tables of one resource by walking its JSON Schema once.
 *
 * - What the walk meets decides: a mapped reference object becomes one foreign-key column, a mapped descriptor one descriptor
 *   column, an array a child table, `_ext.{project}` an extension table, an object inlines with a prefix, a leaf is a column.
 * - Mapped paths that the walk does not meet are problems, so a mapping can never be dropped silently.
 */
import type { DocumentMapping, JsonSchema, LoadedResource } from '../schema/api-schema.ts';
import { lastMember, parentPath } from '../schema/json-path.ts';
import type { Problems } from '../schema/load-schema.ts';
import type { Column, Member, ReferenceBinding, ResourceName, Table } from './model.ts';
import { limitIdentifier, snakeCase } from './naming.ts';
import { nodeKind, scalarType } from './scalar-type.ts';

/** Objects and arrays within each other; beyond it a schema is taken for hostile. */
const maxSchemaDepth = 24;
const maxMembers = 1_200;

interface MappedReference {
  readonly mapping: DocumentMapping;
  readonly members: ReadonlyMap<string, string>;
}

export interface DeriveInput {
  readonly resource: LoadedResource;
  readonly rootTableName: string;
  /** Identity paths of any resource or abstract resource, or null when there is none of that name. */
  readonly identityOf: (
    name: ResourceName,
  ) => { readonly paths: readonly string[]; readonly isAbstract: boolean } | null;
  readonly isDescriptor: (name: ResourceName) => boolean;
  readonly problems: Problems;
}

export interface DerivedTables {
  readonly root: Table;
  readonly tables: readonly Table[];
}

const asSchema = (value: unknown): JsonSchema | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonSchema) : null;

class ResourceDeriver {
  private readonly input: DeriveInput;
  private readonly at: string;
  private readonly references = new Map<string, MappedReference>();
  private readonly descriptors = new Map<string, ResourceName>();
  private readonly met = new Set<string>();
  private readonly overrides: ReadonlyMap<string, string>;
  private readonly usedOverrides = new Set<string>();
  private readonly indexedPaths: ReadonlySet<string>;
  readonly tables: Table[] = [];

  constructor(input: DeriveInput) {
    this.input = input;
    const { resource, problems } = input;
    this.at = `${resource.projectName}.${resource.endpoint}`;
    this.overrides = new Map(Object.entries(resource.relational?.nameOverrides ?? {}));
    const indexed = new Set<string>();
    for (const field of resource.relational?.indexedQueryFields ?? []) {
      const targets = Object.hasOwn(resource.queryFieldMapping, field) ? resource.queryFieldMapping[field] : undefined;
      if (targets === undefined)
        problems.add(`${this.at}.relational.indexedQueryFields`, `names no query field: ${field}`);
      for (const target of targets ?? []) indexed.add(target.path);
    }
    this.indexedPaths = indexed;
    this.readMapping();
  }

  private readMapping(): void {
    const { resource, problems } = this.input;
    for (const [key, mapping] of Object.entries(resource.documentPathsMapping)) {
      const place = `${this.at}.documentPathsMapping.${key}`;
      if (!mapping.isReference) continue;
      const name = { projectName: mapping.projectName, resourceName: mapping.resourceName };
      if ('path' in mapping) {
        if (this.input.isDescriptor(name)) this.descriptors.set(mapping.path, name);
        else
          problems.add(
            place,
            `refers to the descriptor ${name.projectName}.${name.resourceName}, which no project has`,
          );
        continue;
      }
      if (this.input.isDescriptor(name) || this.input.identityOf(name) === null) {
        problems.add(place, `refers to the resource ${name.projectName}.${name.resourceName}, which no project has`);
        continue;
      }
      const parents = new Set(mapping.referenceJsonPaths.map((pair) => parentPath(pair.referenceJsonPath)));
      const [path] = parents;
      if (path === undefined || parents.size !== 1 || path === '$' || path.endsWith(']')) {
        problems.add(place, 'must have all of its referenceJsonPaths in one object of its own');
        continue;
      }
      if (this.references.has(path)) problems.add(place, `shares the object ${path} with another reference`);
      const members = new Map(
        mapping.referenceJsonPaths.map((pair) => [pair.identityJsonPath, pair.referenceJsonPath]),
      );
      this.references.set(path, { mapping, members });
    }
  }

  run(): DerivedTables {
    const { resource, problems } = this.input;
    const root: Table = {
      name: this.input.rootTableName,
      kind: 'root',
      parent: null,
      path: '$',
      ordinals: [],
      valueKey: null,
      columns: [],
      members: [],
      children: [],
      uniques: [],
    };
    this.tables.push(root);
    if (nodeKind(resource.jsonSchemaForInsert) !== 'object') {
      problems.add(`${this.at}.jsonSchemaForInsert`, 'must be of type object and have properties');
      return { root, tables: this.tables };
    }
    root.members.push(...this.walkObject(resource.jsonSchemaForInsert, '$', '', root, 0));
    for (const path of this.references.keys()) {
      if (!this.met.has(path))
        problems.add(this.at, `maps a reference at ${path}, which the JSON schema does not have`);
    }
    for (const path of this.descriptors.keys()) {
      if (!this.met.has(path))
        problems.add(this.at, `maps a descriptor at ${path}, which the JSON schema does not have`);
    }
    for (const key of this.overrides.keys()) {
      if (!this.usedOverrides.has(key)) {
        problems.add(`${this.at}.relational.nameOverrides`, `names ${key}, which has no table or column`);
      }
    }
    for (const table of this.tables) this.checkColumnNames(table);
    return { root, tables: this.tables };
  }

  private named(path: string, derived: string): string {
    const override = this.overrides.get(path);
    if (override === undefined) return derived;
    this.usedOverrides.add(path);
    return snakeCase(override);
  }

  private walkObject(schema: JsonSchema, path: string, prefix: string, table: Table, depth: number): Member[] {
    const { problems } = this.input;
    if (depth > maxSchemaDepth) {
      problems.add(`${this.at} ${path}`, `is nested deeper than ${maxSchemaDepth} levels`);
      return [];
    }
    const members: Member[] = [];
    const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : []);
    const properties = Object.entries(asSchema(schema['properties']) ?? {});
    if (properties.length > maxMembers) problems.add(`${this.at} ${path}`, `has more than ${maxMembers} members`);
    for (const [name, value] of properties.slice(0, maxMembers)) {
      const child = asSchema(value);
      // eslint-disable-next-line no-control-regex
      if (child === null || name === '' || name in Object.prototype || /[.[\]\u0000]/.test(name)) {
        problems.add(
          `${this.at} ${path}.${name}`,
          child === null ? 'is no JSON schema' : 'is a name that no member can have',
        );
        continue;
      }
      if (child['$ref'] !== undefined) {
        problems.add(`${this.at} ${path}.${name}`, 'uses $ref; write the schema out in place');
        continue;
      }
      const member = this.walkMember(name, child, `${path}.${name}`, prefix, table, depth, required.has(name));
      if (member !== null) members.push(member);
    }
    return members;
  }

  private walkMember(
    name: string,
    schema: JsonSchema,
    path: string,
    prefix: string,
    table: Table,
    depth: number,
    required: boolean,
  ): Member | null {
    const reference = this.references.get(path);
    if (reference !== undefined) return this.referenceMember(name, schema, path, prefix, table, reference, required);
    const kind = nodeKind(schema);
    if (kind === 'array') return this.collectionMember(name, schema, path, prefix, table, depth);
    if (kind === 'object' && name === '_ext') return this.extensionMember(schema, path, table, depth);
    if (kind === 'object') {
      const inner = this.named(path, `${prefix}${snakeCase(name)}`);
      return { kind: 'object', name, members: this.walkObject(schema, path, `${inner}_`, table, depth + 1) };
    }
    return this.leafMember(name, schema, path, prefix, table, required);
  }

  private leafMember(
    name: string,
    schema: JsonSchema,
    path: string,
    prefix: string,
    table: Table,
    required: boolean,
  ): Member | null {
    const descriptor = this.descriptors.get(path);
    if (descriptor !== undefined) {
      this.met.add(path);
      const role = name.length > 10 && name.endsWith('Descriptor') ? name.slice(0, -10) : name;
      const column = this.addColumn(table, {
        name: limitIdentifier(`${this.named(path, `${prefix}${snakeCase(role)}`)}_descriptor_id`),
        kind: 'descriptor',
        type: { kind: 'bigint' },
        path,
        required,
        reference: null,
        descriptor,
        indexed: true,
      });
      return { kind: 'descriptor', name, column };
    }
    const decimal = this.input.resource.decimalPropertyValidationInfos.find((info) => info.path === path);
    const type = scalarType(schema, decimal);
    if (type === null) {
      this.input.problems.add(
        `${this.at} ${path}`,
        `has the type ${JSON.stringify(schema['type'])}, which no column can hold`,
      );
      return null;
    }
    const column = this.addColumn(table, {
      name: limitIdentifier(this.named(path, `${prefix}${snakeCase(name)}`)),
      kind: 'scalar',
      type,
      path,
      required,
      reference: null,
      descriptor: null,
      indexed: this.indexedPaths.has(path),
    });
    return { kind: 'scalar', name, column };
  }

  private referenceMember(
    name: string,
    schema: JsonSchema,
    path: string,
    prefix: string,
    table: Table,
    reference: MappedReference,
    required: boolean,
  ): Member {
    const { problems, resource } = this.input;
    this.met.add(path);
    const target = { projectName: reference.mapping.projectName, resourceName: reference.mapping.resourceName };
    const identity = this.input.identityOf(target) ?? { paths: [], isAbstract: false };
    const properties = asSchema(schema['properties']) ?? {};
    const elements = identity.paths.flatMap((identityPath) => {
      const referencePath = reference.members.get(identityPath);
      if (referencePath === undefined) {
        problems.add(
          `${this.at} ${path}`,
          `gives no value for ${identityPath} of ${target.projectName}.${target.resourceName}`,
        );
        return [];
      }
      const member = lastMember(referencePath);
      const declared = Object.hasOwn(properties, member) ? asSchema(properties[member]) : null;
      const type = declared === null ? null : scalarType(declared, undefined);
      if (type === null || type.kind === 'json') {
        problems.add(
          `${this.at} ${path}.${member}`,
          'must be declared as a single value: it names what is referred to',
        );
        return [];
      }
      return [{ identityPath, member, type, sourceType: type, isDescriptor: false }];
    });
    for (const identityPath of reference.members.keys()) {
      if (!identity.paths.includes(identityPath)) {
        problems.add(
          `${this.at} ${path}`,
          `maps ${identityPath}, which is not in the identity of ${target.projectName}.${target.resourceName}`,
        );
      }
    }
    const isIdentity = [...reference.members.values()].some((item) => resource.identityJsonPaths.includes(item));
    const binding: ReferenceBinding = {
      target,
      isAbstractTarget: identity.isAbstract,
      path,
      elements,
      isIdentity,
      isMutable: false,
    };
    const role = name.length > 9 && name.endsWith('Reference') ? name.slice(0, -9) : name;
    const column = this.addColumn(table, {
      name: limitIdentifier(`${this.named(path, `${prefix}${snakeCase(role)}`)}_document_id`),
      kind: 'reference',
      type: { kind: 'bigint' },
      path,
      required,
      reference: binding,
      descriptor: null,
      indexed: true,
    });
    return { kind: 'reference', name, column, binding };
  }

  private collectionMember(
    name: string,
    schema: JsonSchema,
    path: string,
    prefix: string,
    parent: Table,
    depth: number,
  ): Member | null {
    const items = asSchema(schema['items']);
    const itemKind = items === null ? null : nodeKind(items);
    if (items === null || itemKind === 'array') {
      this.input.problems.add(
        `${this.at} ${path}`,
        items === null ? 'is an array without items' : 'is an array of arrays',
      );
      return null;
    }
    const full = `${parent.name}__${this.named(path, `${prefix}${snakeCase(name)}`)}`;
    const parentOrdinals = parent.ordinals;
    // Compared as it will be named: two long names of one beginning are told apart by their hash only.
    const own = limitIdentifier(`${snakeCase(name)}_ordinal`);
    const table: Table = {
      name: limitIdentifier(this.overrides.has(path) ? this.named(path, '') : full),
      kind: 'collection',
      parent,
      path: `${path}[*]`,
      ordinals: [
        ...parentOrdinals,
        parentOrdinals.includes(own) ? limitIdentifier(`${own}_${parentOrdinals.length}`) : own,
      ],
      valueKey: null,
      columns: [],
      members: [],
      children: [],
      uniques: [],
    };
    this.tables.push(table);
    parent.children.push(table);
    if (itemKind === 'object') table.members.push(...this.walkObject(items, table.path, '', table, depth + 1));
    else {
      const leaf = this.leafMember('value', items, table.path, '', table, true);
      if (leaf !== null) table.members.push(leaf);
    }
    return { kind: 'collection', name, table, scalarItems: itemKind !== 'object' };
  }

  private extensionMember(schema: JsonSchema, path: string, parent: Table, depth: number): Member {
    const members: Member[] = [];
    for (const [project, value] of Object.entries(asSchema(schema['properties']) ?? {})) {
      const inner = asSchema(value);
      if (inner === null || nodeKind(inner) !== 'object') {
        this.input.problems.add(`${this.at} ${path}.${project}`, 'must be an object with properties');
        continue;
      }
      const innerPath = `${path}.${project}`;
      const table: Table = {
        name: limitIdentifier(this.named(innerPath, `${parent.name}__${snakeCase(project)}`)),
        kind: 'extension',
        parent,
        path: innerPath,
        ordinals: parent.ordinals,
        valueKey: null,
        columns: [],
        members: [],
        children: [],
        uniques: [],
      };
      this.tables.push(table);
      parent.children.push(table);
      table.members.push(...this.walkObject(inner, innerPath, '', table, depth + 1));
      members.push({ kind: 'extension', name: project, table });
    }
    return { kind: 'object', name: '_ext', members };
  }

  private addColumn(table: Table, column: Column): Column {
    table.columns.push(column);
    return column;
  }

  private checkColumnNames(table: Table): void {
    const taken = new Map<string, string>();
    for (const key of ['document_id', 'root_document_id', ...table.ordinals]) taken.set(key, 'the key of its table');
    for (const column of table.columns) {
      const other = taken.get(column.name);
      if (other !== undefined) {
        this.input.problems.add(
          `${this.at} ${column.path}`,
          `needs the column ${column.name} of ${table.name}, which is taken by ${other}; set relational.nameOverrides`,
        );
      }
      taken.set(column.name, column.path);
    }
  }
}

/** Derives the root, collection and extension tables of one resource; problems go to `input.problems`. */
export const deriveResource = (input: DeriveInput): DerivedTables => new ResourceDeriver(input).run();
