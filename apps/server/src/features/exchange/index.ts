export { exchangeConfigSchema, type ExchangeConfig } from './config.ts';
export { createExchanges, type Exchanges } from './create-exchanges.ts';
export type { ExchangeDependencies } from './dependencies.ts';
export { exchangeCaseMigrations, exchangeControlMigrations } from './migrations.ts';
export { createManifestKeys } from './verification/manifest-keys.ts';
export { type FileCheck, ManifestFileCheck } from './verification/check-manifest-file.ts';
export { gatherReport, type Report } from './verification/report/gather-report.ts';
export { renderReportHtml } from './verification/report/render-html.ts';
export { renderReportPdf } from './verification/report/render-pdf.ts';
