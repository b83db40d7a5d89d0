export { exchangeConfigSchema, type ExchangeConfig } from './config.ts';
export { createExchanges, type Exchanges } from './create-exchanges.ts';
export type { ExchangeDependencies } from './dependencies.ts';
export { exchangeCaseMigrations, exchangeControlMigrations } from './migrations.ts';
export { createManifestKeys } from './verification/manifest-keys.ts';
