/**
 * The mid-size fixture: a library. Covers what a schema can hold: nesting to depth 3, references in collections and objects, a
 * polymorphic reference, subclasses (one that renames its identity), descriptors, the year enumeration, decimals, value keys,
 * scalar arrays, free JSON, identities through five levels, extensions under the root and under a collection.
 */
import type { ProjectSpec } from './build-schema.ts';
import { buildSchema } from './build-schema.ts';

export const libraryProject: ProjectSpec = {
  name: 'Library',
  endpoint: 'library',
  descriptors: ['LanguageDescriptor', 'RoleDescriptor'],
  abstracts: { Organisation: ['$.organisationId'] },
  resources: {
    YearType: {
      endpoint: 'yearTypes',
      isYearEnumeration: true,
      identity: ['$.year'],
      members: { year: { kind: 'integer', required: true } },
    },
    Consortium: {
      endpoint: 'consortia',
      identity: ['$.consortiumId'],
      superclass: { name: 'Organisation', renames: '$.organisationId' },
      members: { consortiumId: { kind: 'integer', required: true }, name: { kind: 'string', required: true } },
    },
    Branch: {
      endpoint: 'branches',
      identity: ['$.branchId'],
      superclass: { name: 'Organisation', renames: '$.organisationId' },
      members: {
        branchId: { kind: 'integer', required: true },
        name: { kind: 'string', required: true },
        namespace: { kind: 'string' },
        parentOrganisationReference: { kind: 'reference', target: 'Organisation' },
        openingHours: {
          kind: 'list',
          members: { weekday: { kind: 'string', required: true }, opens: { kind: 'time' }, closes: { kind: 'time' } },
          unique: ['weekday'],
        },
      },
    },
    Author: {
      endpoint: 'authors',
      identity: ['$.authorKey'],
      allowIdentityUpdates: true,
      members: { authorKey: { kind: 'string', required: true }, born: { kind: 'date' } },
    },
    Work: {
      endpoint: 'works',
      identity: ['$.authorReference.authorKey', '$.title', '$.languageDescriptor'],
      allowIdentityUpdates: true,
      members: {
        authorReference: { kind: 'reference', target: 'Author', required: true },
        title: { kind: 'string', required: true },
        languageDescriptor: { kind: 'descriptor', target: 'LanguageDescriptor', required: true },
        price: { kind: 'number', totalDigits: 9, decimalPlaces: 2 },
        pages: { kind: 'integer' },
        isRare: { kind: 'boolean' },
        registeredAt: { kind: 'timestamp' },
        yearTypeReference: { kind: 'reference', target: 'YearType' },
        subjects: { kind: 'values', item: { kind: 'string' } },
        properties: { kind: 'json' },
        origin: {
          kind: 'object',
          members: { place: { kind: 'string' }, publisherReference: { kind: 'reference', target: 'Organisation' } },
        },
        contributors: {
          kind: 'list',
          members: {
            authorReference: { kind: 'reference', target: 'Author', required: true },
            roleDescriptor: { kind: 'descriptor', target: 'RoleDescriptor' },
          },
        },
        editions: {
          kind: 'list',
          members: {
            number: { kind: 'integer', required: true },
            printings: {
              kind: 'list',
              members: {
                printedOn: { kind: 'date' },
                copies: { kind: 'list', members: { shelf: { kind: 'string' }, weight: { kind: 'number' } } },
              },
            },
          },
        },
      },
    },
    Copy: {
      endpoint: 'copies',
      identity: [
        '$.workReference.authorKey',
        '$.workReference.title',
        '$.workReference.languageDescriptor',
        '$.copyNumber',
      ],
      members: {
        workReference: { kind: 'reference', target: 'Work', required: true },
        copyNumber: { kind: 'integer', required: true },
        branchReference: { kind: 'reference', target: 'Branch' },
      },
    },
    Loan: {
      endpoint: 'loans',
      identity: [
        '$.copyReference.authorKey',
        '$.copyReference.title',
        '$.copyReference.languageDescriptor',
        '$.copyReference.copyNumber',
        '$.loanDate',
      ],
      members: {
        copyReference: { kind: 'reference', target: 'Copy', required: true },
        loanDate: { kind: 'date', required: true },
      },
    },
    Renewal: {
      endpoint: 'renewals',
      identity: [
        '$.loanReference.authorKey',
        '$.loanReference.title',
        '$.loanReference.languageDescriptor',
        '$.loanReference.copyNumber',
        '$.loanReference.loanDate',
        '$.sequence',
      ],
      members: {
        loanReference: { kind: 'reference', target: 'Loan', required: true },
        sequence: { kind: 'integer', required: true },
      },
    },
    ReadingList: {
      endpoint: 'readingLists',
      identity: ['$.name'],
      members: {
        name: { kind: 'string', required: true },
        organisationReference: { kind: 'reference', target: 'Organisation' },
        authors: {
          kind: 'list',
          members: {
            authorReference: { kind: 'reference', target: 'Author', required: true },
            note: { kind: 'string' },
          },
          unique: ['authorReference.authorKey'],
        },
        works: { kind: 'list', members: { workReference: { kind: 'reference', target: 'Work', required: true } } },
      },
    },
    // Its table would be named like one of the store's own.
    Document: {
      endpoint: 'documents',
      identity: ['$.documentKey'],
      members: { documentKey: { kind: 'string', required: true } },
    },
  },
};

export const libraryExtensionProject: ProjectSpec = {
  name: 'Archive',
  endpoint: 'archive',
  isExtension: true,
  core: libraryProject,
  resources: {
    Work: {
      endpoint: 'workExtensions',
      identity: [],
      extends: true,
      members: {
        signature: { kind: 'string' },
        boxes: { kind: 'list', members: { label: { kind: 'string', required: true } } },
        keeperReference: { kind: 'reference', target: 'Branch' },
      },
    },
    Deed: {
      endpoint: 'deeds',
      identity: ['$.deedNumber'],
      members: { deedNumber: { kind: 'string', required: true }, workReference: { kind: 'reference', target: 'Work' } },
    },
  },
};

/** Adds an extension below a collection, which the builder's `extends` does not do. */
const withCollectionExtension = (schema: unknown): unknown => {
  const copy = structuredClone(schema) as {
    projectSchema: {
      resourceSchemas: {
        workExtensions: {
          jsonSchemaForInsert: { properties: Record<string, unknown> };
          documentPathsMapping: Record<string, unknown>;
        };
      };
    };
  };
  const resource = copy.projectSchema.resourceSchemas.workExtensions;
  const inner = { type: 'object', properties: { binding: { type: 'string' } }, additionalProperties: false };
  resource.jsonSchemaForInsert.properties['editions'] = {
    type: 'array',
    items: {
      type: 'object',
      properties: { _ext: { type: 'object', properties: { archive: inner }, additionalProperties: false } },
    },
  };
  resource.documentPathsMapping['binding'] = { isReference: false, path: '$.editions[*]._ext.archive.binding' };
  return copy;
};

/** The fixture's files as parsed JSON: core, then extension. */
export const librarySchemas = (): readonly unknown[] => [
  buildSchema(libraryProject),
  withCollectionExtension(buildSchema(libraryExtensionProject)),
];
