/**
 * The one table of error codes; the one error class is in `casebound-error.ts`.
 *
 * - Every failure that may reach a user, a log or a dead letter has a code here; HTTP status, retryability and the CLI's
 *   exit code follow from the code and are written nowhere else.
 * - `detail` is a sentence for the person who can act on it. It never holds a secret, document text, SQL or a stack.
 * - `docs/errors.md` is generated from this table; a test fails when it is stale.
 */

/** What a message handler does with a failure: try later, dead-letter now, or take it as success. */
export type FailureFamily = 'recoverable' | 'permanent' | 'already_done';

export interface ErrorEntry {
  /** HTTP status of the problem+json answer. */
  readonly status: number;
  readonly family: FailureFamily;
  /** Exit code of a CLI command that ends with this error. 0-9 are general, 10 and up name a cause. */
  readonly exitCode: number;
  /** A sentence for people, without the particulars of one occurrence. */
  readonly title: string;
  /** What the reader can do about it. */
  readonly remedy: string;
}

const entry = (status: number, family: FailureFamily, exitCode: number, title: string, remedy: string): ErrorEntry => ({
  status,
  family,
  exitCode,
  title,
  remedy,
});

/** Exit codes: 0 success; 1 an error without a code of its own; 2 wrong usage; 3 not found; 4 conflict; 5 not permitted; 6 try again later; 10+ below. */
export const errorTable = {
  internal: entry(
    500,
    'recoverable',
    1,
    'Something went wrong inside Casebound.',
    'Look up the correlation id in the server log.',
  ),
  validation_failed: entry(
    400,
    'permanent',
    2,
    'The request is not valid.',
    'Correct the members that `errors` names.',
  ),
  malformed_body: entry(
    400,
    'permanent',
    2,
    'The request body could not be read.',
    'Send a body of the stated content type.',
  ),
  unsupported_media_type: entry(
    415,
    'permanent',
    2,
    'The content type of the body is not supported.',
    'Send `application/json`.',
  ),
  body_too_large: entry(
    413,
    'permanent',
    2,
    'The request body is larger than allowed.',
    'Send less, or raise `http.bodyLimitBytes`.',
  ),
  request_timeout: entry(
    408,
    'recoverable',
    6,
    'The request took too long.',
    'Try again; if it goes on, look at `/health/ready`.',
  ),
  malformed_request: entry(
    400,
    'permanent',
    2,
    'The request is not valid HTTP, or its address is not validly encoded.',
    'Correct the request; `detail` says what could not be read.',
  ),
  headers_too_large: entry(
    431,
    'permanent',
    2,
    'The headers of the request are larger than allowed.',
    'Send fewer or shorter headers.',
  ),
  uri_too_long: entry(414, 'permanent', 2, 'The address is longer than allowed.', 'Send a shorter path and query.'),
  operation_timeout: entry(
    503,
    'recoverable',
    6,
    'The server did not finish the operation within its time limit.',
    'Try again; if it goes on, look at `/health/ready` or raise `http.requestTimeoutMs`.',
  ),
  request_aborted: entry(
    499,
    'recoverable',
    6,
    'The request was given up before its answer.',
    'Nothing, if that was intended; else send it again.',
  ),
  unauthenticated: entry(
    401,
    'permanent',
    5,
    'The request carries no valid token.',
    'Send `Authorization: Bearer <token>`.',
  ),
  forbidden: entry(
    403,
    'permanent',
    5,
    'The account may not do this.',
    'Ask an administrator for the permission that `detail` names.',
  ),
  route_not_found: entry(404, 'permanent', 3, 'There is no such address.', 'See `/docs` for all operations.'),
  method_not_allowed: entry(
    405,
    'permanent',
    2,
    'The address exists, but not with this method.',
    'See `/docs` for all operations.',
  ),
  case_not_found: entry(404, 'permanent', 3, 'There is no such case.', 'List the cases with `casebound case list`.'),
  case_name_taken: entry(
    409,
    'permanent',
    4,
    'Another case has this name.',
    'Choose another name, or use the case that has it.',
  ),
  case_archived: entry(409, 'permanent', 4, 'The case is archived.', 'Restore the case before you change it.'),
  case_busy: entry(
    409,
    'recoverable',
    6,
    'The case is being created or deleted.',
    'Wait for the operation to finish, then try again.',
  ),
  precondition_failed: entry(
    412,
    'permanent',
    4,
    'The resource has changed since it was read.',
    'Read it again and repeat the change.',
  ),
  conflict_retries_exhausted: entry(
    503,
    'recoverable',
    6,
    'The database was too contended to finish the transaction.',
    'Try again after `Retry-After`.',
  ),
  overloaded: entry(
    503,
    'recoverable',
    6,
    'The server has too much to do right now.',
    'Try again after `Retry-After`.',
  ),
  shutting_down: entry(503, 'recoverable', 6, 'The server is shutting down.', 'Try again in a moment.'),
  object_not_found: entry(
    404,
    'permanent',
    3,
    'There is no such object.',
    'Check the key; the object may have been deleted.',
  ),
  object_exists: entry(
    409,
    'permanent',
    4,
    'Another object has this key.',
    'Choose another key; objects that are created once are not overwritten.',
  ),
  object_corrupt: entry(
    500,
    'permanent',
    20,
    'An object is not what its hash or length says.',
    'Restore the object from a backup; the file or the store is damaged.',
  ),
  object_key_invalid: entry(
    400,
    'permanent',
    2,
    'The object key is not allowed.',
    'Use relative keys of plain segments without `..`.',
  ),
  object_range_invalid: entry(
    416,
    'permanent',
    2,
    'The byte range lies outside the object.',
    'Ask for a range within the size that `head` reports.',
  ),
  object_store_unavailable: entry(
    503,
    'recoverable',
    21,
    'The object store does not answer.',
    'Check its address, credentials and disk; then try again.',
  ),
  object_store_full: entry(
    507,
    'recoverable',
    27,
    'The object store has no room left.',
    'Free space on the disk or raise the quota; then try again.',
  ),
  object_store_denied: entry(
    500,
    'permanent',
    22,
    'The object store refuses access.',
    'Check credentials and permissions of the bucket or folder.',
  ),
  config_invalid: entry(
    500,
    'permanent',
    10,
    'The configuration is not valid.',
    'Correct the keys that are named; `casebound config print` shows where each value comes from.',
  ),
  secret_missing: entry(
    500,
    'permanent',
    11,
    'A secret that the configuration refers to cannot be found.',
    'Provide the secret under the name given.',
  ),
  secret_invalid: entry(
    500,
    'permanent',
    12,
    'A secret does not have the shape it must have.',
    'Replace the value; its shape is described in docs/configuration.md.',
  ),
  secret_store_unavailable: entry(
    503,
    'recoverable',
    13,
    'The store of secrets does not answer.',
    'Check its address and the permissions of this process.',
  ),
  secret_store_denied: entry(
    500,
    'permanent',
    27,
    'The store of secrets refuses access.',
    'Give this process the permission that `detail` names.',
  ),
  port_in_use: entry(
    500,
    'permanent',
    14,
    'The port is taken by another program.',
    'Choose another with `--port`, or end the program that holds it.',
  ),
  data_folder_in_use: entry(
    500,
    'permanent',
    15,
    'Another process uses this data folder.',
    'Stop the process that is named, or choose another folder with `--data`.',
  ),
  data_folder_unusable: entry(
    500,
    'permanent',
    16,
    'The data folder cannot be used.',
    'Check that it exists, can be written to and has free space.',
  ),
  data_folder_too_new: entry(
    500,
    'permanent',
    17,
    'The data folder was written by a newer version.',
    'Use that version of Casebound, or another folder.',
  ),
  database_unreachable: entry(
    503,
    'recoverable',
    18,
    'The database cannot be reached.',
    'Check the address, the network and that the server runs.',
  ),
  database_unsupported: entry(
    500,
    'permanent',
    19,
    'The database is of a version that is not supported.',
    'Use PostgreSQL 17 or 18.',
  ),
  database_denied: entry(
    500,
    'permanent',
    23,
    'The database refuses this account.',
    'Check user, password and that it may create schemas and roles.',
  ),
  database_start_failed: entry(
    500,
    'permanent',
    24,
    'The embedded database did not start.',
    'Read the log file that is named; `casebound doctor` checks the usual causes.',
  ),
  migration_drift: entry(
    500,
    'permanent',
    25,
    'A migration that was applied is not the one in this version.',
    'Use the version that wrote the database; never edit an applied migration.',
  ),
  migration_failed: entry(
    500,
    'recoverable',
    27,
    'A migration could not be applied.',
    'Correct what `detail` names and run `casebound migrate` again; what was applied stays.',
  ),
  not_ready: entry(
    503,
    'recoverable',
    6,
    'The server cannot do its work yet.',
    'Look at the failed checks in `errors`.',
  ),
  not_running: entry(503, 'recoverable', 26, 'No server runs on this data folder.', 'Start one with `casebound up`.'),
  server_unreachable: entry(
    503,
    'recoverable',
    27,
    'The server cannot be reached.',
    'Check that it runs, its address and the network.',
  ),
  response_invalid: entry(
    502,
    'permanent',
    28,
    'The answer is not one that this version understands.',
    'Check that the address is that of a Casebound server, and that client and server are of the same version.',
  ),
  registry_invalid: entry(
    500,
    'permanent',
    1,
    'The operations of this build contradict one another.',
    'This is a defect of the build; report the problems that are named.',
  ),
  account_not_found: entry(404, 'permanent', 3, 'There is no such account.', 'Check the account id.'),
  accounts_exist: entry(
    409,
    'permanent',
    4,
    'The first account has been made already.',
    'Use the token that was printed then, or have an administrator rotate it.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;
