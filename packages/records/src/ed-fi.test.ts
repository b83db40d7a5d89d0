/** The large real schema, run: every statement that the store compiles for each of its 340 resources is accepted by PostgreSQL. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { auditResourceDocuments } from './audit/audit-documents.ts';
import { auditStore } from './audit/audit-store.ts';
import { bulkWrite } from './bulk/bulk-write.ts';
import { provisionStore } from './ddl/provision.ts';
import { deriveModel } from './derive/derive-model.ts';
import type { Model, ScalarType } from './derive/model.ts';
import { openStore } from './open-store.ts';
import { getDocument, listDocuments } from './read/read-documents.ts';
import { loadSchema } from './schema/load-schema.ts';
import type { StoreContext } from './store-context.ts';
import { openRecordDatabase, type TestRecordDatabase } from './testing/open-database.ts';
import { fillEveryResource, type WrittenDocument } from './testing/fill-every-resource.ts';
import { resourceAt } from './testing/open-library.ts';
import { parsePath, type PathStep } from './schema/json-path.ts';
import { type JsonValue, parseJson } from './write/parse-json.ts';
import { putDocument, upsertDocument, type WriteResult } from './write/write-document.ts';

const file = fileURLToPath(new URL('../../../../shared/data/apischema/ed-fi-5.1.json', import.meta.url));

const sample = (type: ScalarType): string => {
  const samples: Readonly<Record<ScalarType['kind'], string>> = {
    text: 'x',
    bigint: '1',
    numeric: '1.5',
    boolean: 'true',
    date: '2020-01-01',
    time: '10:00:00',
    timestamp: '2020-01-01T00:00:00Z',
    json: '{}',
  };
  return samples[type.kind];
};

describe.skipIf(!existsSync(file))('Ed-Fi 5.1', () => {
  let created: TestDatabase;
  let database: TestRecordDatabase;
  let model: Model;
  let store: StoreContext;
  beforeAll(async () => {
    created = await createTestDatabase({ template: 'records empty' });
    database = openRecordDatabase(created.target, { max: 4, prepare: false });
    model = deriveModel(loadSchema([JSON.parse(readFileSync(file, 'utf8'))]));
    await provisionStore(database, model, 'ed_fi');
    store = await openStore({ model, database, schema: 'ed_fi' });
  });
  afterAll(async () => {
    await database.close();
    await created.drop();
  });
  const post = async (endpoint: string, document: JsonValue): Promise<WriteResult> =>
    upsertDocument(store, resourceAt(model, endpoint), document);

  test('every resource lists, counts, filters by each of its fields, and can be audited', async () => {
    for (const resource of model.resources.values()) {
      if (resource.isDescriptor && resource.endpoint > 'b') continue;
      expect((await listDocuments(store, resource, { totalCount: true })).totalCount).toBe(0);
      for (const [field, targets] of resource.queryFields) {
        const [target] = targets;
        if (target === undefined) continue;
        const type =
          target.elementIndex === null
            ? target.column.type
            : (target.column.reference?.elements[target.elementIndex]?.sourceType ?? target.column.type);
        const value = target.column.kind === 'descriptor' ? 'uri://x#y' : sample(type);
        expect((await listDocuments(store, resource, { filters: [{ field, value }] })).bodies).toEqual([]);
      }
      expect(await database.transaction((tx) => auditResourceDocuments(store, tx, resource, [1]))).toEqual([]);
    }
  }, 300_000);

  test('a chain through class periods, sessions and sections: a renamed session renames what is below it', async () => {
    const descriptor = async (endpoint: string, type: string, codeValue: string): Promise<string> => {
      await post(endpoint, { namespace: `uri://ed-fi.org/${type}`, codeValue, shortDescription: codeValue });
      return `uri://ed-fi.org/${type}#${codeValue}`;
    };
    const educationOrganizationCategoryDescriptor = await descriptor(
      'educationOrganizationCategoryDescriptors',
      'EducationOrganizationCategoryDescriptor',
      'School',
    );
    const gradeLevelDescriptor = await descriptor('gradeLevelDescriptors', 'GradeLevelDescriptor', 'First');
    const termDescriptor = await descriptor('termDescriptors', 'TermDescriptor', 'Fall');
    const courseIdentificationSystemDescriptor = await descriptor(
      'courseIdentificationSystemDescriptors',
      'CourseIdentificationSystemDescriptor',
      'Local',
    );
    await post('schoolYearTypes', { schoolYear: 2022, currentSchoolYear: true, schoolYearDescription: '2021-22' });
    await post('schools', {
      schoolId: 123,
      nameOfInstitution: 'S',
      educationOrganizationCategories: [{ educationOrganizationCategoryDescriptor }],
      gradeLevels: [{ gradeLevelDescriptor }],
    });
    const schoolReference = { schoolId: 123 };
    const session = {
      sessionName: 'Fall',
      schoolReference,
      schoolYearTypeReference: { schoolYear: 2022 },
      beginDate: '2021-09-01',
      endDate: '2021-12-01',
      termDescriptor,
      totalInstructionalDays: 80,
    };
    const made = await post('sessions', session);
    await post('courses', {
      courseCode: 'M',
      courseTitle: 'M',
      numberOfParts: 1,
      educationOrganizationReference: { educationOrganizationId: 123 },
      identificationCodes: [{ courseIdentificationSystemDescriptor, identificationCode: 'M' }],
    });
    const offering = await post('courseOfferings', {
      localCourseCode: 'M1',
      schoolReference,
      courseReference: { courseCode: 'M', educationOrganizationId: 123 },
      sessionReference: { schoolId: 123, schoolYear: 2022, sessionName: 'Fall' },
    });
    const section = await post('sections', {
      sectionIdentifier: 'x',
      courseOfferingReference: { localCourseCode: 'M1', schoolId: 123, schoolYear: 2022, sessionName: 'Fall' },
    });
    await post('students', { studentUniqueId: 's', firstName: 'a', lastSurname: 'b', birthDate: '2010-01-01' });
    const association = await post('studentSectionAssociations', {
      beginDate: '2021-09-01',
      sectionReference: {
        localCourseCode: 'M1',
        schoolId: 123,
        schoolYear: 2022,
        sectionIdentifier: 'x',
        sessionName: 'Fall',
      },
      studentReference: { studentUniqueId: 's' },
    });
    await putDocument(store, resourceAt(model, 'sessions'), made.uuid, { ...session, sessionName: 'Autumn' });
    for (const [endpoint, { uuid }] of [
      ['courseOfferings', offering],
      ['sections', section],
      ['studentSectionAssociations', association],
    ] as const) {
      const { body, etag } = await getDocument(store, resourceAt(model, endpoint), uuid);
      expect([endpoint, etag, body.includes('"sessionName":"Autumn"')]).toEqual([endpoint, 2, true]);
    }
    const found = await listDocuments(store, resourceAt(model, 'studentSectionAssociations'), {
      filters: [
        { field: 'sessionName', value: 'Autumn' },
        { field: 'schoolId', value: '123' },
        { field: 'studentUniqueId', value: 's' },
      ],
    });
    expect(found.bodies).toHaveLength(1);
    expect(await auditStore(store)).toMatchObject({ damages: 0 });
  });

  /** Members of a stored body without what the store adds. */
  const membersOf = (body: string): { [key: string]: JsonValue } => {
    const { id: _id, _etag, _lastModifiedDate, ...members } = JSON.parse(body) as { [key: string]: JsonValue };
    return members;
  };
  const textOf = (value: JsonValue): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const valuesAt = (value: JsonValue | undefined, steps: readonly PathStep[]): JsonValue[] => {
    const [step, ...rest] = steps;
    if (value === undefined || value === null) return [];
    if (step === undefined) return [value];
    if (step.kind === 'each') return Array.isArray(value) ? value.flatMap((item) => valuesAt(item, rest)) : [];
    return typeof value === 'object' && !Array.isArray(value) ? valuesAt(value[step.name], rest) : [];
  };

  test('one full document of each of the 340: it comes back as it was, its own body changes nothing, every field finds it', async () => {
    const open = async (schema: string): Promise<StoreContext> => {
      await provisionStore(database, model, schema);
      return openStore({ model, database, schema });
    };
    const single = await open('every');
    const written: WrittenDocument[] = [];
    await fillEveryResource(model, async (entry) => {
      const { uuid, outcome } = await upsertDocument(single, entry.resource, entry.document);
      expect([entry.resource.endpoint, outcome]).toEqual([entry.resource.endpoint, 'created']);
      const { body } = await getDocument(single, entry.resource, uuid);
      expect([entry.resource.endpoint, membersOf(body)]).toEqual([entry.resource.endpoint, entry.document]);
      const again = await putDocument(single, entry.resource, uuid, parseJson(body));
      expect([entry.resource.endpoint, again.outcome]).toEqual([entry.resource.endpoint, 'unchanged']);
      written.push(entry);
    });
    expect(written).toHaveLength(340);
    const missed: string[] = [];
    for (const { resource, document } of written) {
      for (const [field, targets] of resource.queryFields) {
        const [value] = targets.flatMap((target) => valuesAt(document, parsePath(target.path) ?? []));
        if (value === undefined) continue;
        const page = await listDocuments(single, resource, { filters: [{ field, value: textOf(value) }] });
        if (page.bodies.length !== 1) missed.push(`${resource.endpoint}.${field}`);
      }
    }
    expect(missed).toEqual([]);
    expect(await auditStore(single)).toMatchObject({ checked: 340, damages: 0 });

    const bulk = await open('every_bulk');
    expect(await bulkWrite(bulk, written)).toMatchObject({ created: 340, failed: 0 });
    for (const { resource, document } of written) {
      const { bodies } = await listDocuments(bulk, resource);
      expect([resource.endpoint, bodies.map(membersOf)]).toEqual([resource.endpoint, [document]]);
    }
    expect(await auditStore(bulk)).toMatchObject({ checked: 340, damages: 0 });
  }, 300_000);

  /** A project beside the core: members under a root and under collections, a descriptor, a subclass, a resource of its own. */
  const extension = (): unknown => {
    const leaf = (more: object = {}): object => ({ type: 'string', maxLength: 60, ...more });
    const object = (properties: object, required: readonly string[] = []): object => ({
      type: 'object',
      properties,
      required,
      additionalProperties: false,
    });
    const under = (properties: object): object => object({ sample: object(properties) });
    const reference = (resourceName: string, path: string, pairs: Readonly<Record<string, string>>): object => ({
      isReference: true,
      projectName: 'Ed-Fi',
      resourceName,
      referenceJsonPaths: Object.entries(pairs).map(([identity, member]) => ({
        identityJsonPath: identity,
        referenceJsonPath: `${path}.${member}`,
      })),
    });
    const descriptor = (path: string, resourceName: string, projectName = 'Sample'): object => ({
      isReference: true,
      isDescriptor: true,
      path,
      projectName,
      resourceName,
    });
    const edFi = JSON.parse(readFileSync(file, 'utf8')) as {
      projectSchema: {
        resourceSchemas: Record<
          string,
          { documentPathsMapping: object; jsonSchemaForInsert: { properties: object; required: string[] } }
        >;
      };
    };
    const cte = edFi.projectSchema.resourceSchemas['studentSchoolFoodServiceProgramAssociations'];
    const descriptorOf = edFi.projectSchema.resourceSchemas['termDescriptors'];
    return {
      apiSchemaVersion: '1.0.0',
      projectSchema: {
        projectName: 'Sample',
        projectEndpointName: 'sample',
        projectVersion: '1.0.0',
        isExtensionProject: true,
        abstractResources: {},
        resourceNameMapping: {},
        caseInsensitiveEndpointNameMapping: {},
        resourceSchemas: {
          petDescriptors: { ...descriptorOf, resourceName: 'PetDescriptor' },
          schoolExtensions: {
            resourceName: 'School',
            isDescriptor: false,
            isResourceExtension: true,
            identityJsonPaths: [],
            documentPathsMapping: {
              mascot: descriptor('$._ext.sample.mascotDescriptor', 'PetDescriptor'),
              partner: reference('EducationOrganization', '$._ext.sample.partners[*].partnerReference', {
                '$.educationOrganizationId': 'educationOrganizationId',
              }),
            },
            decimalPropertyValidationInfos: [{ path: '$._ext.sample.budget', totalDigits: 9, decimalPlaces: 2 }],
            queryFieldMapping: { motto: [{ path: '$._ext.sample.motto' }] },
            jsonSchemaForInsert: object({
              _ext: under({
                motto: leaf(),
                budget: { type: 'number' },
                mascotDescriptor: leaf(),
                partners: {
                  type: 'array',
                  items: object(
                    {
                      partnerReference: object({ educationOrganizationId: { type: 'integer' } }),
                      since: leaf({ format: 'date' }),
                    },
                    ['partnerReference'],
                  ),
                },
              }),
              addresses: {
                type: 'array',
                items: object({
                  _ext: under({
                    isOnHill: { type: 'boolean' },
                    entrances: { type: 'array', items: object({ side: leaf() }) },
                  }),
                  periods: { type: 'array', items: object({ _ext: under({ note: leaf() }) }) },
                }),
              },
            }),
          },
          studentPetProgramAssociations: {
            ...cte,
            resourceName: 'StudentPetProgramAssociation',
            arrayUniquenessConstraints: [],
          },
          buses: {
            resourceName: 'Bus',
            isDescriptor: false,
            identityJsonPaths: ['$.busId', '$.schoolReference.schoolId'],
            documentPathsMapping: {
              school: reference('School', '$.schoolReference', { '$.schoolId': 'schoolId' }),
              kind: descriptor('$.petDescriptor', 'PetDescriptor'),
            },
            numericJsonPaths: ['$.schoolReference.schoolId'],
            jsonSchemaForInsert: object(
              {
                busId: leaf(),
                schoolReference: object({ schoolId: { type: 'integer' } }, ['schoolId']),
                petDescriptor: leaf(),
              },
              ['busId', 'schoolReference'],
            ),
          },
        },
      },
    };
  };

  test('an extension project: members under root and collections, a subclass, a descriptor and a resource of its own', async () => {
    const both = deriveModel(loadSchema([extension(), JSON.parse(readFileSync(file, 'utf8'))]));
    expect(both.resources.size).toBe(343);
    await provisionStore(database, both, 'extended');
    const extended = await openStore({ model: both, database, schema: 'extended' });
    const written: WrittenDocument[] = [];
    await fillEveryResource(both, async (entry) => {
      const { uuid } = await upsertDocument(extended, entry.resource, entry.document);
      const { body } = await getDocument(extended, entry.resource, uuid);
      expect([entry.resource.endpoint, membersOf(body)]).toEqual([entry.resource.endpoint, entry.document]);
      written.push(entry);
    });
    const school = written.find((entry) => entry.resource.endpoint === 'schools');
    expect(school?.document).toMatchObject({
      _ext: { sample: { motto: 'x', budget: 1, partners: [{ since: '2020-02-29' }] } },
      addresses: [
        {
          _ext: { sample: { isOnHill: true, entrances: [{ side: 'x' }] } },
          periods: [{ _ext: { sample: { note: 'x' } } }],
        },
      ],
    });
    const tables = resourceAt(both, 'schools').tables.map((table) => table.name);
    expect(tables).toEqual(
      expect.arrayContaining(['school__sample', 'school__sample__partners', 'school__addresses__sample']),
    );
    const schools = resourceAt(both, 'schools');
    const page = await listDocuments(extended, schools, { filters: [{ field: 'motto', value: 'x' }] });
    expect(page.bodies).toHaveLength(1);
    // An extension without members stores no row and is not shown.
    const { _ext, ...bare } = school?.document ?? {};
    expect(_ext).toBeDefined();
    await upsertDocument(extended, schools, { ...bare, _ext: { sample: {} } });
    const { rows } = await database.pool.query('SELECT count(*)::int AS n FROM extended.school__sample');
    expect(rows).toEqual([{ n: 0 }]);
    expect((await listDocuments(extended, schools)).bodies.some((body) => body.includes('"motto"'))).toBe(false);
    expect(await auditStore(extended)).toMatchObject({ checked: 343, damages: 0 });
  }, 300_000);
});
