/**
 * Who may do what with which rows: a claim-set document, parsed once.
 *
 * - A resource and action that a claim set does not name is denied; nothing is allowed by omission.
 * - Every strategy becomes one SQL predicate over the row (`row-predicate.ts`), which stands in the WHERE of a list before paging,
 *   of a count and of a get alike.
 */
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';

const strategyForm = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({
    kind: z.literal('namespace'),
    /** Path of a string of the root whose beginning must be one of the caller's namespace prefixes. */
    path: z.string(),
  }),
  z.object({
    kind: z.literal('relationship'),
    /** Paths of references of the root, each to a member of the hierarchy; or `$` for the record itself. */
    paths: z.array(z.string()).min(1),
    /** Whether one of the paths or all of them must lead to a group of the caller's. */
    match: z.enum(['any', 'all']).default('any'),
  }),
  z.object({
    kind: z.literal('customView'),
    /** A view of the store's schema with a column `document_id` and, when `claimColumn` is set, that column. */
    view: z.string().regex(/^[a-z_][a-z0-9_]{0,62}$/),
    /** Path whose document the view lists; `$` for the record itself. */
    path: z.string().default('$'),
    claimColumn: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/)
      .optional(),
  }),
]);

/** `refer`: to name the record in a reference of another; `read` decides where it is not granted by itself. */
export const actionForm = z.enum(['create', 'read', 'update', 'delete', 'refer']);

const grantForm = z.object({
  /** `Project.Resource`; `*` for every resource that has no entry of its own. */
  resource: z.string(),
  actions: z.partialRecord(actionForm, z.array(strategyForm).min(1)),
});

const hierarchyMemberForm = z.object({
  resource: z.string(),
  /** Paths of root references that lead to the parent. */
  parentPaths: z.array(z.string()).default([]),
});

export const claimSetForm = z.object({
  claimSets: z.record(z.string(), z.object({ grants: z.array(grantForm) })),
  hierarchy: z.object({ members: z.array(hierarchyMemberForm).default([]) }).default({ members: [] }),
});

export type AuthorizationStrategy = z.output<typeof strategyForm>;
export type RecordAction = z.output<typeof actionForm>;
export type AuthorizationRules = z.output<typeof claimSetForm>;

/** What a caller is allowed to reach. Groups are document ids of hierarchy members, resolved by whoever authenticated the caller. */
export interface Claims {
  readonly claimSet: string;
  readonly namespacePrefixes?: readonly string[];
  readonly groupDocumentIds?: readonly number[];
}

/** Reads a claim-set document. Throws `config_invalid` naming the first places that are wrong. */
export const parseAuthorization = (input: unknown): AuthorizationRules => {
  const parsed = claimSetForm.safeParse(input);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({
    path: `$.${issue.path.map(String).join('.')}`,
    message: issue.message,
  }));
  throw new CaseboundError(
    'config_invalid',
    `The claim-set document is not valid: ${errors[0]?.path} ${errors[0]?.message}.`,
    { errors },
  );
};
