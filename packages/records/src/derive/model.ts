/**
 * The relational model that is derived from API schemas: plain data, the same for every store.
 *
 * - A resource is a tree of tables (root, collections, extensions) and, over it, a tree of members that says where each JSON
 *   member lives. Reading, writing, DDL, queries and audit all walk these two trees and nothing else.
 * - Every reference column stems from one `ReferenceBinding`; edges and foreign keys share it, so they cannot disagree.
 */
import type { JsonSchema, LoadedResource } from '../schema/api-schema.ts';

/** Storage class of a scalar. Integers are all bigint: a widened range is then no rewrite of a table. */
export type ScalarType =
  | { readonly kind: 'text' }
  | { readonly kind: 'bigint' }
  | { readonly kind: 'numeric'; readonly precision: number | null; readonly scale: number | null }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'date' }
  | { readonly kind: 'time' }
  | { readonly kind: 'timestamp' }
  | { readonly kind: 'json' };

export interface Column {
  readonly name: string;
  readonly kind: 'scalar' | 'reference' | 'descriptor';
  readonly type: ScalarType;
  /** JSON path of the member (of the reference object for references). */
  readonly path: string;
  readonly required: boolean;
  readonly reference: ReferenceBinding | null;
  readonly descriptor: ResourceName | null;
  readonly indexed: boolean;
}

export interface ResourceName {
  readonly projectName: string;
  readonly resourceName: string;
}

export interface ReferenceElement {
  /** Path of the element as the target names it. */
  readonly identityPath: string;
  /** Member of the reference object that holds it. */
  readonly member: string;
  /** Type that the referring schema declares. */
  readonly type: ScalarType;
  /** Type of the column where the value lives, however many references away. */
  readonly sourceType: ScalarType;
  /** The value is a descriptor's uri, whose letter case does not count. */
  readonly isDescriptor: boolean;
}

/** One reference of a resource, wherever it is nested. */
export interface ReferenceBinding {
  readonly target: ResourceName;
  readonly isAbstractTarget: boolean;
  /** Path of the reference object. */
  readonly path: string;
  /** One entry per identity element of the target, in the target's identity order. */
  readonly elements: readonly ReferenceElement[];
  readonly isIdentity: boolean;
  /** The target's identity, or one it contains, can change: what was resolved must be looked at again before commit. */
  isMutable: boolean;
}

export interface Table {
  readonly name: string;
  readonly kind: 'root' | 'collection' | 'extension';
  readonly parent: Table | null;
  /** JSON path of the object whose members the rows hold: `$`, `$.addresses[*]`, `$._ext.sample`. */
  readonly path: string;
  /** Ordinal columns that identify a row within its document, outermost first; empty for the root and its extensions. */
  readonly ordinals: readonly string[];
  /** Set where rows are keyed by the reference they hold: its column stands in the key and the ordinal is plain order. */
  readonly valueKey: Column | null;
  readonly columns: Column[];
  readonly members: Member[];
  readonly children: Table[];
  /** Sets of columns that are unique within the parent row (arrayUniquenessConstraints). */
  readonly uniques: { readonly columns: readonly string[]; readonly paths: readonly string[] }[];
}

export type Member =
  | { readonly kind: 'scalar'; readonly name: string; readonly column: Column }
  | { readonly kind: 'descriptor'; readonly name: string; readonly column: Column }
  | { readonly kind: 'reference'; readonly name: string; readonly column: Column; readonly binding: ReferenceBinding }
  | { readonly kind: 'object'; readonly name: string; readonly members: readonly Member[] }
  | { readonly kind: 'collection'; readonly name: string; readonly table: Table; readonly scalarItems: boolean }
  | { readonly kind: 'extension'; readonly name: string; readonly table: Table };

/** One element of a resource's identity. */
export interface IdentityElement {
  readonly path: string;
  readonly source:
    | { readonly kind: 'scalar'; readonly column: Column }
    | { readonly kind: 'descriptor'; readonly column: Column }
    /** The element is member `elementIndex` of a reference's identity. */
    | {
        readonly kind: 'reference';
        readonly column: Column;
        readonly binding: ReferenceBinding;
        readonly elementIndex: number;
      };
}

export interface SuperclassAlias {
  readonly target: ResourceName;
  /** Paths as the superclass names them, in its identity order, with the index of the own identity element. */
  readonly elements: readonly { readonly path: string; readonly ownIndex: number }[];
}

export interface QueryTarget {
  readonly path: string;
  readonly table: Table;
  readonly column: Column;
  /** Set where the field is an element of a reference's identity. */
  readonly elementIndex: number | null;
}

export interface Resource {
  readonly source: LoadedResource;
  readonly name: ResourceName;
  readonly projectEndpoint: string;
  readonly endpoint: string;
  readonly isDescriptor: boolean;
  readonly root: Table;
  /** All tables, parents before children. Empty for a descriptor, whose rows live in the shared table. */
  readonly tables: readonly Table[];
  readonly identity: readonly IdentityElement[];
  readonly alias: SuperclassAlias | null;
  readonly references: readonly Column[];
  readonly descriptors: readonly Column[];
  readonly queryFields: ReadonlyMap<string, readonly QueryTarget[]>;
  readonly allowIdentityUpdates: boolean;
  /** Its identity can change by itself or through what it refers to. */
  readonly identityIsMutable: boolean;
  readonly jsonSchema: JsonSchema;
}

export interface AbstractView {
  readonly name: ResourceName;
  readonly viewName: string;
  readonly identityPaths: readonly string[];
  readonly columns: readonly { readonly name: string; readonly path: string; readonly type: ScalarType }[];
  readonly subclasses: Resource[];
}

export interface Model {
  readonly fingerprint: string;
  readonly components: readonly {
    readonly projectName: string;
    readonly version: string;
    readonly fingerprint: string;
  }[];
  /** By `resourceId`. Sorted by it. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly abstracts: ReadonlyMap<string, AbstractView>;
  /** Lower-case `project/endpoint` -> resource. */
  readonly byEndpoint: ReadonlyMap<string, Resource>;
}

/** Key of a resource in the model's maps. */
export const resourceId = (name: ResourceName): string => `${name.projectName}\u0000${name.resourceName}`;

/** `Ed-Fi.School`, for people. */
export const displayName = (name: ResourceName): string => `${name.projectName}.${name.resourceName}`;
