/** A provisioned store in a database of its own, for a test file. */
import { createTestDatabase, type TestDatabase } from '@casebound/test-kit';
import { provisionStore } from '../ddl/provision.ts';
import { deriveModel } from '../derive/derive-model.ts';
import type { Model, Resource } from '../derive/model.ts';
import { openStore, type OpenStoreOptions } from '../open-store.ts';
import { loadSchema } from '../schema/load-schema.ts';
import type { StoreContext } from '../store-context.ts';
import type { JsonValue } from '../write/parse-json.ts';
import { upsertDocument, type WriteResult } from '../write/write-document.ts';
import { librarySchemas } from './library-schema.ts';
import { openRecordDatabase, type TestRecordDatabase } from './open-database.ts';

export interface OpenedLibrary {
  readonly database: TestRecordDatabase;
  readonly model: Model;
  readonly store: StoreContext;
  readonly target: TestDatabase['target'];
  resource(endpoint: string): Resource;
  post(endpoint: string, document: JsonValue): Promise<WriteResult>;
  /** A second store beside the first. */
  openAnother(schema: string, options?: Partial<OpenStoreOptions>): Promise<StoreContext>;
  reopen(options: Partial<OpenStoreOptions>): Promise<StoreContext>;
  close(): Promise<void>;
}

export const libraryModel = (): Model => deriveModel(loadSchema(librarySchemas()));

export const resourceAt = (model: Model, endpoint: string): Resource => {
  const found = [...model.resources.values()].find((resource) => resource.endpoint === endpoint);
  if (found === undefined) throw new Error(`no endpoint ${endpoint}`);
  return found;
};

/** Opens a library store; `max` connections. */
export const openLibrary = async (options: Partial<OpenStoreOptions> = {}, max = 10): Promise<OpenedLibrary> => {
  const model = options.model ?? libraryModel();
  const created = await createTestDatabase({ template: 'records empty' });
  const database = openRecordDatabase(created.target, { max });
  await provisionStore(database, model, 'library');
  const reopen = async (more: Partial<OpenStoreOptions>): Promise<StoreContext> =>
    openStore({ model, database, schema: 'library', ...options, ...more });
  const store = await reopen({});
  return {
    database,
    model,
    store,
    target: created.target,
    resource: (endpoint) => resourceAt(model, endpoint),
    post: async (endpoint, document) => upsertDocument(store, resourceAt(model, endpoint), document),
    openAnother: async (schema, more = {}) => {
      await provisionStore(database, model, schema);
      return openStore({ model, database, schema, ...options, ...more });
    },
    reopen,
    close: async () => {
      await database.close();
      await created.drop();
    },
  };
};

export const language = (code: string): string => `uri://library.example/LanguageDescriptor#${code}`;
export const role = (code: string): string => `uri://library.example/RoleDescriptor#${code}`;

/** Descriptors, two organisations, a year and authors `a1`..`a3` with one work each. */
export const fillLibrary = async (post: OpenedLibrary['post']): Promise<void> => {
  for (const code of ['en', 'de'])
    await post('languageDescriptors', {
      namespace: 'uri://library.example/LanguageDescriptor',
      codeValue: code,
      shortDescription: code,
    });
  for (const code of ['Editor', 'Translator'])
    await post('roleDescriptors', {
      namespace: 'uri://library.example/RoleDescriptor',
      codeValue: code,
      shortDescription: code,
    });
  await post('yearTypes', { year: 1999 });
  await post('consortia', { consortiumId: 1, name: 'All' });
  await post('branches', { branchId: 10, name: 'North', parentOrganisationReference: { organisationId: 1 } });
  for (const key of ['a1', 'a2', 'a3']) {
    await post('authors', { authorKey: key });
    await post('works', { authorReference: { authorKey: key }, title: 'One', languageDescriptor: language('en') });
  }
};

/** A work that uses every kind of member. */
export const fullWork = (): { [key: string]: JsonValue } => ({
  authorReference: { authorKey: 'a1' },
  title: 'Robert\'); DROP TABLE "work";-- \\ \u{1F600}',
  languageDescriptor: language('DE').toUpperCase().replace('URI://', 'uri://'),
  price: 1234567.89,
  pages: 9007199254740991,
  isRare: false,
  registeredAt: '2020-02-29T23:59:59.123456+05:30',
  yearTypeReference: { year: 1999 },
  subjects: ['b', 'a', 'null', ''],
  properties: { z: [1, null, { y: 'x' }], a: true },
  origin: { place: 'Ulm', publisherReference: { organisationId: 10 } },
  contributors: [
    { authorReference: { authorKey: 'a2' }, roleDescriptor: role('Editor') },
    { authorReference: { authorKey: 'a3' } },
  ],
  editions: [
    { number: 1, printings: [{ printedOn: '1950-01-01', copies: [{ shelf: 'A', weight: 0.5 }, {}] }, {}] },
    { number: 2, _ext: { archive: { binding: 'leather' } } },
  ],
  _ext: { archive: { signature: 'S', boxes: [{ label: 'x' }], keeperReference: { branchId: 10 } } },
});
