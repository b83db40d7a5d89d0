/**
 * Referential ids as they follow from the columns: one statement per resource reads the identity texts of all its documents, the
 * ids are hashed here, one statement writes those that differ.
 */
import type { Resource, ResourceName } from '../derive/model.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { IdentityPart } from '../plan/identity-sql.ts';
import type { RecordTransaction } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { uuidV5 } from './referential-id.ts';

export interface ComputedIdentity {
  /** Null where a column of the identity holds nothing: no id follows from such a row. */
  readonly referentialId: string | null;
  readonly documentId: number;
  readonly resourceKeyId: number;
}

export interface IdentityText {
  readonly sql: string;
  /** The text that is hashed; null for an identity with a hole. */
  readonly read: (value: unknown) => string | null;
}

/**
 * Letter case is lowered here and not in SQL: what `lower` does to letters beyond ASCII depends on the collation of the database,
 * and writers lower in the application.
 */
export const identityText = (parts: readonly IdentityPart[]): IdentityText => {
  const plain = parts.every((part) => !part.isDescriptor);
  if (plain)
    return {
      sql: parts.map((part) => part.sql).join(` || '#' || `),
      read: (value) => (typeof value === 'string' ? value : null),
    };
  return {
    sql: `json_build_array(${parts.map((part) => part.sql).join(', ')})::text`,
    read: (value) => {
      const texts = JSON.parse(String(value)) as (string | null)[];
      if (texts.includes(null)) return null;
      return texts
        .map((text, index) => {
          const [label = '', ...rest] = (text ?? '').split('=');
          return parts[index]?.isDescriptor === true ? `${label}=${rest.join('=').toLowerCase()}` : (text ?? '');
        })
        .join('#');
    },
  };
};

interface IdentityQuery {
  readonly sql: string;
  readonly own: IdentityText;
  readonly alias: IdentityText | null;
}

const identityQuery = (ctx: StoreContext, resource: Resource): IdentityQuery =>
  ctx.memo(`identity ${resource.projectEndpoint}/${resource.endpoint}`, () => {
    const own = ctx.reads.identity(resource, 'own');
    const alias = resource.alias === null ? null : ctx.reads.identity(resource, 'alias');
    const ownText = identityText(own.parts);
    const aliasText = alias === null ? null : identityText(alias.parts);
    return {
      sql: `SELECT t.document_id, ${ownText.sql} AS own, ${aliasText?.sql ?? 'NULL'} AS alias FROM ${ctx.writes.qualified(resource.root.name)} t ${own.joins} ${alias?.joins ?? ''} WHERE t.document_id = ANY($1::bigint[])`,
      own: ownText,
      alias: aliasText,
    };
  });

const hashed = (name: ResourceName, text: string | null): string | null =>
  text === null ? null : uuidV5(`${name.projectName}${name.resourceName}${text}`);

/** Computes the ids (and superclass ids) that documents of one resource should have. */
export const computeIdentities = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  resource: Resource,
  documentIds: readonly number[],
): Promise<readonly ComputedIdentity[]> => {
  const query = identityQuery(ctx, resource);
  const { rows } = await tx.query(query.sql, [arrayLiteral(documentIds)]);
  return rows.flatMap((row) => {
    const documentId = Number(row['document_id']);
    const own = {
      referentialId: hashed(resource.name, query.own.read(row['own'])),
      documentId,
      resourceKeyId: ctx.resourceKey(resource.name),
    };
    if (resource.alias === null || query.alias === null) return [own];
    const { target } = resource.alias;
    const aliasId = hashed(target, query.alias.read(row['alias']));
    return [own, { referentialId: aliasId, documentId, resourceKeyId: ctx.resourceKey(target) }];
  });
};

/** Those of which an id follows. */
export const knownIdentities = (
  computed: readonly ComputedIdentity[],
): readonly (ComputedIdentity & { readonly referentialId: string })[] =>
  computed.flatMap((entry) => (entry.referentialId === null ? [] : [{ ...entry, referentialId: entry.referentialId }]));

/** Rewrites the referential ids of documents from their columns; returns how many rows changed. */
export const recomputeIdentities = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  members: ReadonlyMap<number, Resource>,
): Promise<number> => {
  const byResource = Map.groupBy(members.keys(), (id) => members.get(id));
  let changed = 0;
  for (const [resource, documentIds] of byResource) {
    if (resource === undefined) continue;
    const statement = ctx.writes.updateIdentities(
      knownIdentities(await computeIdentities(ctx, tx, resource, documentIds)),
    );
    const { rowCount } = await tx.query(statement.text, statement.values);
    changed += rowCount ?? 0;
  }
  return changed;
};
