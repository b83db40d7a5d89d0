/** What the global setup of a test run provides to every test file. */
import 'vitest';

export interface ProvidedPostgres {
  readonly host: string;
  readonly port: number;
  /** The role that tests use by default: what a server has, able to make databases and roles, and no superuser. */
  readonly application: { readonly user: string; readonly password: string };
  /** For what a test itself has to arrange; the code under test never gets it. */
  readonly superuser: { readonly user: string; readonly password: string };
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly postgres: ProvidedPostgres;
  }
}
