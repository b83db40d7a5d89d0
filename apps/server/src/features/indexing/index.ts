export { buildIndexDocuments, documentOf, indexAnew, readCoreFields, readCustomFields } from './index-documents.ts';
export { pageTextKey, type PageText, readPages } from './page-texts.ts';
