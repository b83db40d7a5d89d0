/** The tables of messaging, as numbered SQL files for the server's migration runner. */

/** For the control database, in order of their names. */
export const controlMigrations = new URL('./migrations/control/', import.meta.url);

/** For every database that holds what handlers change, the control database included. */
export const caseDatabaseMigrations = new URL('./migrations/case-database/', import.meta.url);
