/**
 * The API schema as written by its author: the zod form of a project and of a resource.
 *
 * - Unknown members are ignored everywhere but in `relational`, where an unknown key is a mistake that would change tables.
 * - Nothing is derived here; cross-references between resources are checked in `load-schema.ts`.
 */
import { z } from 'zod';

import { parsePath } from './json-path.ts';

const jsonPath = z
  .string()
  .max(1_000)
  .refine((text) => parsePath(text) !== null, 'is not a JSON path of the form $.member[*].member');

const identifierName = z
  .string()
  .min(1, 'must not be empty')
  .max(200, 'is longer than 200 characters')
  // eslint-disable-next-line no-control-regex
  .refine((text) => !/[\u0000-\u001f"\\]/.test(text), 'holds a control character, a quote or a backslash');

const referencePair = z.object({ identityJsonPath: jsonPath, referenceJsonPath: jsonPath });

const scalarMapping = z.object({ isReference: z.literal(false), path: jsonPath });
const descriptorMapping = z.object({
  isReference: z.literal(true),
  isDescriptor: z.literal(true),
  path: jsonPath,
  projectName: identifierName,
  resourceName: identifierName,
});
const documentMapping = z.object({
  isReference: z.literal(true),
  isDescriptor: z.literal(false).optional(),
  projectName: identifierName,
  resourceName: identifierName,
  referenceJsonPaths: z.array(referencePair).min(1),
});

const uniqueness = z.union([
  z.array(jsonPath).min(1),
  z.object({
    basePath: jsonPath.optional(),
    paths: z.array(jsonPath).optional(),
    nestedConstraints: z.array(z.object({ basePath: jsonPath.optional(), paths: z.array(jsonPath).min(1) })).optional(),
  }),
]);

const relational = z.strictObject({
  rootTableNameOverride: identifierName.optional(),
  nameOverrides: z.record(jsonPath, identifierName).optional(),
  /** Query fields whose columns get an index of their own. */
  indexedQueryFields: z.array(z.string()).optional(),
});

export const resourceSchemaForm = z.object({
  resourceName: identifierName,
  isDescriptor: z.boolean(),
  isSubclass: z.boolean().default(false),
  superclassResourceName: identifierName.optional(),
  superclassProjectName: identifierName.optional(),
  subclassType: z.string().optional(),
  superclassIdentityJsonPath: jsonPath.nullish(),
  isResourceExtension: z.boolean().default(false),
  isSchoolYearEnumeration: z.boolean().default(false),
  allowIdentityUpdates: z.boolean().default(false),
  identityJsonPaths: z.array(jsonPath),
  documentPathsMapping: z.record(z.string(), z.union([scalarMapping, descriptorMapping, documentMapping])),
  jsonSchemaForInsert: z.record(z.string(), z.unknown()),
  queryFieldMapping: z
    .record(z.string().min(1), z.array(z.object({ path: jsonPath, type: z.string().optional() })).min(1))
    .default({}),
  equalityConstraints: z.array(z.object({ sourceJsonPath: jsonPath, targetJsonPath: jsonPath })).default([]),
  arrayUniquenessConstraints: z.array(uniqueness).default([]),
  booleanJsonPaths: z.array(jsonPath).default([]),
  numericJsonPaths: z.array(jsonPath).default([]),
  dateJsonPaths: z.array(jsonPath).default([]),
  dateTimeJsonPaths: z.array(jsonPath).default([]),
  decimalPropertyValidationInfos: z
    .array(
      z
        .object({
          path: jsonPath,
          totalDigits: z.int().min(1).max(1000).nullish(),
          decimalPlaces: z.int().min(0).max(1000).nullish(),
        })
        .refine(
          (info) => (info.decimalPlaces ?? 0) <= (info.totalDigits ?? 1000),
          'has more decimal places than digits',
        ),
    )
    .default([]),
  relational: relational.optional(),
});

export const projectSchemaForm = z.object({
  projectName: identifierName,
  projectEndpointName: z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9_-]+$/, 'may hold letters, digits, - and _ only'),
  projectVersion: z.string().max(50),
  isExtensionProject: z.boolean(),
  abstractResources: z.record(identifierName, z.object({ identityJsonPaths: z.array(jsonPath).min(1) })).default({}),
  resourceNameMapping: z.record(z.string(), z.string()).default({}),
  caseInsensitiveEndpointNameMapping: z.record(z.string(), z.string()).default({}),
  resourceSchemas: z.record(
    z.string().regex(/^[A-Za-z0-9_-]{1,200}$/, 'may hold letters, digits, - and _ only'),
    z.unknown(),
  ),
});

export const apiSchemaForm = z.object({ apiSchemaVersion: z.string(), projectSchema: projectSchemaForm });

export type ResourceSchema = z.output<typeof resourceSchemaForm>;
export type DocumentMapping = z.output<typeof documentMapping>;
export type UniquenessConstraint = z.output<typeof uniqueness>;
/** JSON Schema as read; its members are looked at one by one where they are used. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A resource under its project, as the loader hands it to derivation. */
export interface LoadedResource extends ResourceSchema {
  readonly projectName: string;
  readonly projectEndpoint: string;
  readonly projectVersion: string;
  readonly isExtensionProject: boolean;
  readonly endpoint: string;
}

export interface AbstractResource {
  readonly projectName: string;
  readonly isExtensionProject: boolean;
  readonly resourceName: string;
  readonly identityJsonPaths: readonly string[];
}
