/** Placeholder until the cross-database path lands in this file. */
import type { RecordCopy } from './open-copy.ts';

export const stageSource = async (_copy: RecordCopy): Promise<void> => undefined;
