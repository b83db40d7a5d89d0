/** The tables of the built-in engine in every case's schema, as numbered SQL files for the server's migration runner. */
export const builtinEngineMigrations = new URL('./migrations/', import.meta.url);
