export { indexAnew, indexChanged, readRevisions, type Revisions } from './index-anew.ts';
export { buildIndexDocuments, documentOf, readCoreFields, readCustomFields } from './index-documents.ts';
export { pageTextKey, type PageText, readPages } from './page-texts.ts';
