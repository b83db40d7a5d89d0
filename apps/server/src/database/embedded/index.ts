export { findHolder, type Holder } from './lock-data-folder.ts';
export { dataFolderPaths } from './data-folder.ts';
export { embeddedMajorVersion } from './binaries.ts';
export { startEmbedded, type EmbeddedOptions, type EmbeddedServer } from './start-embedded.ts';
