/** `docs/errors.md`, from the error table. */
import { errorTable } from '@casebound/contract';
import type { ErrorEntry } from '@casebound/contract';

const families: Readonly<Record<ErrorEntry['family'], string>> = {
  recoverable: 'yes',
  permanent: 'no',
  already_done: 'not needed',
};

const row = ([code, { status, family, exitCode, title, remedy }]: [string, ErrorEntry]): string =>
  `| \`${code}\` | ${status} | ${families[family]} | ${exitCode} | ${title} ${remedy} |`;

const preamble = `# Errors

<!-- Made by \`npm run generate\` from packages/contract/src/errors.ts. -->

Every failure that reaches a user, a log or a dead letter has one of these codes. Over HTTP it is a problem document
(RFC 9457) whose \`type\` is \`urn:casebound:error:<code>\`; [http.md](http.md) describes the document. A command of the CLI
that ends with an error has its exit code.

*Again?* says whether the same request may succeed later without a change. Message handlers follow it: what may succeed
later is retried with growing waits, what cannot is put on the dead-letter queue at once.

`;

export const renderErrors = (): string => {
  const byStatus = Object.entries<ErrorEntry>(errorTable).toSorted(
    ([codeA, a], [codeB, b]) => a.status - b.status || (codeA < codeB ? -1 : 1),
  );
  const table = ['| code | HTTP | again? | exit | meaning and remedy |', '|---|---|---|---|---|', ...byStatus.map(row)];
  return `${preamble}${table.join('\n')}\n`;
};
