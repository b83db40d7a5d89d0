/** Who asks for something. Every use case takes one; full access control decides on it later. */
import { z } from 'zod';
import { AccountId } from './ids.ts';

/** What an operation may require. A route whose operation names none does not start. */
export const permissions = [
  'public',
  'system.read',
  'system.manage',
  'case.read',
  'case.write',
  'case.manage',
  'exchange.unredacted',
] as const;
export type Permission = (typeof permissions)[number];

export const Actor = z.discriminatedUnion('kind', [
  /** An account that sent a token. */
  z.object({
    kind: z.literal('account'),
    accountId: AccountId,
    name: z.string(),
    permissions: z.array(z.enum(permissions)).readonly(),
  }),
  /** Casebound itself: start-up, scheduled work, the CLI on its own data folder. */
  z.object({ kind: z.literal('system'), reason: z.string() }),
  /** Whoever calls a public operation. */
  z.object({ kind: z.literal('anonymous') }),
]);
export type Actor = z.infer<typeof Actor>;

/** Whether the actor may do what the permission stands for. What is public, anybody may. */
export const isPermitted = (actor: Actor, permission: Permission): boolean => {
  if (permission === 'public') return true;
  switch (actor.kind) {
    case 'account':
      return actor.permissions.includes(permission);
    case 'system':
      return true;
    case 'anonymous':
      return false;
  }
};
