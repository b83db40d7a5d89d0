export { findHolder, type Holder } from './lock-data-folder.ts';
export { dataFolderPaths, type DataFolder } from './data-folder.ts';
export { embeddedMajorVersion } from './binaries.ts';
export { startEmbedded, type ConnectionTarget, type EmbeddedOptions, type EmbeddedServer } from './start-embedded.ts';
