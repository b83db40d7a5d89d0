/** Thin: from the contract's operations to the use cases. */
import { CaseboundError, type Handlers } from '@casebound/contract';
import type { Log } from '../../platform/log/Port.ts';
import { compactValues } from './compact-values.ts';
import type { Fields } from './create-fields.ts';
import { changeField, createField, type DefineFieldsParts, listFields } from './define-fields.ts';
import { createStorageMigration, type StorageParts, type StorageStatus } from './migrate-storage.ts';
import { reconcileValues } from './reconcile-values.ts';
import { sweepSegments } from './sweep-segments.ts';

export type FieldHandlers = Pick<
  Handlers,
  | 'listFields'
  | 'createField'
  | 'changeField'
  | 'getFieldValues'
  | 'updateFieldValues'
  | 'getFieldStorage'
  | 'switchFieldStorage'
  | 'makeFieldStorageLegacy'
  | 'compactFields'
  | 'reconcileFields'
>;

const listed = <T extends StorageStatus>(status: T) => ({ ...status, switches: [...status.switches] });

export interface FieldHandlerParts extends Omit<DefineFieldsParts, 'forget'>, Omit<StorageParts, 'source'> {
  readonly fields: Fields;
  readonly log: Log;
  /** How long an object without a pointer is kept. Longer than any transaction and any read. */
  readonly sweepGraceMs: number;
}

export const createFieldHandlers = (parts: FieldHandlerParts): FieldHandlers => {
  const { fields, log, sessions, sweepGraceMs } = parts;
  const storage: StorageParts = { ...parts, source: fields.source };
  const migration = createStorageMigration(storage);
  const defining = { ...parts, forget: fields.forget };
  return {
    listFields: async ({ actor, params }) => ({ fields: await listFields(parts, actor, params.caseId) }),
    createField: async ({ actor, params, body }) => createField(defining, actor, params.caseId, body),
    changeField: async ({ actor, params, body }) => changeField(defining, actor, params.caseId, params.fieldId, body),
    async getFieldValues({ actor, params, signal }) {
      const { caseId, exhibitId } = params;
      const found = (await fields.read(caseId, actor, [exhibitId], signal)).get(exhibitId);
      if (found !== undefined) return found;
      const { rowCount } = await sessions.withCase(
        caseId,
        actor,
        async (tx) => tx.query('SELECT FROM exhibit WHERE document_id = $1', [exhibitId]),
        { readOnly: true },
      );
      if (rowCount === 0)
        throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
      return { exhibitId, values: {}, version: 0 };
    },
    updateFieldValues: async ({ actor, params, body, requestId }) =>
      fields.update(
        params.caseId,
        actor,
        {
          exhibitId: params.exhibitId,
          values: body.values,
          ...(body.version === undefined ? {} : { version: body.version }),
        },
        requestId,
      ),
    getFieldStorage: async ({ actor, params }) => listed(await migration.status(params.caseId, actor)),
    switchFieldStorage: async ({ actor, params, body, signal }) =>
      listed(await (body.on ? migration.turnOn : migration.turnOff)(params.caseId, actor, body.name, signal)),
    makeFieldStorageLegacy: async ({ actor, params, signal }) =>
      listed(await migration.makeLegacy(params.caseId, actor, signal)),
    async compactFields({ actor, params, signal }) {
      const compacted = await compactValues(storage, params.caseId, actor, signal);
      const swept = await sweepSegments(storage, params.caseId, actor, sweepGraceMs, signal);
      return { ...compacted, removed: swept.objects, waiting: swept.waiting };
    },
    async reconcileFields({ actor, params, body, signal }) {
      const found = await reconcileValues(storage, params.caseId, actor, { sample: body.sample, log }, signal);
      return { ...found, incidents: [...found.incidents] };
    },
  };
};
