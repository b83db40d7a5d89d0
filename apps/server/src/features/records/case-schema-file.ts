/** Where the case model lies in an installation: it is shipped as it is, for users to read and to extend. */
import { fileURLToPath } from 'node:url';

export const caseSchemaFile = fileURLToPath(new URL('../../../../../schemas/case.api-schema.json', import.meta.url));
