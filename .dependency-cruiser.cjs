/**
 * The import law of ARCHITECTURE.md. `tools/import-law/check-import-law.ts` runs it and proves that modules were read;
 * `tools/import-law/fixture` plants one violation of each rule, and a test expects exactly those.
 */
'use strict';

const TEST = '([.]test[.]ts$|/conformance[.]ts$|/testing/|/test/|^tests/)';
const FAMILY = '^apps/server/src/platform/([^/]+)/';
const PDF_FAMILY = '^apps/server/src/platform/(document-engine|ocr)/';
const FEATURE = '^apps/server/src/features/([^/]+)/';
/** npm puts some dependencies below the workspace that asks for them. */
const INSTALLED = '/node_modules/';
const PORT = '^apps/server/src/platform/[^/]+/(Port|config)[.]ts$';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'A cycle hides which part stands on which.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'resolvable',
      comment: 'Every import leads to a file or an installed package.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'contract-stands-alone',
      comment: 'The contract runs in any JavaScript engine: zod and itself, no Node, no DOM.',
      severity: 'error',
      from: { path: '^packages/contract/src', pathNot: TEST },
      to: { pathNot: ['^packages/contract/src', '^node_modules/zod/'] },
    },
    {
      name: 'packages-know-only-the-contract',
      comment: 'A package imports the contract and third-party packages; never another package, never the server.',
      severity: 'error',
      from: { path: '^packages/(?!contract/|test-kit/)([^/]+)/', pathNot: TEST },
      to: {
        path: ['^packages/', '^apps/', '^tests/', '^bench/', '^tools/'],
        pathNot: [INSTALLED, '^packages/$1/', '^packages/contract/'],
      },
    },
    {
      name: 'package-tests-may-add-the-test-kit',
      comment: 'Tests of a package use the package, the contract and the test kit.',
      severity: 'error',
      from: { path: '^packages/(?!test-kit/)([^/]+)/.*([.]test[.]ts$|/testing/|/test/)' },
      to: {
        path: ['^packages/', '^apps/'],
        pathNot: [INSTALLED, '^packages/$1/', '^packages/contract/', '^packages/test-kit/'],
      },
    },
    {
      name: 'pdf-and-loadfile-are-pure',
      comment: 'Bytes in, bytes out: no file system, no network.',
      severity: 'error',
      from: { path: '^packages/(pdf|loadfile)/src', pathNot: TEST },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|fs/promises|net|http|https|http2|tls|dgram|dns|child_process)$',
      },
    },
    {
      name: 'platform-family-keeps-to-itself',
      comment: 'A platform family imports the contract, itself, and the ports of other families.',
      severity: 'error',
      from: { path: FAMILY, pathNot: [TEST, PDF_FAMILY] },
      to: {
        path: ['^packages/', '^apps/', '^tests/', '^bench/', '^tools/'],
        pathNot: [INSTALLED, '^packages/contract/', '^apps/server/src/platform/$1/', PORT],
      },
    },
    {
      name: 'pdf-family-adds-the-pdf-package',
      comment: 'The families that work on PDFs import the package for it, too; no other package.',
      severity: 'error',
      from: { path: PDF_FAMILY, pathNot: TEST },
      to: {
        path: ['^packages/', '^apps/', '^tests/', '^bench/', '^tools/'],
        pathNot: [
          INSTALLED,
          '^packages/contract/',
          '^packages/pdf/src/index[.]ts$',
          '^apps/server/src/platform/$1/',
          PORT,
        ],
      },
    },
    {
      name: 'database-below-features',
      comment: 'The database layer knows no feature, no route, no command.',
      severity: 'error',
      from: { path: '^apps/server/src/database/', pathNot: TEST },
      to: {
        path: ['^packages/', '^apps/'],
        pathNot: [
          INSTALLED,
          '^packages/contract/',
          '^apps/server/src/database/',
          PORT,
          '^apps/server/src/platform/(clock|log|crash-points)/',
        ],
      },
    },
    {
      name: 'feature-uses-ports-not-adapters',
      comment:
        'A feature imports the contract, the packages, platform ports, the database, itself, and the index of other features.',
      severity: 'error',
      from: { path: FEATURE, pathNot: TEST },
      to: {
        path: '^apps/',
        pathNot: [
          INSTALLED,
          '^apps/server/src/features/$1/',
          '^apps/server/src/features/[^/]+/index[.]ts$',
          '^apps/server/src/database/',
          PORT,
          // Reads through the port whole; no adapter is behind it.
          '^apps/server/src/platform/object-store/read-bytes[.]ts$',
        ],
      },
    },
    {
      name: 'http-and-cli-see-public-faces',
      comment: 'HTTP and CLI import the contract, the configuration, ports, and the index of features.',
      severity: 'error',
      from: { path: '^apps/server/src/(http|cli)/', pathNot: TEST },
      to: {
        path: '^(apps|packages)/',
        pathNot: [
          INSTALLED,
          '^packages/[^/]+/src/index[.]ts$',
          '^packages/contract/',
          '^apps/server/src/(http|cli)/',
          '^apps/server/src/config/',
          '^apps/server/src/features/[^/]+/index[.]ts$',
          PORT,
        ],
      },
    },
    {
      name: 'http-and-cli-apart',
      comment: 'The CLI speaks to a server through the client, never through its HTTP wiring; and the other way round.',
      severity: 'error',
      from: { path: '^apps/server/src/(http|cli)/', pathNot: TEST },
      to: { path: '^apps/server/src/(http|cli)/', pathNot: '^apps/server/src/$1/' },
    },
    {
      name: 'adapters-are-composed',
      comment: 'Only compose.ts and a family’s own create-*.ts construct adapters.',
      severity: 'error',
      from: {
        path: '^apps/server/src/',
        pathNot: [TEST, '^apps/server/src/compose[.]ts$', '/create-[^/]+[.]ts$', '/adapters/'],
      },
      to: { path: '/adapters/' },
    },
    {
      name: 'handlers-load-lazily',
      comment: 'A job’s declaration loads without its handler, so that callers do not load a PDF engine.',
      severity: 'error',
      from: { pathNot: [TEST, '^apps/server/src/compose[.]ts$'] },
      to: { path: '[.]handler[.]ts$', dependencyTypesNot: ['dynamic-import', 'type-only'] },
    },
    {
      name: 'nothing-stands-on-compose',
      comment: 'Composition is the top: only main.ts, run/, tests, benches and tools import it.',
      severity: 'error',
      from: { path: '^(apps|packages)/', pathNot: [TEST, '^apps/server/src/(main[.]ts|compose[.]ts|run/)'] },
      to: { path: '^apps/server/src/(main|compose)[.]ts$' },
    },
    {
      name: 'production-without-test-code',
      comment: 'What ships does not import tests, benches, tools, conformance suites or the test kit.',
      severity: 'error',
      from: { path: '^(apps|packages)/', pathNot: [TEST, '^packages/test-kit/'] },
      to: {
        path: ['^(tests|bench|tools)/', '^packages/test-kit/', '[.]test[.]ts$', '/conformance[.]ts$', '/testing/'],
      },
    },
    {
      name: 'production-without-dev-dependencies',
      comment: 'What ships imports only what its package.json lists under dependencies.',
      severity: 'error',
      from: { path: '^(apps|packages)/', pathNot: [TEST, '^packages/test-kit/'] },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'web-and-infra-speak-the-contract',
      comment: 'The browser and the cloud stacks import the contract alone.',
      severity: 'error',
      from: { path: '^(apps/web|infra)/' },
      to: { path: '^(apps|packages)/', pathNot: [INSTALLED, '^apps/web/', '^infra/', '^packages/contract/'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)tools/import-law/fixture/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.json'],
    },
    skipAnalysisNotInRules: false,
  },
};
