/** Where an exchange is killed: every point of its own, and those of the object store, the consumer and the relay that it passes. */
import { crashPointNames, type CrashPointName } from '../../../apps/server/src/platform/crash-points/Port.ts';

export interface Kill {
  readonly point: CrashPointName;
  /** Which time the process comes there. */
  readonly hit: number;
  /** What the process does: an exchange from its beginning, or the rollback of a finished one. */
  readonly work: 'exchange' | 'rollback';
}

const ofRollback = /^exchange\.compensat/;
const passed = /^(exchange|consumer|relay)\.|^object-store\.(put|copy)\./;
/** Points that are passed once an item or queue: the first time, and one in the middle. */
const repeated: readonly CrashPointName[] = [
  'exchange.processor.worked',
  'exchange.processor.settled',
  'exchange.uploader.put',
  'exchange.take-down.queue-deleted',
  'consumer.after-handle',
  'relay.after-deliver',
];

export const allKills: readonly Kill[] = crashPointNames
  .filter((point) => passed.test(point))
  .flatMap((point): Kill[] => {
    const work = ofRollback.test(point) ? 'rollback' : 'exchange';
    return [{ point, hit: 1, work }, ...(repeated.includes(point) ? [{ point, hit: 4, work } as const] : [])];
  });

/** Those that the test suite takes: the end of each step, where most was done and nothing says so, and what processors do. */
export const suiteKills: readonly Kill[] = allKills.filter(
  ({ point, hit }) =>
    (point.endsWith('.done') && hit === 1) ||
    (/^exchange\.(processor|pre-uploader\.written|re-ocr|search-text|uploader|take-down)/.test(point) && hit === 1) ||
    (point === 'exchange.processor.settled' && hit > 1) ||
    /^exchange\.compensate\.(records|objects)-removed/.test(point),
);

export const nameOf = ({ point, hit, work }: Kill): string =>
  `${point}${hit === 1 ? '' : `, time ${hit}`}${work === 'rollback' ? ' (rollback)' : ''}`;
