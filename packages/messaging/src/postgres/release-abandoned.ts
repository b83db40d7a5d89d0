/**
 * Gives back what dead processes held. Only for whoever knows that no other process works on these queues: the holder of an embedded
 * database's data folder, at its start. Elsewhere leases run out by themselves.
 */
import type { Sql } from '../ports.ts';

/** @returns how many messages can be received again at once. Their attempts count, and a late settlement is fenced off. */
export const releaseAbandoned = async (control: Sql): Promise<number> => {
  const { rows } = await control.query(
    `UPDATE messaging.message SET visible_at = clock_timestamp(), lease_token = lease_token + 1
     WHERE worker IS NOT NULL AND visible_at > clock_timestamp() RETURNING message_id`,
  );
  return rows.length;
};
